"""Studies registered, found again, and refused where they are not what they were."""

from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import event

from hpo.errors import (
    StorageError,
    StudyFileError,
    StudyGoneError,
)
from hpo.leases.budget import claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.leases.once import Once
from hpo.runtime.outcomes import set_trial_run
from hpo.spec.study import StudySpec
from hpo.storage.storage import Storage, open_storage
from hpo.studies.fingerprints import check_fingerprints
from hpo.studies.memory import recall, remember
from hpo.studies.progress import progress, studies_with_work
from hpo.studies.registration import submit
from hpo.studies.studies import load_spec, open_study
from hpo.studies.trial_probabilities import keep_probabilities
from tests.storages import SpecFactory
from tests.studies.finished import SEEN, finish_one

FORK = multiprocessing.get_context("fork")


def test_a_study_file_comes_back_as_it_was_submitted(
    storage: Storage, make_spec: SpecFactory
) -> None:
    spec = make_spec(
        sampler={"name": "tpe", "n_startup_trials": 3},
        pruner={"name": "median"},
        training__weight_decay=0.1,
        study__metric="log_loss",
        study__trials=7,
    )
    submit(storage, spec)
    assert load_spec(storage, "study") == spec
    assert progress(storage, "study").wanted == 7
    study = optuna.load_study(study_name="study", storage=storage.optuna)
    assert study.direction == optuna.study.StudyDirection.MINIMIZE


def test_the_budget_is_the_files_unless_another_is_given(
    storage: Storage, make_spec: SpecFactory
) -> None:
    assert submit(storage, make_spec(study__trials=13)).wanted == 13


def test_submitting_again_sets_the_budget_and_keeps_the_trials(
    storage: Storage, make_spec: SpecFactory
) -> None:
    submit(storage, make_spec(study__trials=1))
    finish_one(storage, "study")
    assert studies_with_work(storage) == []
    assert submit(storage, make_spec(study__trials=3)).finished == 1
    assert [(each.name, each.wanted) for each in studies_with_work(storage)] == [("study", 3)]


def test_a_budget_below_what_is_finished_leaves_nothing_to_do(
    storage: Storage, make_spec: SpecFactory
) -> None:
    submit(storage, make_spec(study__trials=5))
    finish_one(storage, "study")
    finish_one(storage, "study")
    assert submit(storage, make_spec(study__trials=1)).is_done


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"data__source": "other.csv"}, "data.source"),
        ({"model__name": "gpt2"}, "model.name"),
        ({"study__metric": "log_loss"}, "study.metric"),
        ({"study__seed": 1}, "study.seed"),
        ({"training__momentum": 0.5}, "training.momentum"),
        ({"space": {"epochs": {"low": 1, "high": 5}}}, "search.space.learning_rate"),
        ({"space": {"learning_rate": {"low": 1e-6, "high": 1e-2}}}, "search.space.learning_rate"),
    ],
)
def test_another_study_under_the_same_name_is_refused_with_the_keys_that_differ(
    sqlite_storage: Storage, make_spec: SpecFactory, changed: dict[str, object], key: str
) -> None:
    submit(sqlite_storage, make_spec(study__trials=3))
    with pytest.raises(StorageError) as caught:
        submit(sqlite_storage, make_spec(**changed, study__trials=9))
    assert key in caught.value.found
    assert "--name" in caught.value.hint
    assert progress(sqlite_storage, "study").wanted == 3


@pytest.mark.parametrize(
    "changed",
    [
        {"study__trials": 99},
        {"study__description": "again"},
        {"tracking__keep": "all"},
        {"training__checkpoint": "never"},
        {"sampler": "tpe"},
        {"pruner": "median"},
    ],
)
def test_what_does_not_change_the_trials_may_change(
    sqlite_storage: Storage, make_spec: SpecFactory, changed: dict[str, object]
) -> None:
    submit(sqlite_storage, make_spec())
    submit(sqlite_storage, make_spec(**changed))
    assert load_spec(sqlite_storage, "study") == make_spec(**changed)


def test_a_study_made_by_other_means_is_not_taken_over(
    storage: Storage, make_spec: SpecFactory
) -> None:
    theirs = optuna.create_study(storage=storage.optuna, study_name="study", direction="maximize")
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(StorageError, match="made by other means"):
        submit(storage, make_spec())


def test_an_empty_study_of_the_same_direction_is_taken_on(
    storage: Storage, make_spec: SpecFactory
) -> None:
    optuna.create_study(storage=storage.optuna, study_name="study", direction="maximize")
    assert submit(storage, make_spec(study__trials=2)).wanted == 2


def test_what_is_asked_of_a_deleted_study_is_answered_with_that(
    storage: Storage, make_spec: SpecFactory
) -> None:
    submit(storage, make_spec())
    study = open_study(storage, "study")
    optuna.delete_study(study_name="study", storage=storage.url)
    asked = (
        lambda: study.read(lambda found: found.trials),
        lambda: remember(storage, study.study_id, "champion", {}),
        lambda: Once(storage, study.study_id, "promoting").begin(),
        lambda: check_fingerprints(storage, study.study_id, "study", SEEN),
        lambda: open_study(storage, "study"),
    )
    for ask in asked:
        with pytest.raises(StudyGoneError):
            ask()
    study_id = submit(storage, make_spec()).study_id
    assert recall(storage, study_id, "champion") is None


def test_a_fault_of_the_caller_is_not_taken_for_a_deleted_study(
    sqlite_storage: Storage, make_spec: SpecFactory
) -> None:
    submit(sqlite_storage, make_spec())
    with pytest.raises(KeyError, match="nothing"):
        open_study(sqlite_storage, "study").read(lambda found: found.user_attrs["nothing"])


def test_an_unknown_study_is_answered_with_the_known_ones(
    storage: Storage, make_spec: SpecFactory
) -> None:
    submit(storage, make_spec("one"))
    with pytest.raises(StorageError, match="expected one of one"):
        load_spec(storage, "two")


def test_a_study_of_a_later_version_is_refused(
    sqlite_storage: Storage, make_spec: SpecFactory
) -> None:
    submit(sqlite_storage, make_spec())
    with sqlite_storage.write() as connection:
        connection.exec_driver_sql("""UPDATE hpo_studies SET spec_json = '{"new": 1}'""")
    with pytest.raises(StorageError, match="another version"):
        load_spec(sqlite_storage, "study")


def test_the_most_urgent_study_comes_first_and_then_the_oldest(
    storage: Storage, make_spec: SpecFactory
) -> None:
    for name, priority in (("old", 0), ("new", 0), ("urgent", 5), ("done", 9)):
        submit(storage, make_spec(name, study__trials=1), priority=priority)
    finish_one(storage, "done")
    assert [each.name for each in studies_with_work(storage)] == ["urgent", "old", "new"]
    assert [each.name for each in studies_with_work(storage, "new")] == ["new"]


def test_a_study_whose_trials_are_all_taken_comes_last(
    storage: Storage, make_spec: SpecFactory
) -> None:
    submit(storage, make_spec("a", study__trials=1), priority=1)
    submit(storage, make_spec("b", study__trials=1))
    with Worker(storage) as worker:
        claim_trial(open_study(storage, "a"), worker)
        assert [each.name for each in studies_with_work(storage)] == ["b", "a"]


def test_a_grid_smaller_than_the_budget_is_refused_with_its_size(
    sqlite_storage: Storage, make_spec: SpecFactory
) -> None:
    def grid(trials: int) -> StudySpec:
        space = {"batch_size": [8, 16], "epochs": [1, 2, 3]}
        return make_spec(sampler="grid", space=space, study__trials=trials)

    with pytest.raises(StudyFileError, match="7 trials for a grid of 6 points") as caught:
        submit(sqlite_storage, grid(7))
    assert "Lower the trials to 6" in caught.value.hint
    submit(sqlite_storage, grid(6))


def test_n_layer_is_resolved_by_the_model_when_the_study_is_opened(
    sqlite_storage: Storage, make_spec: SpecFactory
) -> None:
    space = {"freeze_depth": {"low": 0, "high": "n_layer"}}
    submit(sqlite_storage, make_spec("grid", sampler="grid", space=space, study__trials=9))
    assert open_study(sqlite_storage, "grid", n_layer=12).grid_size == 13
    with pytest.raises(StudyFileError, match="grid of 5 points"):
        open_study(sqlite_storage, "grid", n_layer=4)


def test_a_study_remembers_what_it_has_learnt(storage: Storage, make_spec: SpecFactory) -> None:
    study_id = submit(storage, make_spec()).study_id
    assert recall(storage, study_id, "micro_batch") is None
    remember(storage, study_id, "micro_batch", 8)
    remember(storage, study_id, "micro_batch", {"size": 4})
    assert recall(storage, study_id, "micro_batch") == {"size": 4}


def test_a_trial_is_linked_to_its_run_and_an_overtaken_attempt_is_passed_over(
    storage: Storage, make_spec: SpecFactory
) -> None:
    submit(storage, make_spec(study__trials=1))
    study = open_study(storage, "study")
    with Worker(storage) as worker:
        first = claim_trial(study, worker)
        assert isinstance(first, Claim)
        first.release()
        second = claim_trial(study, worker)
        assert isinstance(second, Claim)
        second.suggest()
        second.finish(TrialState.COMPLETE, 1.0)
    assert set_trial_run(storage, study.uid, 0, run_id="r2", url="u2", attempt=2)
    assert not set_trial_run(storage, study.uid, 0, run_id="r1", url="u1", attempt=1)
    assert not set_trial_run(storage, study.uid, 1, run_id="r", url="u")
    attrs = study.load().trials[0].user_attrs
    assert attrs == {"mlflow_run_id": "r2", "mlflow_url": "u2"}


def test_deleting_a_study_with_optunas_means_takes_our_rows_along(
    storage: Storage, make_spec: SpecFactory
) -> None:
    study_id = submit(storage, make_spec(study__trials=2)).study_id
    uid = open_study(storage, "study").uid
    remember(storage, study_id, "micro_batch", 8)
    claim = finish_one(storage, "study")
    with storage.write() as connection:
        answers = np.ones((3, 2), np.float32)
        keep_probabilities(connection, uid, claim.trial_id, claim.number, answers)
    optuna.delete_study(study_name="study", storage=storage.url)  # by a connection of its own
    for table in ("hpo_studies", "hpo_claims", "hpo_memory", "hpo_probabilities"):
        with storage.read() as connection:
            count = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
        assert count == 0, table
    again = submit(storage, make_spec(study__trials=1))
    assert again.finished == 0
    assert open_study(storage, "study").uid != uid


def _submit_at(url: str, together: Barrier, spec: StudySpec) -> None:
    together.wait(60)
    with open_storage(url) as storage:
        submit(storage, spec)


def test_six_processes_may_submit_the_same_study_to_an_empty_storage_at_once(
    storage_url: str, make_spec: SpecFactory
) -> None:
    together = FORK.Barrier(6)
    processes = [
        FORK.Process(target=_submit_at, args=(storage_url, together, make_spec())) for _ in range(6)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 6
    with open_storage(storage_url) as storage:
        assert [each.name for each in studies_with_work(storage)] == ["study"]


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path, make_spec: SpecFactory) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    with open_storage(url, retry_seconds=1) as storage:
        study_id = submit(storage, make_spec(study__trials=5)).study_id
        with storage.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

        def limit(connection: object, _record: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]

        event.listen(storage.engine, "connect", limit)
        storage.engine.dispose()
        with pytest.raises(StorageError, match="no space left"):
            remember(storage, study_id, "large", "x" * 1_000_000)
        assert progress(storage, "study").wanted == 5
