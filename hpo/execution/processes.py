"""Workers as processes of this machine: started, watched, started anew when they die, stopped."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import ModuleType

from hpo.errors import HpoError, StudyFailedError
from hpo.execution.executor import Executor, Job
from hpo.redaction import LogFormatter
from hpo.runtime.events import Event, Listener, TrialEnded, bare

logger = logging.getLogger(__name__)

_LONGEST_DRAIN_SECONDS = 600.0
_MOST_DEATHS_WITHOUT_PROGRESS = 10


@dataclass(frozen=True)
class _Member:
    """A worker process and its place in the pool, which whoever replaces it takes over."""

    process: SpawnProcess
    place: int


@dataclass(frozen=True)
class _Finished:
    """A worker's last word. done: the budget is met, not merely asked to stop."""

    done: bool
    error: HpoError | None = None


class WorkerPool(Executor):
    """Worker processes, started at once so that their imports overlap with the parent's checks.

    They begin to work when `run` says on what. A worker whose parent is gone gives its trial back
    and ends.
    """

    def __init__(self, workers: int) -> None:
        self._size = workers
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[Connection, _Member] = {}
        for place in range(workers):
            self._start(place)

    @property
    def size(self) -> int:
        """How many workers there are."""
        return self._size

    def run(self, jobs: Sequence[Job], on_event: Listener, should_stop: Callable[[], bool]) -> bool:
        """Work on a study; see `Executor`. A worker that dies is replaced."""
        for connection, member in self._workers.items():
            _tell(connection, jobs[member.place])
        finished: list[_Finished] = []
        deaths, stopping = 0, False
        while self._workers:
            if should_stop() and not stopping:
                stopping = True
                self._terminate()
            for ready in wait(list(self._workers), timeout=0.2):
                assert isinstance(ready, Connection)
                message = _receive(ready)
                if isinstance(message, _Finished):
                    finished.append(message)
                    self._forget(ready)
                    if message.error is not None and not stopping:
                        stopping = True
                        self._terminate()
                elif message is not None:
                    if _ended_well(message):
                        deaths = 0
                    on_event(message)
                else:
                    dead = self._forget(ready)
                    if stopping or any(end.done for end in finished):
                        continue
                    deaths += 1
                    logger.warning("a worker died (exit code %s)", dead.process.exitcode)
                    job = jobs[dead.place]
                    self._check_deaths(job, deaths, dead.process.exitcode)
                    _tell(self._start(dead.place), job)
        for end in finished:
            if end.error is not None:
                raise end.error
        return not stopping and any(end.done for end in finished)

    def close(self) -> None:
        """End all workers at once; those that have not begun lose nothing by it."""
        for member in self._workers.values():
            member.process.kill()
        for connection in list(self._workers):
            self._forget(connection)

    def _start(self, place: int) -> Connection:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs,), daemon=False)
        with _without_main():
            process.start()
        theirs.close()
        self._workers[ours] = _Member(process, place)
        return ours

    def _terminate(self) -> None:
        for member in self._workers.values():
            member.process.terminate()

    def _forget(self, connection: Connection) -> _Member:
        member = self._workers.pop(connection)
        member.process.join(_LONGEST_DRAIN_SECONDS)
        connection.close()
        return member

    def _check_deaths(self, job: Job, deaths: int, exit_code: int | None) -> None:
        if deaths >= _MOST_DEATHS_WITHOUT_PROGRESS:
            self._terminate()
            raise StudyFailedError(
                f"study {job.study}",
                found=f"{deaths} workers that died one after another (exit code {exit_code})",
                expected="workers that train",
                hint="Look for their last words above; -9 often means that memory ran out: "
                "use fewer --workers.",
            )


def _ended_well(event: Event) -> bool:
    ended = bare(event)
    return isinstance(ended, TrialEnded) and ended.state in ("COMPLETE", "PRUNED")


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Hide the main module of this process from `spawn`, which would run it in each worker first.

    A worker needs nothing of it, and it may be a script without a main guard, which would begin itself
    anew, or standard input or a notebook, which is no file that a worker could run.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _tell(connection: Connection, job: Job) -> None:
    """Give a worker its job. One that died before it could be told is noticed when it is read from."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.send(job)


def _receive(connection: Connection) -> Event | _Finished | None:
    """A worker's next message; None where it died."""
    try:
        message: Event | _Finished = connection.recv()
    except (EOFError, OSError):
        return None
    return message


def _serve(connection: Connection) -> None:
    """The life of a worker process."""
    if logging.lastResort is not None:  # what prints here, where logging is not set up
        logging.lastResort.setFormatter(LogFormatter("%(message)s"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the parent decides
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    from hpo.runtime.course import StudyCourse
    from hpo.runtime.session import open_session
    from hpo.storage.storage import open_storage

    try:
        job = connection.recv()
    except EOFError:
        return
    assert isinstance(job, Job)
    threading.Thread(target=_stop_without_parent, args=(connection, stop), daemon=True).start()
    job.resources.take()
    end = _Finished(done=False)
    try:
        with (
            open_storage(job.locations.storage_url) as storage,
            open_session(
                storage,
                job.study,
                job.locations,
                on_event=lambda event: _send(connection, event),
                should_stop=stop.is_set,
            ) as session,
            StudyCourse(session) as course,
        ):
            end = _Finished(done=course.until_done())
    except HpoError as error:
        end = _Finished(done=False, error=error)
    _send(connection, end)


def _send(connection: Connection, message: Event | _Finished) -> None:
    try:
        connection.send(message)
    except (BrokenPipeError, OSError):
        logger.debug("the parent is gone; nobody hears %s", message)


def _stop_without_parent(connection: Connection, stop: threading.Event) -> None:
    """The parent never speaks again; that the connection ends means that it is gone."""
    parent = os.getppid()
    while not stop.is_set():
        try:
            if connection.poll(1.0):
                connection.recv()
        except (EOFError, OSError):
            stop.set()
        if os.getppid() != parent:
            stop.set()
        time.sleep(0.05)
