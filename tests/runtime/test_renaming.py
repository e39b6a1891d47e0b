"""A study renamed with all that goes by its name, whole or as it was, and gone on with where it was cut short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpo.errors import StorageError, StudyGoneError, TrackingError
from hpo.leases.budget import claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.runtime.outcomes import outcome_reader, set_trial_run
from hpo.runtime.renaming import Renamed, rename
from hpo.runtime.study_folder import study_folder
from hpo.runtime.study_parts import check_idle
from hpo.spec.locations import Locations
from hpo.storage.storage import Storage
from hpo.studies.confirmations import ConfirmationRun, RunKey, confirmation_trials, want_runs
from hpo.studies.integrity import check_study
from hpo.studies.overview import Overview, overviews
from hpo.studies.progress import progress
from hpo.studies.registration import submit
from hpo.studies.studies import OpenStudy, load_spec, open_study
from hpo.tracking.identity import StudyIdentity
from hpo.tracking.removal import find_in_mlflow
from hpo.tracking.tracker import StudyTracker
from tests.storages import SpecFactory, locations_without_storage
from tests.studies.finished import finish_one
from tests.tracking.reading import client, runs
from tests.tracking.tiny import save_tiny_classifier


@pytest.fixture
def locations(tmp_path: Path) -> Locations:
    return locations_without_storage(tmp_path)


def renamed(
    storage: Storage, locations: Locations, old: str = "study", new: str = "new"
) -> Renamed:
    def outcomes() -> Any:
        return outcome_reader(storage, locations.state)

    return rename(storage, old, new, locations, outcome_of=outcomes)


def seen(storage: Storage, name: str) -> Overview:
    [study] = overviews(storage, name)
    return study


def finish_linked(storage: Storage, name: str = "study") -> None:
    claim = finish_one(storage, name)
    # As where MLflow had a run that is gone.
    set_trial_run(storage, seen(storage, name).uid, claim.number, run_id="run", url="")


def wanted(study: OpenStudy, repetition: int) -> None:
    point = dict(study.load().best_params)
    key = RunKey(0, repetition, "same")
    want_runs(study, [ConfirmationRun(key, point, scored_at=())])


def test_all_that_the_storage_and_the_disk_have_goes_by_the_new_name(
    storage: Storage,
    make_spec: SpecFactory,
    locations: Locations,
    caplog: pytest.LogCaptureFixture,
) -> None:
    submit(storage, make_spec(study__trials=3), priority=7)
    submit(storage, make_spec("other"))
    finish_linked(storage)
    before = open_study(storage, "study")
    wanted(before, 0)
    folder = study_folder(locations.state, "study", before.uid)
    folder.mkdir(parents=True)
    (folder / "checkpoint").write_bytes(b"state")
    told = renamed(storage, locations)
    assert (told.uid, told.model, told.runs) == (before.uid, None, 0)
    [moved] = told.folders
    assert (moved.name, (moved / "checkpoint").read_bytes()) == (f"new-{before.uid[:12]}", b"state")
    after = open_study(storage, "new")
    assert (after.study_id, after.uid, after.names) == (
        before.study_id,
        before.uid,
        ("new", "study"),
    )
    assert after.registered_name == "new"
    check_study(storage, after.study_id, "new")
    at = progress(storage, "new")
    assert (at.wanted, at.finished, at.priority) == (3, 1, 7)
    assert len(confirmation_trials(after)) == 1
    confirmation = load_spec(storage, "new/confirmation")
    assert (confirmation.name, confirmation.study.description[:20]) == (
        *("new", "Confirmation of new:"),
    )
    submit(storage, make_spec("new", study__trials=4))
    finish_linked(storage, "new")
    wanted(after, 1)
    assert len(confirmation_trials(after)) == 2
    assert seen(storage, "other").name == "other"
    submit(storage, make_spec())  # whose name is free
    assert seen(storage, "study").uid != before.uid
    assert "Study study begins anew; the one that was called so is new now" in caplog.text
    renamed(storage, locations, "new", "newest")
    assert open_study(storage, "newest").names == ("newest", "new", "study")


def test_who_has_the_study_open_is_told(
    storage: Storage, make_spec: SpecFactory, locations: Locations
) -> None:
    submit(storage, make_spec())
    study = open_study(storage, "study")
    renamed(storage, locations)
    with Worker(storage) as worker, pytest.raises(StudyGoneError, match="study renamed to new"):
        claim_trial(study, worker)
    with pytest.raises(StudyGoneError, match="study renamed to new"):
        study.read(lambda each: each.trials)


def test_a_study_that_cannot_be_renamed_stays_as_it_is(
    storage: Storage, make_spec: SpecFactory, locations: Locations
) -> None:
    submit(storage, make_spec())
    submit(storage, make_spec("other"))
    with Worker(storage) as worker:
        claim = claim_trial(open_study(storage, "study"), worker)
        assert isinstance(claim, Claim)
        with claim, pytest.raises(StorageError, match="being worked on"):
            renamed(storage, locations)
    with pytest.raises(StorageError, match="a study other; expected a name that is free"):
        renamed(storage, locations, new="other")
    finish_one(storage, "study")
    with pytest.raises(TrackingError, match="no runs of the finished trials 0 of study"):
        renamed(storage, locations)
    uid = seen(storage, "study").uid
    set_trial_run(storage, uid, 0, run_id="run", url="http://elsewhere/run")
    with pytest.raises(TrackingError, match="none of the runs of study; expected the MLflow that"):
        renamed(storage, locations)
    assert [each.name for each in overviews(storage)] == ["study", "other"]
    assert not list(locations.state.parent.glob("mlflow.db*"))


def tracked(storage: Storage, locations: Locations, name: str = "study") -> StudyTracker:
    earlier = open_study(storage, name).earlier
    return StudyTracker.open(
        locations.tracking_uri,
        name,
        locations.state,
        study_uid=seen(storage, name).uid,
        registered_as=earlier.registered_as,
        study_file="",
        environment={},
    )


def publish(tracker: StudyTracker, number: int, folder: Path) -> None:
    """A trial's run, its logged model, and a champion."""
    trained, model = folder / "trained", folder / "model"
    for each in (trained, model):
        each.mkdir(exist_ok=True)
    (trained / "trained.safetensors").write_bytes(b"weights")
    (trained / "trial.json").write_text('{"bias": 0.25}')
    save_tiny_classifier(model)
    trial = tracker.start_trial(number, 1, {"learning_rate": 1e-4})
    trial.log_model(trained)
    trial.finish("COMPLETE", {})
    tracker.publish_champion(model, "# card", {}, number, times_tested=number + 1)


def interrupt_after_one_change(patch: pytest.MonkeyPatch) -> None:
    """Let MLflow's client change one thing that is not so already, and stop right after it."""
    from mlflow.tracking import MlflowClient

    for name in (
        "rename_experiment",
        "update_run",
        "set_logged_model_tags",
        "set_model_version_tag",
        "set_registered_model_tag",
        "log_batch",
    ):
        change = getattr(MlflowClient, name)

        def changed(self: Any, *given: Any, _change: Any = change, **named: Any) -> None:
            _change(self, *given, **named)
            raise KeyboardInterrupt

        patch.setattr(MlflowClient, name, changed)


def tags_of(uri: str, model: str) -> list[dict[str, str]]:
    versions = client(uri).search_model_versions(f"name = '{model}'")
    return [dict(version.tags) for version in versions]


@pytest.mark.slow
def test_wherever_it_is_cut_short_nobody_goes_on_with_it_and_the_same_call_ends_it(
    sqlite_storage: Storage, make_spec: SpecFactory, locations: Locations, tmp_path: Path
) -> None:
    storage, uri = sqlite_storage, locations.tracking_uri
    submit(storage, make_spec())
    finish_linked(storage)
    with tracked(storage, locations) as tracker:
        assert tracker.flush(60) == 0
        with pytest.raises(StorageError, match="being worked on"):
            renamed(storage, locations)
        publish(tracker, 0, tmp_path)
    identity = StudyIdentity("study", seen(storage, "study").uid)
    had = find_in_mlflow(uri, identity)
    assert (len(had.runs), len(had.models), had.versions) == (2, 2, (("study", "1"),))
    cuts = 0
    while True:
        try:
            with pytest.MonkeyPatch.context() as patch:
                interrupt_after_one_change(patch)
                renamed(storage, locations)
        except KeyboardInterrupt:
            cuts += 1
            assert cuts < 40
            again = "`python -m hpo.studies rename study new` again"
            for name in ("study", "new"):
                with pytest.raises(StudyGoneError, match=again):
                    submit(storage, make_spec(name))
            with pytest.raises(StudyGoneError, match=again):
                open_study(storage, "new")
            with pytest.raises(StudyGoneError, match=again):
                renamed(storage, locations, "new", "newer")
        else:
            break
    assert cuts >= 6
    has = find_in_mlflow(uri, StudyIdentity("new", identity.uid, "study"))
    assert (set(has.runs), set(has.models), has.versions) == (
        *(set(had.runs), set(had.models), had.versions),
    )
    assert client(uri).get_experiment_by_name("study") is None
    assert {run.info.run_name for run in runs(uri, "new")} == {"new", "trial-0000"}
    told = [run.data.tags for run in runs(uri, "new")] + tags_of(uri, "study")
    assert {tags["optuna.study_name"] for tags in told} == {"new"}
    assert not [tags for tags in told if f":study:{identity.uid}" in str(tags)]
    assert renamed_goes_on(storage, locations, tmp_path) == ["1", "2"]


def renamed_goes_on(storage: Storage, locations: Locations, folder: Path) -> list[str]:
    """What the registered model has once the study has one more champion; its runs are not begun anew."""
    uri = locations.tracking_uri
    before = {run.info.run_id for run in runs(uri, "new")}
    with tracked(storage, locations, "new") as tracker:
        assert tracker.trials_with_models() == {0}
        publish(tracker, 1, folder)
    assert len(runs(uri, "new")) == len(before) + 1
    assert [model.name for model in client(uri).search_registered_models()] == ["study"]
    assert client(uri).get_model_version_by_alias("study", "champion").version == 2
    check_idle(storage, seen(storage, "new"), locations.state)
    return sorted(str(v.version) for v in client(uri).search_model_versions("name = 'study'"))


@pytest.mark.slow
def test_names_that_are_anothers_in_mlflow_are_refused(
    sqlite_storage: Storage, make_spec: SpecFactory, locations: Locations
) -> None:
    storage, uri = sqlite_storage, locations.tracking_uri
    submit(storage, make_spec())
    tracked(storage, locations).close(60)
    storage.optuna.delete_study(seen(storage, "study").progress.study_id)
    submit(storage, make_spec())
    tracked(storage, locations).close(60)
    with pytest.raises(TrackingError, match="runs of 1 other studies called study"):
        renamed(storage, locations)
    taken = client(uri).create_experiment("new")
    with pytest.raises(TrackingError, match="found an experiment new; expected a name"):
        renamed(storage, locations)
    client(uri).delete_experiment(taken)
    with pytest.raises(TrackingError, match="found an experiment new in its trash"):
        renamed(storage, locations)
    assert seen(storage, "study")
