from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from hpo.outbox.outbox import Outbox
from hpo.outbox.records import EndRun, LogMetrics, MetricPoint, OpenRun, RunRef
from hpo.tracking import StudyTracker, drain_abandoned
from hpo.tracking.drain import Drainer
from hpo.tracking.gateway import Gateway
from hpo.tracking.keys import OUTBOX_TAG, RUN_KEY_TAG
from tests.tracking.conftest import FaultyLine, MlflowServer, free_port
from tests.tracking.logged import each_once, log_a_trial, open_study
from tests.tracking.reading import client, points, run_named, runs, statuses
from tests.waiting import wait_until


def test_metrics_of_a_run_travel_in_few_requests(local_store: str, tmp_path: Path) -> None:
    outbox = Outbox.create(tmp_path, local_store)
    run = RunRef("batched", "r")
    outbox.append(OpenRun(run, "r", 1))
    for step in range(300):
        outbox.append(LogMetrics(run, (MetricPoint("m", float(step), step, 1000 + step),)))
    outbox.append(EndRun(run, "FINISHED", 2))
    drainer = Drainer(outbox, local_store)
    requests: list[int] = []
    gateway = drainer._delivery._channel.gateway
    send = gateway.log_batch

    def counted(run_id: str, **batch: Any) -> None:
        requests.append(len(batch.get("metrics", ())))
        send(run_id, **batch)

    gateway.log_batch = counted  # type: ignore[method-assign]
    drainer.start()
    assert drainer.flush(60) == 0
    drainer.stop(10)
    outbox.close(remove=True)
    assert sum(requests) == 300
    assert len(requests) <= 2


def test_a_repeated_point_is_one_point(local_store: str, tmp_path: Path) -> None:
    point = MetricPoint("m", float("nan"), 1, 1000)
    run = RunRef("repeated", "r")
    for _ in range(2):
        outbox = Outbox.create(tmp_path, local_store)
        outbox.append(OpenRun(run, "r", 1, params={"p": "1"}, tags={"t": "1"}))
        outbox.append(LogMetrics(run, (point, MetricPoint("n", 1.5, 1, 1000))))
        outbox.append(EndRun(run, "FINISHED", 2))
        drainer = Drainer(outbox, local_store)
        drainer.start()
        assert drainer.flush(60) == 0
        drainer.stop(10)
        outbox.close(remove=True)
    stored = run_named(local_store, "repeated", "r")
    assert len(client(local_store).get_metric_history(stored.info.run_id, "m")) == 1
    assert points(local_store, stored.info.run_id, "n") == {(1, 1.5): 1}


@pytest.mark.slow
@pytest.mark.faults
def test_an_outage_for_the_whole_of_a_run_loses_nothing(
    mlflow_server: MlflowServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    mlflow_server.stop()
    with open_study(mlflow_server.uri, "outage", tmp_path / ".hpo") as tracker:
        begun = time.monotonic()
        for number in range(3):
            log_a_trial(tracker, number)
        assert time.monotonic() - begun < 1.0
        waiting = tracker.flush(3)
        assert waiting > 60
        mlflow_server.start()
        assert tracker.flush(60) == 0
    assert caplog.text.count("cannot be used") == 1
    assert caplog.text.count("is back") == 1
    assert set(statuses(mlflow_server.uri, "outage").values()) == {"FINISHED"}
    for number in range(3):
        run = run_named(mlflow_server.uri, "outage", f"trial-{number:04d}")
        assert points(mlflow_server.uri, run.info.run_id, "val/loss") == each_once()


@pytest.mark.slow
@pytest.mark.faults
def test_what_a_run_could_not_send_arrives_with_the_next(
    mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    line = FaultyLine(mlflow_server.port)
    line.fault = "away"
    tracker = open_study(line.uri, "next run", tmp_path / ".hpo")
    log_a_trial(tracker, 0)
    assert tracker.close(timeout_seconds=1.5) > 20
    assert tracker.waiting > 20
    line.fault = None
    with open_study(line.uri, "next run", tmp_path / ".hpo") as second:
        log_a_trial(second, 1)
        wait_until(lambda: len(runs(line.uri, "next run")) >= 3, "three runs", seconds=30)
        assert drain_abandoned(tmp_path / ".hpo").waiting == 0
    line.close()
    assert set(statuses(mlflow_server.uri, "next run").values()) == {"FINISHED"}
    run = run_named(mlflow_server.uri, "next run", "trial-0000")
    assert points(mlflow_server.uri, run.info.run_id, "val/loss") == each_once()
    assert list((tmp_path / ".hpo" / "outbox").iterdir()) == []


@pytest.mark.slow
@pytest.mark.faults
def test_a_faulty_line_doubles_and_loses_nothing(
    mlflow_server: MlflowServer,
    faulty_line: FaultyLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hpo.tracking.drain._LONGEST_PAUSE_IN_FLUSH_SECONDS", 0.1)
    faulty_line.faults = ("away", "late reset", "500", "429")
    faulty_line.chance = 0.3
    model = tmp_path / "trained"
    model.mkdir()
    (model / "trained.safetensors").write_bytes(b"weights")
    with open_study(faulty_line.uri, "faulty", tmp_path / ".hpo") as tracker:
        for number in range(6):
            trial = tracker.start_trial(number, 1, {"a": 1})
            for step in range(20):
                trial.log({"val/loss": float(step)}, step)
                time.sleep(0.005)
            if number == 0:
                trial.log_model(model)
            trial.finish("COMPLETE")
        assert tracker.flush(120) == 0
        assert tracker._outbox.rejected() == []
        # The study's own end must pass too.
        faulty_line.chance = 0.0
    found = statuses(mlflow_server.uri, "faulty")
    assert found == {"faulty": "FINISHED"} | {f"trial-{n:04d}": "FINISHED" for n in range(6)}
    for number in range(6):
        run = run_named(mlflow_server.uri, "faulty", f"trial-{number:04d}")
        assert points(mlflow_server.uri, run.info.run_id, "val/loss") == each_once()
    mlflow = client(mlflow_server.uri)
    experiment = mlflow.get_experiment_by_name("faulty")
    [logged] = mlflow.search_logged_models([experiment.experiment_id])
    assert logged.status == "READY"


@pytest.mark.slow
@pytest.mark.faults
def test_a_server_that_hangs_costs_one_short_timeout_a_try(
    mlflow_server: MlflowServer, faulty_line: FaultyLine, tmp_path: Path
) -> None:
    faulty_line.fault = "hang"
    with open_study(faulty_line.uri, "hangs", tmp_path / ".hpo") as tracker:
        begun = time.monotonic()
        log_a_trial(tracker, 0)
        assert time.monotonic() - begun < 1.0
        wait_until(lambda: faulty_line.troubles, "a request that hangs")
        faulty_line.fault = None
        assert tracker.flush(30) == 0
        assert time.monotonic() - begun < 20
    run = run_named(mlflow_server.uri, "hangs", "trial-0000")
    assert points(mlflow_server.uri, run.info.run_id, "val/loss") == each_once()


@pytest.mark.slow
@pytest.mark.faults
def test_closing_in_an_outage_does_not_wait_for_ever(
    mlflow_server: MlflowServer, faulty_line: FaultyLine, tmp_path: Path
) -> None:
    faulty_line.fault = "500"
    tracker = open_study(faulty_line.uri, "closing", tmp_path / ".hpo")
    log_a_trial(tracker, 0)
    begun = time.monotonic()
    assert tracker.close(timeout_seconds=1) > 0
    assert time.monotonic() - begun < 12


def test_files_for_a_server_that_is_away_do_not_hold_others_up(
    local_store: str, tmp_path: Path
) -> None:
    state = tmp_path / ".hpo"
    for uri in (f"http://127.0.0.1:{free_port()}", local_store, f"http://127.0.0.1:{free_port()}"):
        with Outbox.create(state, uri) as outbox:
            outbox.append(OpenRun(RunRef("others", "run"), "run", 1))
    report = drain_abandoned(state)
    assert (report.files, report.delivered, report.waiting) == (3, 1, 2)
    assert statuses(local_store, "others") == {"run": "KILLED"}
    assert len(list((state / "outbox").glob("*.db"))) == 2


@pytest.mark.parametrize(("end_ms", "status"), [(1000, "FINISHED"), (3000, "FAILED")])
def test_the_end_of_a_shared_run_that_a_dead_process_left_counts_where_it_is_the_last(
    local_store: str, tmp_path: Path, end_ms: int, status: str
) -> None:
    run = RunRef(f"ends-{end_ms}", "r")
    opened = OpenRun(run, "r", 1, shared=True)
    with Outbox.create(tmp_path / "dead", local_store) as outbox:
        outbox.append(opened, EndRun(run, "FAILED", end_ms))
    with Outbox.create(tmp_path / "later", local_store) as outbox:
        outbox.append(opened, EndRun(run, "FINISHED", 2000))
        drainer = Drainer(outbox, local_store)
        drainer.start()
        assert drainer.flush(60) == 0
        drainer.stop(10)
    assert drain_abandoned(tmp_path / "dead").waiting == 0
    assert statuses(local_store, run.experiment) == {"r": status}


def test_a_creation_whose_answer_was_lost_leaves_no_second_run(mlflow_server: MlflowServer) -> None:
    """Two processes open a study's run at once; one does not learn that it has created its own."""
    gateway = Gateway(mlflow_server.uri)
    ref = RunRef("created twice", "r")

    def tags(outbox: str) -> dict[str, str]:
        return {RUN_KEY_TAG: ref.key, OUTBOX_TAG: outbox}

    def opened(outbox: str, start_ms: int) -> str:
        wanted = OpenRun(ref, "r", start_ms, shared=True)
        return gateway.open_run(
            wanted, tags(outbox), reopen=True, before_creation=lambda: None
        ).run_id

    for outbox, start_ms in (("unlucky", 2), ("other", 1)):
        gateway._create_run(OpenRun(ref, "r", start_ms, shared=True), tags(outbox))
    settled = opened("other", 1)
    assert opened("unlucky", 2) == settled
    assert [run.run_id for run in gateway.find_runs(ref.experiment, ref.key)] == [settled]


def test_a_file_that_is_no_outbox_is_left_and_told_of(
    local_store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "outbox").mkdir()
    (tmp_path / "outbox" / "a.db").write_text("no database at all, but long enough" * 50)
    assert drain_abandoned(tmp_path).files == 0
    assert "cannot be read" in caplog.text


def test_an_error_in_the_listener_is_told_and_holds_nothing_up(
    local_store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(run_key: str, run_id: str, url: str) -> None:
        raise RuntimeError("the database is away")

    with StudyTracker.open(
        local_store,
        "listener",
        tmp_path,
        study_uid="u",
        study_file="",
        environment={},
        on_run_opened=fail,
    ) as tracker:
        log_a_trial(tracker, 0)
        assert tracker.flush(30) == 0
    assert "the database is away" in caplog.text
