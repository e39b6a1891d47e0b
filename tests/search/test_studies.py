"""Studies registered, found again, and refused where they are not what they were."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import event

from hpo.errors import StorageError, StudyFileError
from hpo.search.budget import claim_trial
from hpo.search.claims import Claim
from hpo.search.heartbeat import Worker
from hpo.search.storage import Storage, open_storage
from hpo.search.studies import (
    load_spec,
    next_study,
    open_study,
    progress,
    recall,
    remember,
    set_finished_trial_user_attr,
    set_trial_run,
    studies_with_work,
    study_uid,
    submit,
)
from hpo.spec.study import StudySpec

SpecFactory = Callable[..., StudySpec]
FORK = multiprocessing.get_context("fork")


def finish_one(storage: Storage, name: str) -> Claim:
    with Worker(storage) as worker:
        claim = claim_trial(open_study(storage, name), worker)
        assert isinstance(claim, Claim)
        claim.suggest()
        claim.finish(TrialState.COMPLETE, 0.5)
        return claim


def test_a_study_file_comes_back_as_it_was_submitted(
    storage: Storage, make_spec: SpecFactory
) -> None:
    spec = make_spec(
        sampler={"name": "tpe", "n_startup_trials": 3},
        pruner={"name": "median"},
        training__weight_decay=0.1,
        study__metric="log_loss",
    )
    submit(storage, spec, trials=7)
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
    submit(storage, make_spec(), trials=1)
    finish_one(storage, "study")
    assert next_study(storage) is None
    assert submit(storage, make_spec(), trials=3).finished == 1
    found = next_study(storage)
    assert found is not None
    assert (found.name, found.wanted) == ("study", 3)


def test_a_budget_below_what_is_finished_leaves_nothing_to_do(
    storage: Storage, make_spec: SpecFactory
) -> None:
    submit(storage, make_spec(), trials=5)
    finish_one(storage, "study")
    finish_one(storage, "study")
    assert submit(storage, make_spec(), trials=1).is_done


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
    submit(sqlite_storage, make_spec(), trials=3)
    with pytest.raises(StorageError) as caught:
        submit(sqlite_storage, make_spec(**changed), trials=9)
    assert key in caught.value.found
    assert "--name" in caught.value.mend
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
    assert submit(storage, make_spec(), trials=2).wanted == 2


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
        submit(storage, make_spec(name), trials=1, priority=priority)
    finish_one(storage, "done")
    assert [each.name for each in studies_with_work(storage)] == ["urgent", "old", "new"]
    assert [each.name for each in studies_with_work(storage, "new")] == ["new"]


def test_a_study_whose_trials_are_all_taken_comes_last(
    storage: Storage, make_spec: SpecFactory
) -> None:
    submit(storage, make_spec("a"), trials=1, priority=1)
    submit(storage, make_spec("b"), trials=1)
    with Worker(storage) as worker:
        claim_trial(open_study(storage, "a"), worker)
        assert [each.name for each in studies_with_work(storage)] == ["b", "a"]


def test_a_grid_smaller_than_the_budget_is_refused_with_its_size(
    sqlite_storage: Storage, make_spec: SpecFactory
) -> None:
    grid = make_spec(sampler="grid", space={"batch_size": [8, 16], "epochs": [1, 2, 3]})
    with pytest.raises(StudyFileError, match="7 trials for a grid of 6 points") as caught:
        submit(sqlite_storage, grid, trials=7)
    assert "Lower the trials to 6" in caught.value.mend
    submit(sqlite_storage, grid, trials=6)


def test_n_layer_is_resolved_by_the_model_when_the_study_is_opened(
    sqlite_storage: Storage, make_spec: SpecFactory
) -> None:
    space = {"freeze_depth": {"low": 0, "high": "n_layer"}}
    submit(sqlite_storage, make_spec("grid", sampler="grid", space=space), trials=9)
    assert open_study(sqlite_storage, "grid", n_layer=12).grid_size == 13
    with pytest.raises(StudyFileError, match="grid of 5 points"):
        open_study(sqlite_storage, "grid", n_layer=4)


def test_a_study_remembers_what_it_has_learnt(storage: Storage, make_spec: SpecFactory) -> None:
    study_id = submit(storage, make_spec()).study_id
    assert recall(storage, study_id, "micro_batch") is None
    remember(storage, study_id, "micro_batch", 8)
    remember(storage, study_id, "micro_batch", {"size": 4})
    assert recall(storage, study_id, "micro_batch") == {"size": 4}


def test_a_finished_trial_gets_an_attribute_that_optuna_then_shows(
    storage: Storage, make_spec: SpecFactory
) -> None:
    submit(storage, make_spec(), trials=1)
    claim = finish_one(storage, "study")
    for value in ("first", "second"):
        set_finished_trial_user_attr(storage, claim.trial_id, "note", value)
    study = optuna.load_study(study_name="study", storage=storage.url)
    assert study.trials[0].user_attrs["note"] == "second"
    with pytest.raises(KeyError):
        set_finished_trial_user_attr(storage, 999, "note", "x")


def test_a_trial_is_linked_to_its_run_and_an_overtaken_attempt_is_passed_over(
    storage: Storage, make_spec: SpecFactory
) -> None:
    uid = study_uid(storage, submit(storage, make_spec(), trials=1).study_id)
    study = open_study(storage, "study")
    with Worker(storage) as worker:
        first = claim_trial(study, worker)
        assert isinstance(first, Claim)
        first.release()
        second = claim_trial(study, worker)
        assert isinstance(second, Claim)
        second.suggest()
        second.finish(TrialState.COMPLETE, 1.0)
    assert set_trial_run(storage, uid, 0, run_id="r2", url="u2", attempt=2)
    assert not set_trial_run(storage, uid, 0, run_id="r1", url="u1", attempt=1)
    assert not set_trial_run(storage, uid, 1, run_id="r", url="u")
    attrs = study.load().trials[0].user_attrs
    assert attrs == {"mlflow_run_id": "r2", "mlflow_url": "u2"}


def test_deleting_a_study_with_optunas_means_takes_our_rows_along(
    storage: Storage, make_spec: SpecFactory
) -> None:
    study_id = submit(storage, make_spec(), trials=2).study_id
    uid = study_uid(storage, study_id)
    remember(storage, study_id, "micro_batch", 8)
    finish_one(storage, "study")
    optuna.delete_study(study_name="study", storage=storage.url)  # by a connection of its own
    for table in ("hpo_studies", "hpo_claims", "hpo_memory"):
        with storage.read() as connection:
            count = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
        assert count == 0, table
    again = submit(storage, make_spec(), trials=1)
    assert again.finished == 0
    assert study_uid(storage, again.study_id) != uid


def _submit_at(url: str, start_at: float, spec: StudySpec) -> None:
    time.sleep(max(0.0, start_at - time.time()))
    with open_storage(url) as storage:
        submit(storage, spec, trials=5)


def test_six_processes_may_submit_the_same_study_to_an_empty_storage_at_once(
    storage_url: str, make_spec: SpecFactory
) -> None:
    start_at = time.time() + 0.3
    processes = [
        FORK.Process(target=_submit_at, args=(storage_url, start_at, make_spec())) for _ in range(6)
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
        study_id = submit(storage, make_spec(), trials=5).study_id
        with storage.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

        def limit(connection: object, _record: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]

        event.listen(storage.engine, "connect", limit)
        storage.engine.dispose()
        with pytest.raises(StorageError, match="no space left"):
            remember(storage, study_id, "large", "x" * 1_000_000)
        assert progress(storage, "study").wanted == 5
