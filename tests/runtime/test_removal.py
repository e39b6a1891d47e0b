"""A study deleted with all that is its own, and with nothing that is another's."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import func, select

from hpo.api.tables import kept_tables
from hpo.errors import StorageError, TrackingError
from hpo.leases.budget import claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.outbox.quota import size_of
from hpo.results.dashboard_drawings import show_with_study, show_with_trial
from hpo.runtime.outcomes import outcome_reader
from hpo.runtime.removal import Belongings, belongings, remove
from hpo.runtime.study_folder import study_folder
from hpo.runtime.study_parts import check_idle
from hpo.spec.locations import Locations
from hpo.storage.optuna_tables import OPTUNA_METADATA
from hpo.storage.storage import Storage
from hpo.storage.tables import METADATA
from hpo.studies.memory import remember
from hpo.studies.overview import Overview, overviews
from hpo.studies.progress import all_progress
from hpo.studies.registration import submit
from hpo.studies.studies import open_study
from hpo.tracking.tracker import StudyTracker
from hpo.tracking.views import TrialsTable
from tests.storages import SpecFactory, locations_without_storage
from tests.studies.finished import finish_one
from tests.tracking.reading import client, runs
from tests.tracking.tiny import save_tiny_classifier


@pytest.fixture
def locations(tmp_path: Path) -> Locations:
    return locations_without_storage(tmp_path)


def seen(storage: Storage, name: str) -> Overview:
    [study] = overviews(storage, name)
    return study


def delete(storage: Storage, name: str, locations: Locations) -> Belongings:
    study = seen(storage, name)
    dead = check_idle(storage, study, locations.state)
    mine = belongings(storage, study, locations)
    remove(
        storage,
        mine,
        locations,
        dead=dead,
        outcome_of=lambda: outcome_reader(storage, locations.state),
    )
    return mine


def rows(storage: Storage) -> dict[str, int]:
    """How many rows each table has, those that say what format the database is in left out."""
    tables = [*METADATA.sorted_tables, *OPTUNA_METADATA.sorted_tables]
    with storage.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables
            if table.name not in ("version_info", "hpo_format", "alembic_version")
        }


def leave_something(storage: Storage, name: str, locations: Locations) -> None:
    """A finished trial, something that is remembered, drawings and a checkpoint."""
    claim = finish_one(storage, name)
    study = seen(storage, name)
    remember(storage, study.progress.study_id, "micro batch", 8)
    show_with_study(storage, study.progress.study_id, locations.state, "curves.svg", "<svg/>")
    show_with_trial(storage, claim.trial_id, locations.state, "confusion.svg", "<svg/>")
    folder = study_folder(locations.state, name, study.uid)
    folder.mkdir(parents=True)
    (folder / "checkpoint").write_bytes(bytes(1000))


def test_nothing_of_it_stays_and_another_study_is_as_it_was(
    storage: Storage, make_spec: SpecFactory, locations: Locations
) -> None:
    empty = rows(storage)
    submit(storage, make_spec("other"))
    leave_something(storage, "other", locations)
    before = rows(storage), sorted(locations.state.rglob("*"))
    submit(storage, make_spec("mine"))
    leave_something(storage, "mine", locations)
    assert delete(storage, "mine", locations).bytes == 1000 + 2 * len("<svg/>")
    assert (rows(storage), sorted(locations.state.rglob("*"))) == before
    delete(storage, "other", locations)
    assert rows(storage) == empty
    assert not [path for path in locations.state.rglob("*") if path.is_file()]
    assert not list(locations.state.parent.glob("mlflow.db*"))  # which there was no need to make


@pytest.mark.parametrize("splits", [False, True])
def test_data_kept_of_a_table_go_with_the_last_study_that_has_them(
    storage: Storage,
    make_spec: SpecFactory,
    locations: Locations,
    splits: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(locations.state.parent)
    table = pd.DataFrame({"text": ["a joy", "dull"], "label": [1, 0]})
    kept = kept_tables({"train": table} if splits else table, Path(locations.state.name))
    assert kept is not None
    kept.write()
    own = locations.state.parent / "reviews.csv"
    own.touch()
    size = size_of(kept.path)
    # As a program here names them, and one elsewhere.
    names = {"first": str(kept.path), "second": str(kept.path.resolve()), "third": str(own)}
    for name, source in names.items():
        submit(storage, make_spec(name, data__source=source))
    assert delete(storage, "first", locations).bytes == 0
    assert delete(storage, "third", locations).bytes == 0
    assert own.exists()
    assert kept.path.exists()
    assert belongings(storage, seen(storage, "second"), locations).data == (kept.path.resolve(),)
    assert delete(storage, "second", locations).bytes == size > 0
    assert not kept.path.exists()


def test_a_study_that_a_worker_is_at_stays(
    storage: Storage, make_spec: SpecFactory, locations: Locations
) -> None:
    submit(storage, make_spec())
    with Worker(storage) as worker:
        claim = claim_trial(open_study(storage, "study"), worker)
        assert isinstance(claim, Claim)
        with claim, pytest.raises(StorageError, match="worked on"):
            delete(storage, "study", locations)
    delete(storage, "study", locations)
    assert not all_progress(storage)


def test_a_worker_that_comes_at_the_last_moment_keeps_its_study(
    sqlite_storage: Storage, make_spec: SpecFactory, locations: Locations
) -> None:
    storage = sqlite_storage
    submit(storage, make_spec())
    mine = belongings(storage, seen(storage, "study"), locations)
    with Worker(storage) as worker:
        claim = claim_trial(open_study(storage, "study"), worker)
        assert isinstance(claim, Claim)
        with claim, pytest.raises(StorageError, match="being worked on"):
            remove(storage, mine, locations, dead=frozenset(), outcome_of=lambda: None)
    assert all_progress(storage)


def tracked(storage: Storage, name: str, locations: Locations) -> StudyTracker:
    return StudyTracker.open(
        locations.tracking_uri,
        name,
        locations.state,
        study_uid=seen(storage, name).uid,
        study_file="",
        environment={},
        table=TrialsTable("accuracy", ("learning_rate",), maximize=True),
    )


def publish(storage: Storage, locations: Locations, model: Path) -> None:
    """A trial's run, its logged model, and a champion."""
    trained = locations.state / "trained"
    trained.mkdir(parents=True, exist_ok=True)
    (trained / "trained.safetensors").write_bytes(b"weights")
    (trained / "trial.json").write_text('{"bias": 0.25}')
    with tracked(storage, "study", locations) as tracker:
        trial = tracker.start_trial(0, 1, {"learning_rate": 1e-4})
        trial.log_model(trained)
        trial.finish("COMPLETE", {})
        tracker.publish_champion(model, "# card", {}, 0)


def shown_trials(uri: str) -> list[Any]:
    """The runs that the view of the experiment's page leaves in sight."""
    experiment = client(uri).get_experiment_by_name("study")
    view = json.loads(experiment.tags["mlflow.sharedViewState.hpo-trials"])
    packed = view["state"].partition(";")[2]
    shown = json.loads(zlib.decompress(base64.b64decode(packed)))["searchFilter"]
    return list(client(uri).search_runs([experiment.experiment_id], shown))


@pytest.mark.slow
def test_a_study_begun_again_under_its_name_does_not_mix_with_the_one_before(
    sqlite_storage: Storage, make_spec: SpecFactory, locations: Locations, tmp_path: Path
) -> None:
    storage, uri, model = sqlite_storage, locations.tracking_uri, tmp_path / "model"
    model.mkdir()
    save_tiny_classifier(model)
    submit(storage, make_spec())
    publish(storage, locations, model)
    # Deleted elsewhere, by means that know nothing of MLflow.
    storage.optuna.delete_study(seen(storage, "study").progress.study_id)
    submit(storage, make_spec())
    uid = seen(storage, "study").uid
    publish(storage, locations, model)
    beside = f"study-{uid[:8]}"
    assert len(runs(uri, "study")) == 4
    assert len(shown_trials(uri)) == 1
    assert [v.version for v in client(uri).search_model_versions("name = 'study'")] == [1]
    mine = delete(storage, "study", locations)
    assert (len(mine.in_mlflow.runs), len(mine.in_mlflow.models)) == (2, 2)
    assert mine.in_mlflow.versions == ((beside, "1"),)
    assert len(runs(uri, "study")) == 2
    names = [found.name for found in client(uri).search_registered_models()]
    assert names == ["study"]


@pytest.mark.slow
def test_a_study_that_was_deleted_leaves_its_name_free(
    sqlite_storage: Storage, make_spec: SpecFactory, locations: Locations, tmp_path: Path
) -> None:
    storage, uri, model = sqlite_storage, locations.tracking_uri, tmp_path / "model"
    model.mkdir()
    save_tiny_classifier(model)
    for _ in range(2):
        submit(storage, make_spec())
        publish(storage, locations, model)
        assert len(runs(uri, "study")) == 2
        assert client(uri).get_model_version_by_alias("study", "champion").version == 1
        delete(storage, "study", locations)
        assert client(uri).get_experiment_by_name("study") is None
        assert not client(uri).search_registered_models()
        weights = [
            path for path in (tmp_path / "mlruns").rglob("*") if path.suffix == ".safetensors"
        ]
        assert not weights


@pytest.mark.slow
def test_a_process_between_two_trials_is_at_its_study(
    sqlite_storage: Storage, make_spec: SpecFactory, locations: Locations
) -> None:
    storage = sqlite_storage
    submit(storage, make_spec())
    with tracked(storage, "study", locations) as tracker:
        assert tracker.flush(60) == 0
        with pytest.raises(StorageError, match="being worked on"):
            delete(storage, "study", locations)
    delete(storage, "study", locations)


@pytest.mark.slow
def test_while_something_waits_for_mlflow_nothing_is_deleted(
    sqlite_storage: Storage,
    make_spec: SpecFactory,
    locations: Locations,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = sqlite_storage
    monkeypatch.setattr("hpo.runtime.study_parts._SEND_SECONDS", 1.0)
    away = replace(locations, tracking_uri="http://127.0.0.1:9")
    submit(storage, make_spec())
    tracked(storage, "study", away).close(timeout_seconds=1.0)
    with pytest.raises(TrackingError, match="still wait for it"):
        delete(storage, "study", locations)
    assert all_progress(storage)
