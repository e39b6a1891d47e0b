"""The libraries alone, in the same places: what each of our own parts is there for, and whether it still is.

What Optuna does to budgets and enqueued trials is in tests/storage/test_naive_optuna.py.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.storages._heartbeat import get_heartbeat_thread
from optuna.trial import TrialState

from hpo.leases.budget import claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.leases.lease import LeaseLost
from hpo.storage.storage import Storage, open_storage
from hpo.studies.progress import all_progress
from hpo.studies.registration import submit
from hpo.studies.studies import OpenStudy, open_study
from hpo.tracking import StudyTracker
from tests.faults.place import STUDY, Place
from tests.storages import RestartablePostgres, started_postgres
from tests.tracking.conftest import free_port
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.faults]

_FORK = multiprocessing.get_context("fork")


@pytest.fixture
def storage(place: Place) -> Iterator[Storage]:
    with open_storage(place.storage_url, retry_seconds=20) as opened:
        submit(opened, place.spec(10))
        yield opened


@pytest.fixture
def own_postgres() -> Iterator[RestartablePostgres]:
    with started_postgres() as server:
        yield RestartablePostgres(server)


def opened(storage: Storage) -> OpenStudy:
    return open_study(storage, STUDY, n_layer=4)


def claimed(storage: Storage, worker: Worker) -> Claim:
    claim = claim_trial(opened(storage), worker)
    assert isinstance(claim, Claim)
    return claim


def naive_start(url: str, barrier: Any, crashes: Any) -> None:
    barrier.wait()
    try:
        optuna.create_study(storage=url, study_name="naive", load_if_exists=True)
        crashes.put(False)
    except Exception:  # noqa: BLE001 - whatever it is, the user's process is gone
        crashes.put(True)


def our_start(url: str, barrier: Any, crashes: Any) -> None:
    barrier.wait()
    try:
        with open_storage(url) as storage:
            all_progress(storage)
        crashes.put(False)
    except Exception:  # noqa: BLE001 - as above
        crashes.put(True)


def crashed_of_six(folder: Path, start: Callable[[str, Any, Any], None]) -> int:
    """How many of six processes crash that start at once on a database that there is not yet."""
    folder.mkdir()
    barrier, crashes = _FORK.Barrier(6), _FORK.Queue()
    arguments = (f"sqlite:///{folder}/new.db", barrier, crashes)
    processes = [_FORK.Process(target=start, args=arguments) for _ in range(6)]
    for process in processes:
        process.start()
    crashed = sum(crashes.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    return crashed


def test_six_processes_that_start_on_an_empty_database(tmp_path: Path) -> None:
    """Optuna's own crash in most rounds: which process creates which table first is chance."""
    assert any(crashed_of_six(tmp_path / f"naive-{each}", naive_start) for each in range(20))
    assert not any(crashed_of_six(tmp_path / f"ours-{each}", our_start) for each in range(3))


def test_ask_and_tell_alone_never_notice_a_dead_worker(place: Place, storage: Storage) -> None:
    url = f"sqlite:///{place.folder}/naive.db"
    watched = RDBStorage(url, heartbeat_interval=1, grace_period=1)
    naive = optuna.create_study(storage=watched)
    naive.ask()  # and its worker dies
    time.sleep(2.5)
    fail_stale_trials(naive)
    assert naive.trials[0].state is TrialState.RUNNING

    dead = Worker(storage, lease_seconds=1.0)
    first = claimed(storage, dead)
    dead.drop(first.lease)  # it beats no more
    end = time.monotonic() + 20
    with Worker(storage, lease_seconds=1.0) as living:
        while (claim := claimed(storage, living)).number != first.number:
            assert time.monotonic() < end
            claim.release()
            time.sleep(0.2)
    dead.close()
    assert claim.attempt == 2


def test_optunas_heartbeat_thread_ends_at_the_first_error(place: Place, storage: Storage) -> None:
    watched = RDBStorage(f"sqlite:///{place.folder}/naive.db", heartbeat_interval=1)
    naive = optuna.create_study(storage=watched)
    trial = naive.ask()

    beats: list[str] = []

    def fail(whose: str) -> None:
        beats.append(whose)
        raise StorageInternalError("the database was away for a moment")

    vars(watched)["record_heartbeat"] = lambda _trial_id: fail("naive")
    hook, threading.excepthook = threading.excepthook, lambda _arguments: None
    try:
        with get_heartbeat_thread(trial._trial_id, watched):
            time.sleep(3.5)
    finally:
        threading.excepthook = hook
    with Worker(storage, lease_seconds=0.4) as worker:
        claim = claimed(storage, worker)
        vars(claim.lease)["renew"] = lambda: fail("ours")
        wait_until(lambda: beats.count("ours") > 3, "more beats than the first", seconds=20)
        claim.release()
    assert beats.count("naive") == 1  # of four that were due
    assert beats.count("ours") > 3


def test_a_zombie_dies_at_tell_under_optuna_and_is_told_so_here(storage: Storage) -> None:
    naive = optuna.create_study()
    trial = naive.ask()
    naive.tell(trial, state=TrialState.FAIL)  # by somebody who took it for dead
    with pytest.raises((ValueError, UpdateFinishedTrialError)):
        naive.tell(trial, 0.5)

    with Worker(storage, lease_seconds=1.0) as zombie, Worker(storage) as other:
        lost = claimed(storage, zombie)
        lost.release()
        again = claimed(storage, other)
        with pytest.raises(LeaseLost):
            lost.finish(TrialState.COMPLETE, 0.5)
        again.finish(TrialState.COMPLETE, 0.75)
    assert opened(storage).load().trials[0].value == 0.75


def test_a_restart_of_postgres_breaks_the_next_call_under_optuna_alone(
    place: Place, own_postgres: RestartablePostgres
) -> None:
    naive = optuna.create_study(storage=RDBStorage(own_postgres.url))
    naive.ask()
    own_postgres.stop()
    own_postgres.start()
    with pytest.raises(StorageInternalError):
        naive.ask()

    with open_storage(own_postgres.url) as storage, Worker(storage) as worker:
        submit(storage, place.spec(10))
        claimed(storage, worker)
        own_postgres.stop()
        own_postgres.start()
        assert claimed(storage, worker).number == 1


def test_mlflows_own_queue_loses_points_that_it_reports_as_flushed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    nowhere = f"http://127.0.0.1:{free_port()}"
    naive = MlflowClient(tracking_uri=nowhere)
    naive.log_metric("a" * 32, "loss", 1.0, synchronous=False)
    queue = naive._tracking_client.store._async_logging_queue
    queue.flush()  # no error
    assert queue._queue.empty()

    with StudyTracker.open(
        nowhere, STUDY, place.state, study_uid="u", study_file="", environment={}
    ) as tracker:
        before = tracker.waiting
        tracker.start_trial(0, 1, {}).log({"loss": 1.0}, 1)
        assert tracker.flush(1.0) == before + 2
        tracker.close(timeout_seconds=0.5)
