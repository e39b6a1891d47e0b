"""Databases that go away, come back, or are locked by somebody else."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from hpo.errors import StorageError
from hpo.storage.storage import open_storage
from hpo.studies.progress import progress
from tests.faults.conftest import FULL, Checked
from tests.faults.crew import Crew, register
from tests.faults.orders import Order
from tests.faults.place import STUDY, Place
from tests.storages import RestartablePostgres, started_postgres
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.campaign, pytest.mark.timeout(600)]


@pytest.fixture
def own_postgres() -> Iterator[RestartablePostgres]:
    with started_postgres() as server:
        yield RestartablePostgres(server)


def finished(place: Place) -> int:
    with open_storage(place.storage_url, wait_seconds=60) as storage:
        return progress(storage, STUDY).finished


def wait_for_finished(place: Place, count: int) -> None:
    wait_until(lambda: finished(place) >= count, f"{count} trials", seconds=120, poll_seconds=0.1)


def test_a_postgres_that_is_restarted_in_the_middle(
    place: Place, workers: Crew, checked: Checked, own_postgres: RestartablePostgres
) -> None:
    trials, times = 16, 4
    place = replace(place, storage_url=own_postgres.url)
    register(place, trials)
    working = [workers.start(Order(place)) for _ in range(2)]
    for number in range(times):
        wait_for_finished(place, 2 * (number + 1))
        own_postgres.stop()
        own_postgres.start()
    for process in working:
        process.join(120)
    assert [process.exitcode for process in working] == [0, 0]
    workers.run_to_the_end(Order(place, finish=True))
    checked(place, trials, fault="Postgres restarted", times=times)


def test_a_postgres_that_is_stopped_for_longer(
    place: Place, workers: Crew, checked: Checked, own_postgres: RestartablePostgres
) -> None:
    trials = 8
    place = replace(place, storage_url=own_postgres.url)
    register(place, trials)
    working = [workers.start(Order(place)) for _ in range(2)]
    wait_for_finished(place, 2)
    own_postgres.stop()
    time.sleep(60 if FULL else 15)
    own_postgres.start()
    for process in working:
        process.join(120)
    assert [process.exitcode for process in working] == [0, 0]
    workers.run_to_the_end(Order(place, finish=True))
    seconds = 60 if FULL else 15
    checked(place, trials, fault=f"Postgres stopped for {seconds} s", times=1)


def test_workers_stop_cleanly_when_the_database_stays_away(
    place: Place, workers: Crew, checked: Checked, own_postgres: RestartablePostgres
) -> None:
    trials = 8
    place = replace(place, storage_url=own_postgres.url)
    register(place, trials)
    working = [workers.start(Order(place, retry_seconds=2.0)) for _ in range(2)]
    wait_for_finished(place, 2)
    own_postgres.stop()
    for process in working:
        process.join(120)
    assert [process.exitcode for process in working] == [StorageError.exit_code] * 2
    own_postgres.start()
    workers.run_to_the_end(Order(place, finish=True))
    checked(place, trials, fault="Postgres away for longer than workers wait", times=1)


def test_a_sqlite_file_that_another_process_has_locked(
    place: Place, workers: Crew, checked: Checked
) -> None:
    trials, seconds = 8, 45 if FULL else 20
    register(place, trials)
    working = [workers.start(Order(place)) for _ in range(2)]
    wait_for_finished(place, 2)
    with closing(sqlite3.connect(place.folder / "optuna.db", timeout=30)) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")
    for process in working:
        process.join(120)
    assert [process.exitcode for process in working] == [0, 0]
    workers.run_to_the_end(Order(place, finish=True))
    checked(place, trials, fault=f"SQLite locked by another process for {seconds} s", times=1)
