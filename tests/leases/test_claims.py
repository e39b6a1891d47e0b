"""Claims and the budget: who gets which trial, what is passed on, and who may write about it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import exc

from hpo.errors import StorageError
from hpo.leases.budget import NoTrial, claim_trial
from hpo.leases.claim_rows import live_leases
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.leases.lease import LeaseLost
from hpo.leases.liveness import Observer
from hpo.spec.study import StudySpec
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
from tests.waiting import wait_until

SpecFactory = Callable[..., StudySpec]
COMPLETE, PRUNED, FAIL, RUNNING = (
    TrialState.COMPLETE,
    TrialState.PRUNED,
    TrialState.FAIL,
    TrialState.RUNNING,
)


class StoppedClock:
    """A monotonic clock that tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def study(storage: Storage, make_spec: SpecFactory) -> OpenStudy:
    submit(storage, make_spec(study__trials=3))
    return open_study(storage, "study")


@pytest.fixture
def worker(storage: Storage) -> Iterator[Worker]:
    with Worker(storage, name="one") as opened:
        yield opened


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def other(storage: Storage, clock: StoppedClock) -> Iterator[Worker]:
    """A worker of another machine, which sees the first one's life by its beats alone."""
    observer = Observer(60, machine="elsewhere", clock=clock)
    with Worker(storage, name="two", observer=observer) as opened:
        yield opened


def take(study: OpenStudy, worker: Worker) -> Claim:
    claim = claim_trial(study, worker)
    assert isinstance(claim, Claim), claim
    return claim


def complete(claim: Claim, value: float = 0.5) -> None:
    claim.suggest()
    claim.finish(COMPLETE, value)


def observe_until_dead(study: OpenStudy, watcher: Worker, clock: StoppedClock) -> None:
    """Let the watcher see a lease's worth of silence, as its heartbeat thread would."""
    for _ in range(6):
        with study.storage.read() as connection:
            holds = live_leases(connection, study.study_id)
        watcher.observer.dead(study.study_id, holds)
        clock.now += 15


def test_a_budget_of_three_gives_three_trials_and_then_no_more(
    study: OpenStudy, worker: Worker
) -> None:
    for number in range(3):
        claim = take(study, worker)
        assert (claim.number, claim.attempt, claim.is_new) == (number, 1, True)
        complete(claim)
    assert claim_trial(study, worker) is NoTrial.DONE
    assert progress(study.storage, "study").finished == 3


def test_trials_in_other_hands_count_towards_the_budget(
    study: OpenStudy, worker: Worker, other: Worker
) -> None:
    claims = [take(study, each) for each in (worker, other, worker)]
    assert claim_trial(study, other) is NoTrial.WAIT
    for claim in claims:
        complete(claim)
    assert claim_trial(study, other) is NoTrial.DONE


def test_pruned_trials_count_and_failed_ones_do_not(study: OpenStudy, worker: Worker) -> None:
    take(study, worker).finish(FAIL, reason="loss is NaN")
    take(study, worker).finish(PRUNED)
    complete(take(study, worker))
    complete(take(study, worker))
    assert claim_trial(study, worker) is NoTrial.DONE
    states = [trial.state for trial in study.load().trials]
    assert states == [FAIL, PRUNED, COMPLETE, COMPLETE]
    assert study.load().trials[0].user_attrs["hpo.reason"] == "loss is NaN"


def test_raising_the_budget_gives_more_trials(
    study: OpenStudy, worker: Worker, make_spec: SpecFactory
) -> None:
    for _ in range(3):
        complete(take(study, worker))
    submit(study.storage, make_spec(study__trials=4))
    assert take(study, worker).number == 3


def test_a_released_trial_goes_on_at_once_where_it_was(
    study: OpenStudy, worker: Worker, other: Worker
) -> None:
    claim = take(study, worker)
    params = claim.suggest()
    claim.report(0.25, 1)
    claim.report(0.5, 2)
    claim.set_user_attrs({"note": "kept"})
    assert claim.release()
    again = take(study, other)
    assert (again.number, again.attempt, again.is_new) == (0, 2, False)
    assert again.suggest() == params
    assert again.trial._cached_frozen_trial.intermediate_values == {1: 0.25, 2: 0.5}
    assert again.trial.user_attrs == {"note": "kept"}


def test_releasing_often_uses_up_no_attempt(study: OpenStudy, worker: Worker) -> None:
    for attempt in range(1, 8):
        claim = take(study, worker)
        assert (claim.number, claim.attempt) == (0, attempt)
        claim.release()
    complete(take(study, worker))
    assert study.load().trials[0].state == COMPLETE


def test_a_claim_left_without_an_end_is_given_back(study: OpenStudy, worker: Worker) -> None:
    with pytest.raises(KeyboardInterrupt), take(study, worker):
        raise KeyboardInterrupt
    again = take(study, worker)
    assert (again.number, again.attempt) == (0, 2)


def test_a_silent_worker_of_another_machine_loses_its_trial_after_the_lease(
    study: OpenStudy, worker: Worker, other: Worker, clock: StoppedClock
) -> None:
    claims = [take(study, worker) for _ in range(3)]
    params = claims[0].suggest()
    for _ in range(4):
        assert claim_trial(study, other) is NoTrial.WAIT
        clock.now += 15
    taken = take(study, other)
    assert (taken.number, taken.attempt) == (0, 2)
    assert taken.suggest() == params


def test_a_worker_that_beats_keeps_its_trial_for_ever(
    study: OpenStudy, worker: Worker, other: Worker, clock: StoppedClock
) -> None:
    claims = [take(study, worker) for _ in range(3)]
    for _ in range(20):
        clock.now += 50
        for claim in claims:
            claim.lease.renew()
        assert claim_trial(study, other) is NoTrial.WAIT
        assert claim_trial(study, other) is NoTrial.WAIT


def test_an_observer_that_could_not_look_for_an_hour_takes_nothing(
    study: OpenStudy, worker: Worker, other: Worker, clock: StoppedClock
) -> None:
    for _ in range(3):
        take(study, worker)
    assert claim_trial(study, other) is NoTrial.WAIT
    clock.now += 3600
    assert claim_trial(study, other) is NoTrial.WAIT


def test_a_dead_process_of_this_machine_loses_its_trial_at_once(
    study: OpenStudy, worker: Worker
) -> None:
    child = os.fork()
    if child == 0:  # takes a trial, reports, and is gone without a word
        study.storage.engine.dispose(close=False)
        mine = take(study, Worker(study.storage, name="child"))
        mine.suggest()
        mine.report(0.125, 1)
        os._exit(0)
    os.waitpid(child, 0)
    claim = take(study, worker)
    assert (claim.number, claim.attempt) == (0, 2)
    assert claim.trial._cached_frozen_trial.intermediate_values == {1: 0.125}


def test_a_trial_over_which_three_workers_died_fails_with_its_reason(
    study: OpenStudy, other: Worker, clock: StoppedClock
) -> None:
    for attempt in (1, 2, 3):
        with Worker(study.storage, observer=other.observer) as mortal:
            claim = take(study, mortal)
        assert (claim.number, claim.attempt) == (0, attempt)
        observe_until_dead(study, other, clock)
    claim = take(study, other)
    assert (claim.number, claim.attempt) == (1, 1)
    first = study.load().trials[0]
    assert first.state == FAIL
    assert first.user_attrs["hpo.reason"] == "3 workers died over this trial"


def taken_over(study: OpenStudy, worker: Worker, other: Worker, clock: StoppedClock) -> Claim:
    """A claim of `worker` that `other` has taken over without `worker` knowing."""
    claim = take(study, worker)
    claim.suggest()
    worker.drop(claim.lease)
    observe_until_dead(study, other, clock)
    heir = take(study, other)
    assert (heir.number, heir.attempt) == (claim.number, 2)
    return claim


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda claim: claim.report(0.9, 7), id="report"),
        pytest.param(lambda claim: claim.finish(COMPLETE, 0.9), id="complete"),
        pytest.param(lambda claim: claim.finish(FAIL, reason="zombie"), id="fail"),
        pytest.param(lambda claim: claim.set_user_attrs({"zombie": 1}), id="attribute"),
        pytest.param(lambda claim: claim.forget_reports_after(0), id="forget"),
    ],
)
def test_a_worker_that_lost_its_trial_cannot_write(
    study: OpenStudy,
    worker: Worker,
    other: Worker,
    clock: StoppedClock,
    act: Callable[[Claim], None],
) -> None:
    zombie = taken_over(study, worker, other, clock)
    with pytest.raises(LeaseLost):
        act(zombie)
    trial = study.load().trials[0]
    assert (trial.state, trial.intermediate_values, trial.user_attrs) == (RUNNING, {}, {})
    assert not zombie.release()
    with pytest.raises(LeaseLost):
        zombie.should_prune()


def test_the_heartbeat_notices_that_the_trial_is_lost(
    study: OpenStudy, worker: Worker, other: Worker, clock: StoppedClock
) -> None:
    zombie = taken_over(study, worker, other, clock)
    zombie.lease.renew()
    with pytest.raises(LeaseLost):
        zombie.should_prune()


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


def test_a_running_trial_of_other_means_is_left_alone_and_counts_once_it_is_finished(
    study: OpenStudy, worker: Worker
) -> None:
    theirs = optuna.load_study(study_name="study", storage=study.storage.url)
    foreign = theirs.ask()
    assert [take(study, worker).number for _ in range(3)] == [1, 2, 3]
    theirs.tell(foreign, 0.5)
    assert progress(study.storage, "study").finished == 1
    assert claim_trial(study, worker) is NoTrial.WAIT


def test_enqueued_trials_are_handed_out_first_each_once(
    study: OpenStudy, worker: Worker, other: Worker
) -> None:
    theirs = optuna.load_study(study_name="study", storage=study.storage.url)
    theirs.enqueue_trial({"learning_rate": 1e-4})
    theirs.enqueue_trial({"learning_rate": 1e-5, "batch_size": 16, "epochs": 2})
    first, second, third = take(study, worker), take(study, other), take(study, worker)
    assert [first.number, second.number, third.number] == [0, 1, 2]
    assert first.suggest()["learning_rate"] == 1e-4
    assert second.suggest() == {"learning_rate": 1e-5, "batch_size": 16, "epochs": 2}


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


def test_the_worker_beats_by_itself_and_goes_on_after_a_fault(
    sqlite_storage: Storage, make_spec: SpecFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(sqlite_storage, make_spec(study__trials=1))
    study = open_study(sqlite_storage, "study")
    with Worker(sqlite_storage, lease_seconds=0.04) as worker:
        claim = take(study, worker)
        beats = []
        beat = claim.lease.renew

        def faulty() -> None:
            beats.append(1)
            if len(beats) == 1:
                raise RuntimeError("the database threw something")
            beat()

        monkeypatch.setattr(claim.lease, "renew", faulty)
        wait_until(lambda: len(beats) >= 4, "four beats", seconds=5)
    with sqlite_storage.read() as connection:
        assert connection.exec_driver_sql("SELECT beat FROM hpo_claims").scalar_one() >= 2


def test_a_study_deleted_under_its_workers_is_told(study: OpenStudy, worker: Worker) -> None:
    claim = take(study, worker)
    optuna.delete_study(study_name="study", storage=study.storage.url)
    with pytest.raises(LeaseLost):
        claim.report(0.5, 1)
    with pytest.raises(LeaseLost):
        claim.suggest()
    with pytest.raises(StorageError, match="deleted"):
        claim_trial(study, worker)


def test_a_grid_is_walked_once_and_a_failed_point_is_tried_again_last(
    storage: Storage, make_spec: SpecFactory
) -> None:
    space = {"batch_size": [8, 16], "epochs": {"low": 1, "high": 3}}
    submit(storage, make_spec(sampler="grid", space=space, study__trials=6))
    study = open_study(storage, "study")
    points = []
    with Worker(storage) as worker:
        failed = take(study, worker)
        first = failed.suggest()
        failed.finish(FAIL, reason="out of memory")
        while isinstance(claim := claim_trial(study, worker), Claim):
            points.append(tuple(sorted(claim.suggest().items())))
            claim.finish(COMPLETE, 0.5)
    assert len(points) == len(set(points)) == 6
    assert points[-1] == tuple(sorted(first.items()))


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
