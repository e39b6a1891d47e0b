"""A lease on a trial: given back, taken over, lost."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from hpo.leases.budget import NoTrial, claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.leases.lease import LeaseLost
from hpo.storage.storage import Storage
from hpo.studies.registration import submit
from hpo.studies.studies import OpenStudy, open_study
from tests.leases.claimed import (
    COMPLETE,
    FAIL,
    RUNNING,
    SpecFactory,
    StoppedClock,
    complete,
    observe_until_dead,
    take,
)
from tests.waiting import wait_until


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
