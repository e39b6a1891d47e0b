"""Workers as processes: those that die are replaced, and not for ever."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

import hpo.execution.processes as processes
from hpo.errors import StudyFailedError
from hpo.execution.executor import Job
from hpo.execution.machine_resources import WorkerResources
from hpo.execution.processes import WorkerPool
from hpo.runtime.events import Event, TrialEnded, TrialStarted
from hpo.spec.locations import Locations

pytestmark = pytest.mark.slow


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job("study", Locations.of(environment={"HPO_CACHE": str(tmp_path)}), WorkerResources(1))


def dies_over_its_trial(connection: Connection) -> None:
    """A worker that memory runs out for."""
    connection.recv()
    connection.send(TrialStarted(0, 1))
    os._exit(9)


def dies_after_a_trial(connection: Connection) -> None:
    """A worker that has finished something before it dies; the study is done by the thirteenth."""
    connection.recv()
    connection.send(TrialEnded(0, "COMPLETE", 0.5, 1.0, None))
    count = Path(os.environ["HPO_TEST_COUNT"])
    with count.open("a") as file:
        file.write("x")
    if count.stat().st_size >= 13:
        connection.send(processes._Finished(done=True))
        return
    os._exit(9)


def finishes(connection: Connection) -> None:
    connection.recv()
    connection.send(processes._Finished(done=True))


def test_workers_that_die_without_finishing_anything_end_the_study(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_serve", dies_over_its_trial)
    pool = WorkerPool(1)
    told: list[Event] = []
    with pytest.raises(StudyFailedError, match="10 workers that died one after another"):
        pool.run([job], told.append, lambda: False)
    assert len(told) == 10


def test_workers_that_finish_trials_before_they_die_are_replaced_without_end(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_TEST_COUNT", str(tmp_path / "count"))
    monkeypatch.setattr(processes, "_serve", dies_after_a_trial)
    assert WorkerPool(1).run([job], lambda event: None, lambda: False)


def test_a_worker_that_died_before_it_was_told_its_job_is_replaced(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_serve", finishes)
    pool = WorkerPool(2)
    first = next(iter(pool._workers.values())).process
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    first.join(30)
    assert pool.run([job, job], lambda event: None, lambda: False)


def waits(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection.recv()
    connection.send(TrialStarted(0, 1))
    time.sleep(300)


def leaves_at_the_second_signal(connection: Connection) -> None:
    """A parent with a worker, as `hpo.run` is one. Not a worker itself, in spite of its argument."""
    from hpo.options import stop_on_signals

    processes._serve = waits
    stop_on_signals(lambda: None)
    pool = WorkerPool(1)
    (member,) = pool._workers.values()

    def tell(event: Event) -> None:
        connection.send(member.process.pid)

    pool.run([connection.recv()], tell, lambda: False)


def test_a_second_signal_ends_the_workers_too(job: Job) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    parent = context.Process(target=leaves_at_the_second_signal, args=(theirs,))
    parent.start()
    ours.send(job)
    worker = psutil.Process(ours.recv())
    assert parent.pid is not None
    for _ in range(2):
        os.kill(parent.pid, signal.SIGINT)
        time.sleep(0.5)
    parent.join(10)
    assert parent.exitcode == 130
    _, alive = psutil.wait_procs([worker], timeout=5)
    assert not alive
