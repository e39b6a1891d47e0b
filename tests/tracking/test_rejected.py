"""Operations that MLflow refuses: for a while, for good, and once more when somebody asks for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpo.outbox.outbox import Outbox
from hpo.outbox.records import LogArtifact, LogMetrics, MetricPoint, OpenRun, RunRef
from hpo.outbox.rejected import rejected_in
from hpo.outbox.requeue import requeue_rejected
from hpo.tracking import StudyTracker, drain_abandoned, registered_name
from hpo.tracking.answers import PermanentError
from hpo.tracking.drain import DrainReport
from hpo.tracking.gateway import Gateway
from hpo.tracking.moved import uri_now
from tests.tracking.reading import client, points, run_named
from tests.tracking.tiny import save_tiny_classifier

DAY_MS = 24 * 3600 * 1000


class Refusing:
    """Makes a method of every gateway refuse, doubtfully, what it is told to, and counts how often."""

    def __init__(self, patch: pytest.MonkeyPatch, method: str, refuse: Callable[..., bool]) -> None:
        self.refusals = 0
        self.refuse = refuse
        real = getattr(Gateway, method)

        def call(gateway: Gateway, *arguments: Any, **others: Any) -> Any:
            if self.refuse(*arguments, **others):
                self.refusals += 1
                raise PermanentError("BAD_REQUEST: QueuePool limit reached", doubtful=True)
            return real(gateway, *arguments, **others)

        patch.setattr(Gateway, method, call)


def has_metric(name: str) -> Callable[..., bool]:
    return lambda run_id, metrics=(), **others: any(point.key == name for point in metrics)


def never(*arguments: Any, **others: Any) -> bool:
    return False


class Clock:
    """The time of deliveries, in the hands of a test."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ms = 1_000_000
        patch.setattr("hpo.tracking.delivery.now_ms", lambda: self.ms)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every doubtful refusal counts as final."""
    monkeypatch.setattr("hpo.tracking.delivery._DOUBTFUL_SECONDS", 0.0)
    monkeypatch.setattr("hpo.tracking.delivery._DOUBTFUL_TRIES", 1)


def open_study(uri: str, state: Path) -> StudyTracker:
    return StudyTracker.open(uri, "refused", state, study_uid="u", study_file="", environment={})


def leave_behind(uri: str, state: Path, run_key: str, *metrics: str) -> None:
    """What a process leaves that died before it could send anything."""
    run = RunRef("refused", run_key)
    with Outbox.create(state, uri) as outbox:
        outbox.append(OpenRun(run, run_key, 1))
        for step, name in enumerate(metrics):
            outbox.append(LogMetrics(run, (MetricPoint(name, float(step), step, 1000),)))


def send_again(state: Path) -> DrainReport:
    requeue_rejected(state, uri_now)
    return drain_abandoned(state)


def test_a_refusal_that_passes_loses_nothing_of_a_living_worker(
    local_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.tracking.drain._LONGEST_PAUSE_IN_FLUSH_SECONDS", 0.01)
    refusing = Refusing(monkeypatch, "log_batch", has_metric("val/loss"))
    with open_study(local_store, tmp_path) as tracker:
        trial = tracker.start_trial(0, 1, {})
        for step in range(5):
            trial.log({"val/loss": float(step)}, step)
        trial.finish("COMPLETE")
        while refusing.refusals < 20:
            assert tracker.flush(0.1) > 0
        refusing.refuse = never
        assert tracker.flush(60) == 0
        assert tracker._outbox.rejected() == []
    run = run_named(local_store, "refused", "trial-0000")
    assert run.info.status == "FINISHED"
    assert points(local_store, run.info.run_id, "val/loss") == {(n, float(n)): 1 for n in range(5)}


def test_a_refusal_that_does_not_pass_holds_a_living_worker_up_for_minutes_and_no_longer(
    local_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr("hpo.tracking.drain._LONGEST_PAUSE_IN_FLUSH_SECONDS", 0.01)
    refusing = Refusing(monkeypatch, "log_batch", has_metric("bad"))
    with open_study(local_store, tmp_path) as tracker:
        trial = tracker.start_trial(0, 1, {})
        trial.log({"bad": 1.0}, 1)
        trial.log({"good": 2.0}, 2)
        while refusing.refusals < 20:
            assert tracker.flush(0.1) > 0
        clock.ms += 301_000
        assert tracker.flush(60) == 0
        [refused] = tracker._outbox.rejected()
    assert "bad" in refused.body
    run = run_named(local_store, "refused", "trial-0000")
    assert points(local_store, run.info.run_id, "good") == {(2, 2.0): 1}


def test_the_tries_for_a_dead_worker_are_counted_over_all_who_make_them(
    local_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    Refusing(monkeypatch, "log_batch", has_metric("bad"))
    leave_behind(local_store, tmp_path, "run", "bad", "good")
    for _ in range(4):
        assert drain_abandoned(tmp_path).waiting == 2
        clock.ms += 30_000
    clock.ms += 300_000
    report = drain_abandoned(tmp_path)
    assert (report.delivered, report.refused, report.waiting) == (1, 1, 0)
    run = run_named(local_store, "refused", "run")
    assert points(local_store, run.info.run_id, "good") == {(1, 1.0): 1}
    assert list((tmp_path / "outbox").glob("*.db")) == []


def test_a_day_between_two_tries_is_no_proof_and_a_refusal_that_passes_is_forgotten(
    local_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    refusing = Refusing(monkeypatch, "log_batch", has_metric("bad"))
    leave_behind(local_store, tmp_path, "run", "bad", "good")
    for _ in range(3):
        assert drain_abandoned(tmp_path).waiting == 2
        clock.ms += DAY_MS
    refusing.refuse = never
    assert drain_abandoned(tmp_path) == DrainReport(1, 2, 0, 0)
    run = run_named(local_store, "refused", "run")
    for step, name in enumerate(("bad", "good")):
        assert points(local_store, run.info.run_id, name) == {(step, float(step)): 1}


def test_what_one_dead_worker_is_refused_does_not_hold_the_others_up(
    local_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Refusing(monkeypatch, "log_batch", has_metric("bad"))
    for run_key in ("first", "last"):
        leave_behind(local_store, tmp_path, run_key, "good")
        leave_behind(local_store, tmp_path, run_key + "-bad", "bad")
    report = drain_abandoned(tmp_path)
    assert (report.files, report.waiting) == (4, 2)
    for run_key in ("first", "last"):
        assert run_named(local_store, "refused", run_key).info.status == "KILLED"


@pytest.mark.usefixtures("at_once")
def test_what_was_refused_is_sent_again_once_in_order_with_its_files(
    local_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Refusing(
        monkeypatch, "open_run", lambda wanted, *others, **named: wanted.name == "trial-0000"
    )
    model = tmp_path / "trained"
    model.mkdir()
    (model / "trained.safetensors").write_bytes(b"weights")
    with open_study(local_store, tmp_path) as tracker:
        trial = tracker.start_trial(0, 1, {"learning_rate": 0.1})
        trial.log({"val/loss": 1.0}, 1)
        trial.log_text("notes", "notes/notes.txt")
        trial.log({"val/loss": 2.0, "bad#name": 1.0}, 2)
        trial.log({"val/loss": 3.0}, 3)
        trial.log_model(model)
        trial.finish("COMPLETE")
        tracker.start_trial(1, 1, {}).finish("COMPLETE")
        assert tracker.flush(60) == 0
    assert rejected_in(tmp_path) == 7
    assert drain_abandoned(tmp_path).files == 0
    refusing.refuse = never

    report = send_again(tmp_path)
    assert (report.files, report.delivered, report.refused, report.waiting) == (1, 6, 1, 0)
    run = run_named(local_store, "refused", "trial-0000")
    assert run.info.status == "FINISHED"
    assert run.data.params == {"learning_rate": "0.1"}
    parent = run_named(local_store, "refused", "refused")
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert points(local_store, run.info.run_id, "val/loss") == {(1, 1.0): 1, (3, 3.0): 1}
    text = client(local_store).download_artifacts(run.info.run_id, "notes/notes.txt", str(tmp_path))
    assert Path(text).read_text() == "notes"
    [logged] = client(local_store).search_logged_models([run.info.experiment_id])
    assert logged.status == "READY"

    folder = tmp_path / "outbox"
    kept = [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]
    assert [row["kind"] for row in kept] == ["LogMetrics"]
    assert "bad#name" in kept[0]["reason"]
    assert list((folder / "rejected.spool").iterdir()) == []
    report = send_again(tmp_path)
    assert (report.delivered, report.refused, rejected_in(tmp_path)) == (0, 1, 1)
    assert run_named(local_store, "refused", "trial-0000").info.status == "FINISHED"


@pytest.mark.usefixtures("at_once")
def test_what_is_sent_again_does_not_undo_what_came_after_it(
    local_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_old(run_id: str, tags: Any = None, **others: object) -> bool:
        return dict(tags or {}).get("mlflow.note.content") == "old"

    notes = Refusing(monkeypatch, "log_batch", is_old)
    ends = Refusing(monkeypatch, "end_run", lambda run_id, status, end_ms: status == "FAILED")
    tracker = open_study(local_store, tmp_path)
    tracker.describe("old")
    assert tracker.flush(60) == 0
    tracker.describe("new")
    tracker.close(status="FAILED")
    with open_study(local_store, tmp_path):
        pass
    assert (notes.refusals, ends.refusals, rejected_in(tmp_path)) == (1, 1, 2)
    before = run_named(local_store, "refused", "refused")
    notes.refuse = ends.refuse = never
    assert send_again(tmp_path) == DrainReport(1, 2, 0, 0)
    after = run_named(local_store, "refused", "refused")
    assert after.data.tags["mlflow.note.content"] == "new"
    assert (after.info.status, after.info.end_time) == ("FINISHED", before.info.end_time)


@pytest.mark.usefixtures("at_once")
def test_a_champion_that_is_sent_again_leaves_the_alias_to_a_later_one(
    local_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "champion"
    save_tiny_classifier(folder)
    refusing = Refusing(monkeypatch, "log_batch", has_metric("test/accuracy"))
    with open_study(local_store, tmp_path) as tracker:
        tracker.publish_champion(folder, "# One", {"test/accuracy": 0.1}, 1)
        assert tracker.flush(60) == 0
        refusing.refuse = never
        time.sleep(0.01)
        tracker.publish_champion(folder, "# Two", {"test/accuracy": 0.2}, 2)
        assert tracker.flush(60) == 0
    assert send_again(tmp_path) == DrainReport(1, 1, 0, 0)
    name = registered_name("refused")
    found = client(local_store).get_model_version_by_alias(name, "champion")
    assert found.tags["optuna.trial_number"] == "2"
    assert client(local_store).get_registered_model(name).description == "# Two"
    assert len(client(local_store).search_model_versions(f"name = '{name}'")) == 2


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_alias_is_the_later_champions_whoever_arrives_last_and_whatever_the_clocks_say(
    local_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    folder, far = tmp_path / "champion", tmp_path / "far"
    save_tiny_classifier(folder)
    refusing = Refusing(monkeypatch, "log_batch", has_metric("test/accuracy"))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600 * hours)  # on the far machine
    tracker = open_study(local_store, far)
    tracker.publish_champion(folder, "# One", {"test/accuracy": 0.1}, 1, times_tested=1)
    assert tracker.flush(0.1) > 0
    tracker.close()
    monkeypatch.setattr(time, "time", now)
    refusing.refuse = never
    with open_study(local_store, tmp_path / "near") as tracker:
        tracker.publish_champion(folder, "# Two", {"test/accuracy": 0.2}, 2, times_tested=2)
        assert tracker.flush(60) == 0
    assert drain_abandoned(far).waiting == 0
    name = registered_name("refused")
    assert len(client(local_store).search_model_versions(f"name = '{name}'")) == 2
    found = client(local_store).get_model_version_by_alias(name, "champion")
    assert found.tags["optuna.trial_number"] == "2"
    assert client(local_store).get_registered_model(name).description == "# Two"


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("hours", [-1, 1])
def test_so_it_is_where_the_earlier_one_was_refused_and_is_sent_again(
    local_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    folder = tmp_path / "champion"
    save_tiny_classifier(folder)
    refusing = Refusing(monkeypatch, "log_batch", has_metric("test/accuracy"))
    now = time.time
    with open_study(local_store, tmp_path) as tracker:
        monkeypatch.setattr(time, "time", lambda: now() + 3600 * hours)
        tracker.publish_champion(folder, "# One", {"test/accuracy": 0.1}, 1, times_tested=1)
        assert tracker.flush(60) == 0
        monkeypatch.setattr(time, "time", now)
        refusing.refuse = never
        tracker.publish_champion(folder, "# Two", {"test/accuracy": 0.2}, 2, times_tested=2)
        assert tracker.flush(60) == 0
    assert send_again(tmp_path) == DrainReport(1, 1, 0, 0)
    found = client(local_store).get_model_version_by_alias(registered_name("refused"), "champion")
    assert found.tags["optuna.trial_number"] == "2"


def test_lines_that_cannot_be_read_are_left_as_they_are(local_store: str, tmp_path: Path) -> None:
    leave_behind(local_store, tmp_path, "run")
    file = tmp_path / "outbox" / "rejected.jsonl"
    lines = ["no JSON", '{"kind": "Teleport", "body": "{}", "tracking_uri": "sqlite:///x.db"}']
    file.write_text("".join(f"{line}\n" for line in lines))
    assert send_again(tmp_path).delivered == 1
    assert file.read_text().splitlines() == lines


def test_files_that_are_gone_are_a_refusal_and_hold_nothing_up(
    local_store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunRef("refused", "run")
    with Outbox.create(tmp_path, local_store) as outbox:
        outbox.append(OpenRun(run, "run", 1))
        spooled = outbox.spool.add_file(b"notes", "notes.txt")
        outbox.append(LogArtifact(run, spooled.path), spooled=spooled)
        outbox.spool.discard(spooled.path)
    assert drain_abandoned(tmp_path) == DrainReport(1, 1, 0, 1)
    assert "its files are gone" in caplog.text
