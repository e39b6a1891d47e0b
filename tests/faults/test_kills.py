"""Kill -9 of workers: at every change of state, at random instants, all at once, by a poisoned trial."""

from __future__ import annotations

import time
from multiprocessing.process import BaseProcess

import pytest
from optuna.trial import TrialState

from hpo.storage.storage import open_storage
from hpo.studies.studies import open_study
from tests.faults.conftest import FULL, Checked, end_in_peace
from tests.faults.crew import Crew, register
from tests.faults.orders import POINTS, Fates, Order, Peaceful, RandomInstants
from tests.faults.place import STUDY, Place

pytestmark = [pytest.mark.slow, pytest.mark.campaign, pytest.mark.timeout(1200)]

NO_LIMIT = 10**6
MEDIAN = {"name": "median", "n_startup_trials": 3}


def storm(workers: Crew, place: Place, orders: Fates | RandomInstants, trials: int) -> int:
    """Three workers under fire until all kills are done, the budget raised as long as need be."""
    while True:
        register(place, trials, pruner=MEDIAN)
        workers.under_fire(orders, size=3, seconds=1000)
        if orders.left <= 0:
            return trials
        trials += 5


def wait_for_news(place: Place, crew: list[BaseProcess], *, lines: int) -> None:
    """Until workers have been told so many things more, or have nothing left to do."""
    enough = len(place.acknowledged()) + lines
    while len(place.acknowledged()) < enough and any(each.is_alive() for each in crew):
        time.sleep(0.02)


def test_workers_that_are_killed_at_every_change_of_state(
    place: Place, workers: Crew, checked: Checked
) -> None:
    rounds = 3 if FULL else 1
    fates = Fates(place, seed=1, rounds=rounds, max_deaths=NO_LIMIT)
    trials = storm(workers, place, fates, 20 * rounds)
    end_in_peace(workers, place)
    checked(place, trials, fault="kill -9 at each change of state, SQLite", times=workers.kills)
    assert len(fates.came_about) == 2 * len(POINTS) * rounds


def test_workers_on_postgres_that_are_killed_at_every_change_of_state(
    postgres_place: Place, workers: Crew, checked: Checked
) -> None:
    place, rounds = postgres_place, 3 if FULL else 1
    fates = Fates(place, seed=2, rounds=rounds, max_deaths=NO_LIMIT)
    trials = storm(workers, place, fates, 20 * rounds)
    end_in_peace(workers, place)
    checked(place, trials, fault="kill -9 at each change of state, Postgres", times=workers.kills)
    assert len(fates.came_about) == 2 * len(POINTS) * rounds


def test_workers_that_are_killed_at_random_instants(
    place: Place, workers: Crew, checked: Checked
) -> None:
    register(place, 2, pruner=MEDIAN)
    begun = time.monotonic()
    workers.run_to_the_end(Order(place))
    # From the first import to a little after the second trial's end, on this machine as it is now.
    longest = 1.5 * (time.monotonic() - begun)
    orders = RandomInstants(
        place, seed=3, times=200 if FULL else 80, longest=longest, max_deaths=NO_LIMIT
    )
    trials = storm(workers, place, orders, 20)
    end_in_peace(workers, place)
    checked(place, trials, fault="kill -9 at random instants", times=workers.kills)


def test_all_workers_killed_in_the_same_instant(
    place: Place, workers: Crew, checked: Checked
) -> None:
    trials = 20
    register(place, trials)
    for _ in range(30 if FULL else 10):
        crew = [workers.start(Order(place, max_deaths=NO_LIMIT)) for _ in range(4)]
        wait_for_news(place, crew, lines=6)
        for process in crew:
            workers.kill(process)
        for process in crew:
            process.join(10)
    end_in_peace(workers, place)
    checked(place, trials, fault="kill -9 of all four workers at once", times=workers.kills)


def test_a_poisoned_trial_fails_with_its_reason_and_the_budget_is_met_by_others(
    place: Place, workers: Crew, checked: Checked
) -> None:
    trials = 6
    register(place, trials)
    workers.under_fire(Peaceful(Order(place, poison=1)), size=2)
    workers.run_to_the_end(Order(place, finish=True))
    assert workers.kills == 3
    with open_storage(place.storage_url) as storage:
        poisoned = open_study(storage, STUDY, n_layer=4).load().trials[1]
    assert poisoned.state is TrialState.FAIL
    assert poisoned.user_attrs["hpo.reason"] == "3 workers died over this trial"
    checked(place, trials, fault="a trial that kills each of its workers", times=workers.kills)
