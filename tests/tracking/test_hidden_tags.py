"""Tags that only we read: out of people's sight, found again, and found where an earlier release stored them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.tracking import StudyTracker, hidden_tags, keys, registered_name
from hpo.tracking.download import trials_with_models
from hpo.tracking.identity import StudyIdentity
from hpo.tracking.removal import delete_from_mlflow, find_in_mlflow
from tests.tracking.reading import client, runs, statuses
from tests.tracking.tiny import save_tiny_classifier
from tests.tracking.tracked import open_study

TAGS = sorted(value for name, value in vars(keys).items() if name.endswith("_TAG"))
# Where MLflow keeps the tags of runs, logged models, registered models and their versions.
TABLES = {
    "tags": "key",
    "logged_model_tags": "tag_key",
    "registered_model_tags": "key",
    "model_version_tags": "key",
}
# What people see: by which trial, how it ended and why, which attempt it was.
IN_SIGHT = {
    "optuna.study_name",
    "optuna.trial_number",
    "optuna.trial_state",
    "hpo.attempt",
    "hpo.reason",
}


@given(st.dictionaries(st.one_of(st.sampled_from(TAGS), st.text()), st.text()))
def test_tags_are_read_under_the_names_that_they_were_given(tags: dict[str, str]) -> None:
    ours = {key: value for key, value in tags.items() if not key.startswith("mlflow.hpo.")}
    assert hidden_tags.read(hidden_tags.sent(ours)) == ours
    assert all(hidden_tags.read(spelling) == ours for spelling in hidden_tags.spellings(ours))


def worked_on(store: str, folder: Path, number: int) -> StudyTracker:
    """A study with one more trial, its model, and a champion."""
    with open_study(store, "seen", folder / ".hpo") as tracker:
        trial = tracker.start_trial(number, 1, {})
        trained = folder / f"trained-{number}"
        trained.mkdir()
        (trained / "trained.safetensors").write_bytes(b"weights")
        trial.log_model(trained)
        trial.finish("COMPLETE", {}, "as asked")
        if not (folder / "saved").exists():
            save_tiny_classifier(folder / "saved")
        tracker.publish_champion(folder / "saved", "# seen", {}, number)
        assert not tracker.champion_waits(60)
        assert tracker.flush(60) == 0
        assert tracker._outbox.rejected() == []
        assert tracker.find_champion(number, registered_name("seen")).uri is not None
        return tracker


def of_an_earlier_release(store: str) -> None:
    """Name everything in a store as a release did that hid nothing."""
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as database, database:
        for table, column in TABLES.items():
            database.execute(
                f"UPDATE {table} SET {column} = substr({column}, 8) WHERE {column} LIKE 'mlflow.hpo.%'"
            )


def keys_in(store: str) -> set[str]:
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as database:
        return {
            str(key)
            for table, column in TABLES.items()
            for (key,) in database.execute(f"SELECT {column} FROM {table}")
        }


def test_people_see_only_what_tells_them_something(local_store: str, tmp_path: Path) -> None:
    worked_on(local_store, tmp_path, 1)
    assert {key for key in keys_in(local_store) if not key.startswith("mlflow.")} <= IN_SIGHT


def test_what_an_earlier_release_stored_is_gone_on_with(local_store: str, tmp_path: Path) -> None:
    worked_on(local_store, tmp_path, 1)
    of_an_earlier_release(local_store)
    assert not {key for key in keys_in(local_store) if key.startswith("mlflow.hpo.")}
    before = runs(local_store, "seen")
    worked_on(local_store, tmp_path, 2)
    # One parent, both trials in the study's own view, one registered model with both versions.
    assert statuses(local_store, "seen").keys() == {"seen", "trial-0001", "trial-0002"}
    parent = {run.info.run_id for run in before} - {
        run.info.run_id
        for run in runs(local_store, "seen")
        if "mlflow.parentRunId" in run.data.tags
    }
    mlflow = client(local_store)
    experiment = mlflow.get_experiment_by_name("seen")
    shown = mlflow.search_runs(
        [experiment.experiment_id], "tags.`mlflow.hpo.run_key` LIKE 'trial:%:u1:%'"
    )
    assert {run.data.tags["mlflow.parentRunId"] for run in shown} == parent
    assert len(shown) == 2
    assert [model.name for model in mlflow.search_registered_models()] == ["seen"]
    assert trials_with_models(local_store, "seen", StudyIdentity("seen", "u1").key) == {1, 2}


@pytest.mark.parametrize("goes_on", [False, True])
def test_what_an_earlier_release_stored_is_deleted_with_its_study(
    local_store: str, tmp_path: Path, goes_on: bool
) -> None:
    study = StudyIdentity("seen", "u1")
    worked_on(local_store, tmp_path, 1)
    of_an_earlier_release(local_store)
    if goes_on:
        worked_on(local_store, tmp_path, 2)
    found = find_in_mlflow(local_store, study)
    trials = 2 if goes_on else 1
    # Each trial's model, and each champion's.
    assert (len(found.runs), len(found.models), len(found.versions)) == (
        1 + trials,
        2 * trials,
        trials,
    )
    delete_from_mlflow(local_store, study)
    assert find_in_mlflow(local_store, study) == type(found)()
    assert client(local_store).search_registered_models() == []
