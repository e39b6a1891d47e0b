from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.errors import TrackingError
from hpo.outbox.records import RunRef, SetTags
from hpo.outbox.rejected import rejected_in
from hpo.tracking import DatasetInfo, drain_abandoned, trial_run_key
from tests.tracking.reading import client, points, run_named, runs, statuses
from tests.tracking.tracked import open_study


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


def test_a_description_that_a_person_has_edited_stays(
    store: str, study: str, tmp_path: Path
) -> None:
    """Of the experiment, of the study's run and of a trial's, each by itself."""
    note, mlflow = "mlflow.note.content", client(store)
    with open_study(store, study, tmp_path / ".hpo") as tracker:
        trial = tracker.start_trial(0, 1, {})
        tracker.describe("first")
        assert tracker.flush(60) == 0
        runs = [run_named(store, study, name).info for name in (study, "trial-0000")]
        experiment = runs[0].experiment_id

        def shown() -> list[str]:
            tags = [mlflow.get_run(run.run_id).data.tags for run in runs]
            return [each.get(note, "") for each in (mlflow.get_experiment(experiment).tags, *tags)]

        assert shown() == ["first", "first", ""]
        mlflow.set_experiment_tag(experiment, note, "Ours, do not touch")
        mlflow.set_tag(runs[1].run_id, note, "Look at this one")
        tracker.describe("second")
        trial.finish("COMPLETE", note="its end")
        tracker.describe_trial(0, 1, "why it is best")
        tracker.describe_trial(7, 1, "nobody has this one")
        assert tracker.flush(60) == 0
        assert shown() == ["Ours, do not touch", "second", "Look at this one"]
        mlflow.set_experiment_tag(experiment, note, "")
        tracker.describe("third")
        assert tracker.flush(60) == 0
        assert shown() == ["third", "third", "Look at this one"]
    assert rejected_in(tmp_path / ".hpo") == 0


def test_another_worker_leaves_a_persons_description_of_a_trial_too(
    store: str, study: str, tmp_path: Path
) -> None:
    """The trial's run is one that an earlier release left, whose descriptions have no digest."""
    note, mlflow = "mlflow.note.content", client(store)
    with open_study(store, study, tmp_path / "one") as tracker:
        tracker.start_trial(0, 1, {}).finish("COMPLETE")
        assert tracker.flush(60) == 0
        run = run_named(store, study, "trial-0000").info.run_id
    mlflow.set_tag(run, note, "Look at this one")
    with open_study(store, study, tmp_path / "other") as tracker:
        tracker.describe_trial(0, 1, "why it is best")
        assert tracker.flush(60) == 0
    assert mlflow.get_run(run).data.tags[note] == "Look at this one"


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
