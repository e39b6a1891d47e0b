"""Claims and the budget: who gets which trial, what is passed on, and who may write about it."""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import exc

from hpo.leases.heartbeat import Worker
from hpo.leases.lease import LeaseLost
from hpo.storage.optuna_tables import (
    STUDIES,
    STUDY_DIRECTIONS,
    STUDY_SYSTEM_ATTRIBUTES,
    TRIAL_INTERMEDIATE_VALUES,
    TRIAL_SYSTEM_ATTRIBUTES,
    TRIAL_USER_ATTRIBUTES,
    TRIAL_VALUES,
    TRIALS,
)
from hpo.storage.storage import Storage
from hpo.studies.progress import progress
from hpo.studies.registration import submit
from hpo.studies.studies import OpenStudy, open_study
from tests.leases.claimed import COMPLETE, FAIL, PRUNED, RUNNING, SpecFactory, complete, take


def test_finishing_twice_is_finishing_once(study: OpenStudy, worker: Worker) -> None:
    claim = take(study, worker)
    claim.suggest()
    claim.finish(COMPLETE, 0.75)
    claim.finish(COMPLETE, 0.75)
    assert study.load().trials[0].value == 0.75
    assert progress(study.storage, "study").finished == 1
    with pytest.raises(LeaseLost):
        claim.report(0.5, 9)


def cut_after_commit(storage: Storage, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> None:
    """The next write transactions go through, but their answer is lost."""
    left = [times]
    commit = storage.engine.dialect.do_commit

    def lossy(connection: object) -> None:
        commit(connection)  # type: ignore[arg-type]
        if left[0]:
            left[0] -= 1
            raise exc.OperationalError("COMMIT", {}, ConnectionError("gone"))

    monkeypatch.setattr(storage.engine.dialect, "do_commit", lossy)


@pytest.mark.parametrize("state", [COMPLETE, PRUNED, FAIL])
def test_a_finish_whose_answer_was_lost_is_not_told_twice_nor_lost(
    study: OpenStudy, worker: Worker, monkeypatch: pytest.MonkeyPatch, state: TrialState
) -> None:
    claim = take(study, worker)
    claim.suggest()
    cut_after_commit(study.storage, monkeypatch)
    claim.finish(state, 0.5 if state is COMPLETE else None)
    assert study.load().trials[0].state == state


def test_a_claim_whose_answer_was_lost_is_found_again(
    study: OpenStudy, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_after_commit(study.storage, monkeypatch)
    assert take(study, worker).number == 0
    assert len(study.load().trials) == 1
    take(study, worker).release()
    cut_after_commit(study.storage, monkeypatch)
    again = take(study, worker)
    assert (again.number, again.attempt) == (1, 2)


def test_parameters_whose_storing_was_not_answered_are_not_drawn_anew(
    study: OpenStudy, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = take(study, worker)
    cut_after_commit(study.storage, monkeypatch, times=3)
    params = claim.suggest()
    assert study.load().trials[0].params == params


def test_somebody_elses_tell_is_respected(study: OpenStudy, worker: Worker) -> None:
    claim = take(study, worker)
    claim.suggest()
    optuna.load_study(study_name="study", storage=study.storage.url).tell(0, 0.125)
    with pytest.raises(LeaseLost):
        claim.finish(COMPLETE, 0.9)
    assert study.load().trials[0].value == 0.125
    assert progress(study.storage, "study").finished == 1


def test_a_finished_trial_is_what_optunas_own_tell_would_have_made_of_it(
    study: OpenStudy, worker: Worker
) -> None:
    claim = take(study, worker)
    params = claim.suggest()
    claim.report(0.25, 1)
    claim.report(math.nan, 2)
    claim.report(math.inf, 3)
    claim.finish(COMPLETE, 0.5)
    theirs = optuna.create_study(storage=study.storage.url, study_name="theirs")
    trial = theirs.ask(study.load().trials[0].distributions)
    for step, value in ((1, 0.25), (2, math.nan), (3, math.inf)):
        trial.report(value, step)
    theirs.tell(trial, 0.5)
    ours, expected = study.load().trials[0], theirs.trials[0]
    assert (ours.state, ours.values, ours.params) == (expected.state, expected.values, params)
    assert repr(ours.intermediate_values) == repr(expected.intermediate_values)
    for a, b in (
        (ours.datetime_start, expected.datetime_start),
        (ours.datetime_complete, expected.datetime_complete),
    ):
        assert a is not None
        assert b is not None
        assert abs(a - b) < timedelta(seconds=30)


def test_times_are_stored_as_optuna_stores_them_in_every_time_zone(
    study: OpenStudy, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        complete(take(study, worker))
        trial = study.load().trials[0]
        assert trial.datetime_start is not None
        assert trial.datetime_complete is not None
        assert abs(trial.datetime_start - datetime.now()) < timedelta(seconds=30)
        assert trial.datetime_complete >= trial.datetime_start
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinite_values_are_kept(study: OpenStudy, worker: Worker, value: float) -> None:
    complete(take(study, worker), value)
    assert study.load().trials[0].value == value


@pytest.mark.parametrize(
    ("reports", "value"), [([], None), ([0.5, 0.25], 0.25), ([0.5, math.nan], None)]
)
def test_a_pruned_trial_has_the_value_that_it_reported_last(
    study: OpenStudy, worker: Worker, reports: list[float], value: float | None
) -> None:
    claim = take(study, worker)
    claim.suggest()
    for step, each in enumerate(reports, start=1):
        claim.report(each, step)
    claim.finish(PRUNED)
    trial = study.load().trials[0]
    assert (trial.state, trial.value) == (PRUNED, value)


@pytest.mark.parametrize(
    ("state", "value"), [(COMPLETE, None), (COMPLETE, math.nan), (FAIL, 1.0), (RUNNING, None)]
)
def test_an_outcome_that_makes_no_sense_is_refused(
    study: OpenStudy, worker: Worker, state: TrialState, value: float | None
) -> None:
    with pytest.raises(ValueError, match=r"trial|value"):
        take(study, worker).finish(state, value)


def test_reports_beyond_the_checkpoint_are_forgotten(study: OpenStudy, worker: Worker) -> None:
    claim = take(study, worker)
    claim.suggest()
    for step in range(1, 6):
        claim.report(step / 10, step)
    claim.release()
    again = take(study, worker)
    again.forget_reports_after(3)
    assert again.trial._cached_frozen_trial.last_step == 3
    again.report(0.9, 4)
    assert study.load().trials[0].intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.9}


def test_the_pruner_is_asked_about_what_was_reported(
    sqlite_storage: Storage, make_spec: SpecFactory
) -> None:
    pruner = {"name": "median", "n_startup_trials": 1, "n_warmup_steps": 0}
    submit(sqlite_storage, make_spec(pruner=pruner, study__trials=3))
    study = open_study(sqlite_storage, "study")
    with Worker(sqlite_storage) as worker:
        good = take(study, worker)
        good.suggest()
        good.report(0.9, 1)
        assert not good.should_prune()
        good.finish(COMPLETE, 0.9)
        bad = take(study, worker)
        bad.suggest()
        bad.report(0.1, 1)
        assert bad.should_prune()


def test_optunas_tables_are_still_the_ones_that_we_write_to() -> None:
    columns = {
        table.name: sorted(column.name for column in table.columns)
        for table in (
            STUDIES,
            STUDY_DIRECTIONS,
            STUDY_SYSTEM_ATTRIBUTES,
            TRIALS,
            TRIAL_VALUES,
            TRIAL_INTERMEDIATE_VALUES,
            TRIAL_USER_ATTRIBUTES,
            TRIAL_SYSTEM_ATTRIBUTES,
        )
    }
    assert columns == {
        "studies": ["study_id", "study_name"],
        "study_system_attributes": [
            "key",
            "study_id",
            "study_system_attribute_id",
            "value_json",
        ],
        "study_directions": ["direction", "objective", "study_direction_id", "study_id"],
        "trials": [
            "datetime_complete",
            "datetime_start",
            "number",
            "state",
            "study_id",
            "trial_id",
        ],
        "trial_values": ["objective", "trial_id", "trial_value_id", "value", "value_type"],
        "trial_intermediate_values": [
            "intermediate_value",
            "intermediate_value_type",
            "step",
            "trial_id",
            "trial_intermediate_value_id",
        ],
        "trial_user_attributes": ["key", "trial_id", "trial_user_attribute_id", "value_json"],
        "trial_system_attributes": ["key", "trial_id", "trial_system_attribute_id", "value_json"],
    }
