"""The runs of several attempts at one trial, and of several workers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from hpo.outbox.records import EndEarlierAttempts, RunRef
from hpo.tracking import StudyTracker, drain_abandoned, trial_run_key
from hpo.tracking.drain import Drainer
from tests.tracking.conftest import FaultyLine, MlflowServer
from tests.tracking.reading import run_named, runs, statuses
from tests.tracking.tracked import open_study


def of_attempts(store: str, study: str) -> dict[str, Any]:
    """The runs of a study's trials, by their keys."""
    return {run.data.tags["mlflow.hpo.run_key"]: run for run in runs(store, study)}


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
