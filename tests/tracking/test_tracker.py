from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import TrackingError
from hpo.outbox.records import EndEarlierAttempts, RunRef, SetTags
from hpo.tracking import DatasetInfo, StudyTracker, drain_abandoned, trial_run_key
from hpo.tracking.drain import Drainer
from tests.tracking.conftest import FaultyLine, MlflowServer
from tests.tracking.reading import client, points, run_named, runs, statuses


@pytest.fixture(params=["local", pytest.param("server", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest) -> str:
    if request.param == "local":
        return str(request.getfixturevalue("local_store"))
    return str(request.getfixturevalue("mlflow_server").uri)


@pytest.fixture
def study(request: pytest.FixtureRequest) -> str:
    """A study name of its own for each test, with characters that a filter could misread."""
    return f"it's {request.node.name}"


def open_study(store: str, study: str, state_dir: Path, **others: Any) -> StudyTracker:
    return StudyTracker.open(
        store,
        study,
        state_dir,
        study_uid="u1",
        study_file=f'[study]\nname = "{study}"\n',
        environment={"torch": "2.13"},
        **others,
    )


def test_importing_tracking_and_logging_do_not_import_mlflow(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from hpo.outbox.outbox import Outbox
from hpo.tracking import StudyTracker, ping, drain_abandoned
from hpo.outbox.records import *
Outbox.create(Path(sys.argv[1]), "http://x").append(SetTags(RunRef("e", "r"), {}))
print([name for name in ("mlflow", "torch", "transformers") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_study_arrives_whole(store: str, study: str, tmp_path: Path) -> None:
    seen: dict[str, tuple[str, str]] = {}
    data = DatasetInfo("demo", "f" * 64, "demo", {"train": 90, "test": 10})
    with open_study(
        store,
        study,
        tmp_path / ".hpo",
        dataset=data,
        on_run_opened=lambda key, run_id, url: seen.update({key: (run_id, url)}),
    ) as tracker:
        for number, state in enumerate(("COMPLETE", "PRUNED", "FAIL")):
            trial = tracker.start_trial(
                number, 1, {"learning_rate": 1e-4, "batch_size": 8, "dropout": None}
            )
            for evaluation in range(1, 6):
                metrics = {"val/loss": 1 / evaluation, "val/accuracy": evaluation / 5}
                trial.log(metrics, evaluation * 100)
            trial.log_text("hello", "notes/log.txt")
            reason = "the loss is NaN" if state == "FAIL" else None
            trial.finish(state, {"val/best_accuracy": 1.0}, reason)  # type: ignore[arg-type]
        tracker.describe("# Result\nGood.")
        tracker.log_study_text("<html></html>", "report.html")
        assert tracker.flush(60) == 0
        url = tracker.study_url

    assert statuses(store, study) == {
        study: "FINISHED",
        "trial-0000": "FINISHED",
        "trial-0001": "KILLED",
        "trial-0002": "FAILED",
    }
    parent = run_named(store, study, study)
    first = run_named(store, study, "trial-0000")
    failed = run_named(store, study, "trial-0002")
    assert first.data.params == {"learning_rate": "0.0001", "batch_size": "8", "dropout": "none"}
    assert points(store, first.info.run_id, "val/loss") == {
        (step * 100, 1 / step): 1 for step in range(1, 6)
    }
    assert first.data.metrics["val/best_accuracy"] == 1.0
    assert first.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert first.data.tags["optuna.trial_state"] == "COMPLETE"
    assert first.data.tags["optuna.study_name"] == study
    assert first.data.tags["hpo.attempt"] == "1"
    assert failed.data.tags["hpo.reason"] == "the loss is NaN"
    assert parent.data.tags["mlflow.note.content"] == "# Result\nGood."
    assert parent.inputs.dataset_inputs[0].dataset.name == "demo"
    assert url.endswith(f"/runs/{parent.info.run_id}")
    assert seen[trial_run_key(study, "u1", 0, 1)][0] == first.info.run_id
    files = {file.path for file in client(store).list_artifacts(parent.info.run_id)}
    assert files == {"study.toml", "environment.json", "report.html"}
    text = client(store).download_artifacts(first.info.run_id, "notes/log.txt", str(tmp_path))
    assert Path(text).read_text() == "hello"
    assert list((tmp_path / ".hpo" / "outbox").iterdir()) == []


def test_nan_and_infinite_metrics_are_logged(store: str, study: str, tmp_path: Path) -> None:
    with open_study(store, study, tmp_path / ".hpo") as tracker:
        trial = tracker.start_trial(0, 1, {})
        trial.log({"nan": float("nan"), "inf": float("inf"), "one": 1.0}, 1)
        trial.finish("FAIL", {"nan": float("nan")})
        assert tracker.flush(60) == 0
    metrics = run_named(store, study, "trial-0000").data.metrics
    assert metrics["nan"] != metrics["nan"]
    assert metrics["inf"] > 1e300
    assert metrics["one"] == 1.0


def test_values_beyond_mlflows_limits_are_cut_and_split(
    store: str, study: str, tmp_path: Path
) -> None:
    with open_study(store, study, tmp_path / ".hpo") as tracker:
        many = {f"p{i:03}": "x" for i in range(130)}
        trial = tracker.start_trial(0, 1, {"long": "ü" * 7000, **many})
        tags = {"long": "ü" * 9000, **{f"t{i}": "ü" * 7000 for i in range(120)}}
        tracker._outbox.append(SetTags(RunRef(study, trial.run_key), tags))
        trial.log({f"m{i}": float(i) for i in range(2300)}, 1)
        trial.finish("COMPLETE")
        tracker.describe("d" * 9000)
        assert tracker.flush(60) == 0
        assert tracker._outbox.rejected() == []
    run = run_named(store, study, "trial-0000")
    assert len(run.data.params) == 131
    assert run.data.params["long"].endswith("[cut from 7000 characters]")
    assert len(run.data.params["long"]) == 6000
    assert len(run.data.tags["long"]) == 8000
    assert len(run.data.metrics) == 2300


def test_a_refused_operation_holds_nothing_up(
    store: str, study: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with open_study(store, study, tmp_path / ".hpo") as tracker:
        trial = tracker.start_trial(0, 1, {})
        trial.log({"val/loss": 1.0}, 1)
        trial.log({"bad#name": 1.0}, 2)
        trial.log({"val/loss": 3.0}, 3)
        trial.finish("COMPLETE")
        assert tracker.flush(60) == 0
        [refused] = tracker._outbox.rejected()
    assert "bad#name" in refused.body
    assert caplog.text.count("MLflow refuses to log 1 metrics at step 2") == 1
    run = run_named(store, study, "trial-0000")
    assert run.info.status == "FINISHED"
    assert points(store, run.info.run_id, "val/loss") == {(1, 1.0): 1, (3, 3.0): 1}
    trace = (tmp_path / ".hpo" / "outbox" / "rejected.jsonl").read_text()
    assert json.loads(trace)["kind"] == "LogMetrics"


def test_a_study_that_goes_on_keeps_its_run(store: str, study: str, tmp_path: Path) -> None:
    for number in range(2):
        with open_study(store, study, tmp_path / ".hpo") as tracker:
            tracker.start_trial(number, 1, {}).finish("COMPLETE")
            assert tracker.flush(60) == 0
            assert run_named(store, study, study).info.status == "RUNNING"
        assert run_named(store, study, study).info.status == "FINISHED"
    assert len(runs(store, study)) == 3


def test_a_worker_that_stops_leaves_no_run_open(store: str, study: str, tmp_path: Path) -> None:
    with open_study(store, study, tmp_path / ".hpo") as tracker:
        tracker.start_trial(0, 1, {}).log({"x": 1.0}, 1)
    run = run_named(store, study, "trial-0000")
    assert run.info.status == "KILLED"
    assert run.data.tags["hpo.abandoned"] == "true"
    with open_study(store, study, tmp_path / ".hpo") as tracker:
        tracker.start_trial(0, 2, {}).finish("COMPLETE")
    assert sorted(r.info.status for r in runs(store, study)) == ["FINISHED", "FINISHED", "KILLED"]


def of_attempts(store: str, study: str) -> dict[str, Any]:
    """The runs of a study's trials, by their keys."""
    return {run.data.tags["hpo.run_key"]: run for run in runs(store, study)}


def test_the_run_of_a_worker_whose_machine_is_gone_ends_when_its_trial_goes_on(
    store: str, study: str, tmp_path: Path
) -> None:
    # Another machine: its state folder is out of reach, and nobody empties its outbox.
    lost = open_study(store, study, tmp_path / "elsewhere")
    namesake = StudyTracker.open(
        store, study, tmp_path / "elsewhere", study_uid="u2", study_file="", environment={}
    )
    lost.start_trial(4, 1, {})
    lost.start_trial(5, 1, {})
    namesake.start_trial(4, 1, {})
    assert lost.flush(60) == namesake.flush(60) == 0
    with open_study(store, study, tmp_path / ".hpo") as tracker:
        tracker.start_trial(4, 2, {})
        # Sent again, as when the answer to it is lost, it finds nothing to do.
        again = RunRef(study, trial_run_key(study, "u1", 4, 2))
        tracker._outbox.append(EndEarlierAttempts(again, 1, {"hpo.reason": "again"}))
        assert tracker.flush(60) == 0
        assert tracker._outbox.rejected() == []
        found = of_attempts(store, study)
        ended = found[trial_run_key(study, "u1", 4, 1)]
        assert ended.info.status == "KILLED"
        assert ended.data.tags["hpo.abandoned"] == "true"
        assert ended.data.tags["optuna.trial_state"] == "FAIL"
        assert ended.data.tags["hpo.reason"] == "attempt 2 goes on with the trial"
        for key in (("u1", 4, 2), ("u1", 5, 1), ("u2", 4, 1)):
            assert found[trial_run_key(study, *key)].info.status == "RUNNING"
    lost.close()
    namesake.close()


def test_an_earlier_attempt_that_has_its_end_keeps_it(
    store: str, study: str, tmp_path: Path
) -> None:
    with open_study(store, study, tmp_path / "elsewhere") as other:
        other.start_trial(4, 2, {}).abandon("stopped")
        assert other.flush(60) == 0
    before = of_attempts(store, study)[trial_run_key(study, "u1", 4, 2)]
    with open_study(store, study, tmp_path / ".hpo") as tracker:
        tracker.start_trial(4, 3, {}).finish("COMPLETE")
        assert tracker.flush(60) == 0
        assert tracker._outbox.rejected() == []
    found = of_attempts(store, study)
    assert trial_run_key(study, "u1", 4, 1) not in found
    after = found[trial_run_key(study, "u1", 4, 2)]
    assert after.data.tags == before.data.tags
    assert (after.info.status, after.info.end_time) == ("KILLED", before.info.end_time)
    assert found[trial_run_key(study, "u1", 4, 3)].info.status == "FINISHED"


def test_an_attempt_that_arrives_after_the_one_that_followed_it_ends_too(
    store: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as cut_off:
        cut_off.setattr(Drainer, "start", lambda drainer: None)
        lost = open_study(store, study, tmp_path / "elsewhere")
        lost.start_trial(4, 1, {}).log({"val/loss": 1.0}, 1)
        lost._outbox.close(remove=False)
    with open_study(store, study, tmp_path / ".hpo") as tracker:
        tracker.start_trial(4, 2, {}).finish("COMPLETE")
        assert tracker.flush(60) == 0
    assert drain_abandoned(tmp_path / "elsewhere").waiting == 0
    found = of_attempts(store, study)
    assert found[trial_run_key(study, "u1", 4, 1)].info.status == "KILLED"
    assert found[trial_run_key(study, "u1", 4, 2)].info.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.faults
def test_the_end_of_an_earlier_attempt_waits_for_the_server(
    mlflow_server: MlflowServer, faulty_line: FaultyLine, study: str, tmp_path: Path
) -> None:
    lost = open_study(mlflow_server.uri, study, tmp_path / "elsewhere")
    lost.start_trial(4, 1, {})
    assert lost.flush(60) == 0
    faulty_line.fault = "away"
    tracker = open_study(faulty_line.uri, study, tmp_path / ".hpo")
    begun = time.monotonic()
    tracker.start_trial(4, 2, {}).finish("COMPLETE")
    assert time.monotonic() - begun < 0.5
    assert tracker.close(timeout_seconds=1.5) > 0
    first = trial_run_key(study, "u1", 4, 1)
    assert of_attempts(mlflow_server.uri, study)[first].info.status == "RUNNING"
    faulty_line.fault = None
    assert drain_abandoned(tmp_path / ".hpo").waiting == 0
    assert of_attempts(mlflow_server.uri, study)[first].info.status == "KILLED"
    lost.close()


def test_workers_share_the_studys_run(store: str, study: str, tmp_path: Path) -> None:
    trackers = [open_study(store, study, tmp_path / f"machine-{i % 2}") for i in range(4)]
    for number, tracker in enumerate(trackers):
        tracker.start_trial(number, 1, {}).finish("COMPLETE")
    assert [tracker.flush(60) for tracker in trackers] == [0] * 4
    [parent] = [run for run in runs(store, study) if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs(store, study) if run.info.run_id != parent.info.run_id]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    for tracker in trackers:
        tracker.close()
    assert set(statuses(store, study).values()) == {"FINISHED"}
    assert len(runs(store, study)) == 5


def test_the_last_worker_alive_ends_the_studys_run_whoever_died_before(
    store: str, study: str, tmp_path: Path
) -> None:
    dying, last = (open_study(store, study, tmp_path / ".hpo") for _ in range(2))
    assert dying.flush(60) == last.flush(60) == 0
    # What is left of a process that is killed: its file, and a lock that nobody holds.
    dying._drainer.stop(15)
    dying._outbox.close(remove=False)
    last.close()
    assert run_named(store, study, study).info.status == "FINISHED"
    assert list((tmp_path / ".hpo" / "outbox").glob("*.db")) == []


def test_a_deleted_experiment_is_brought_back(store: str, study: str, tmp_path: Path) -> None:
    with open_study(store, study, tmp_path / ".hpo"):
        pass
    experiment = client(store).get_experiment_by_name(study)
    client(store).delete_experiment(experiment.experiment_id)
    with open_study(store, study, tmp_path / ".hpo") as tracker:
        tracker.start_trial(0, 1, {}).finish("COMPLETE")
        assert tracker.flush(60) == 0
    assert statuses(store, study) == {study: "FINISHED", "trial-0000": "FINISHED"}


def test_a_run_deleted_by_hand_does_not_disturb_the_others(
    store: str, study: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with open_study(store, study, tmp_path / ".hpo") as tracker:
        trial = tracker.start_trial(0, 1, {})
        assert tracker.flush(60) == 0
        client(store).delete_run(run_named(store, study, "trial-0000").info.run_id)
        for step in range(5):
            trial.log({"x": 1.0}, step)
        trial.finish("COMPLETE")
        tracker.start_trial(1, 1, {}).finish("COMPLETE")
        assert tracker.flush(60) == 0
    assert run_named(store, study, "trial-0001").info.status == "FINISHED"
    assert caplog.text.count("MLflow refuses") == 1


def test_a_wrong_uri_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="file store"):
        open_study("file:///tmp/mlruns", "s", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_fresh_local_store_is_set_up_by_whoever_comes_first(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from hpo.tracking import StudyTracker
tracker = StudyTracker.open(
    "sqlite:///mlflow.db", "s", Path(".hpo"), study_uid="u", study_file="", environment={}
)
tracker.start_trial(int(sys.argv[1]), 1, {}).finish("COMPLETE")
sys.exit(tracker.close(timeout_seconds=90))
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number)],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    told = [process.communicate(timeout=150)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert all("Traceback" not in text for text in told), told
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    expected = dict.fromkeys(("s", "trial-0000", "trial-0001"), "FINISHED")
    assert statuses(uri, "s") == expected
    assert (tmp_path / "mlruns" / "s").is_dir()
    assert drain_abandoned(tmp_path / ".hpo").files == 0
