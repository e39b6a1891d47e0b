"""Workers that are killed: real sessions on a real study, in processes forked from one that has its imports done.

A worker may carry a doom, the instant at which it kills itself: before or after the n-th call of one of the
functions that change what is stored. What it was told until then it has written down.
"""

from __future__ import annotations

import functools
import json
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

# Imported here, so that a worker that is forked from the server has them already.
import mlflow.pyfunc
import mlflow.store.tracking.sqlalchemy_store
import mlflow.tracking  # noqa: F401
import optuna
import torch
import transformers.models.gpt2.modeling_gpt2  # noqa: F401

import hpo.leases.heartbeat as heartbeat
import hpo.runtime.session as sessions
import hpo.runtime.study_work as study_work
from hpo.errors import HpoError
from hpo.leases.claims import Claim
from hpo.runtime.course import StudyCourse
from hpo.runtime.finish import finish_study, tidy
from hpo.storage.storage import open_storage
from hpo.studies.registration import submit
from hpo.tracking.trial_run import TrialRun
from tests.faults.mischief import fill_the_disk_at, let_the_clock_jump
from tests.faults.orders import IN_QUIET, POINTS, Doom, Order, Orders
from tests.faults.place import STUDY, Place

_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["tests.faults.crew"])


class Crew:
    """Workers started one by one, with what became of them."""

    def __init__(self) -> None:
        self.kills = 0
        self._alive: list[BaseProcess] = []

    def start(self, order: Order) -> BaseProcess:
        process = _FORKSERVER.Process(target=work, args=(order,), daemon=True)
        process.start()
        self._alive.append(process)
        return process

    def run_to_the_end(self, order: Order, seconds: float = 120.0) -> None:
        """One worker that is left in peace; it must end by itself."""
        process = self.start(order)
        process.join(seconds)
        assert process.exitcode == 0, f"the last worker ended with {process.exitcode}"
        self._alive.remove(process)

    def under_fire(self, fates: Orders, *, size: int, seconds: float = 300.0) -> None:
        """Keep `size` workers at it, each dead one replaced, until all end by themselves."""
        end = time.monotonic() + seconds
        working: dict[BaseProcess, Order] = {}

        def begin() -> None:
            order = fates.next()
            working[self.start(order)] = order

        for _ in range(size):
            begin()
        while working:
            assert time.monotonic() < end, f"not done after {seconds} s and {self.kills} kills"
            multiprocessing.connection.wait([p.sentinel for p in working], timeout=1.0)
            for process in [p for p in working if p.exitcode is not None]:
                killed = process.exitcode == -signal.SIGKILL
                fates.ended(working.pop(process), killed=killed)
                self._alive.remove(process)
                if killed:
                    self.kills += 1
                    begin()
                else:
                    assert process.exitcode == 0, f"a worker ended with {process.exitcode}"

    def kill(self, process: BaseProcess) -> None:
        """Kill -9 from outside, whatever it is doing."""
        if process.is_alive():
            process.kill()
            self.kills += 1

    def end(self) -> None:
        for process in self._alive:
            if process.is_alive():
                process.kill()
            process.join(10)
        self._alive.clear()


@contextmanager
def crew() -> Iterator[Crew]:
    started = Crew()
    try:
        yield started
    finally:
        started.end()


def register(place: Place, trials: int, **more: Any) -> None:
    with open_storage(place.storage_url) as storage:
        submit(storage, place.spec(trials, **more))


def work(order: Order) -> None:
    """The life of a worker process: as `hpo.execution.processes` runs it, with a witness and a doom."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    threading.Thread(target=_end_with_the_test, daemon=True).start()
    log = (order.place.folder / f"worker-{os.getpid()}.log").open("a", buffering=1)
    logging.basicConfig(stream=log, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    os.dup2(log.fileno(), 2)
    _bear_witness(order.place)
    if order.doom is not None:
        _arm(order.doom, order.doom.witness(order))
    if order.after_reports is not None:
        _arm(Doom("report", "before", order.after_reports), None)
    if order.after_seconds is not None:
        last = threading.Timer(order.after_seconds, _die)
        last.daemon = True
        last.start()
    if order.poison is not None:
        _poison(order.poison)
    if order.clock_jumps:
        let_the_clock_jump(order.clock_jumps, order.seed)
    if order.fill is not None:
        fill_the_disk_at(order.fill)
    if order.max_deaths is not None:
        patient = functools.partial(heartbeat.Worker, max_deaths=order.max_deaths)
        _replace(sessions, "Worker", patient)
    locations = order.place.locations
    try:
        with open_storage(
            locations.storage_url, retry_seconds=order.retry_seconds, wait_seconds=60
        ) as storage:
            with sessions.open_session(
                storage, STUDY, locations, should_stop=stop.is_set
            ) as session:
                if order.doom is not None and order.doom.point in IN_QUIET:
                    session.tracker.flush(30)
                    time.sleep(3)
                done = StudyCourse(session).until_done()
                if order.finish and done:
                    finish_study(session)
                    session.tracker.flush(order.flush_seconds)
            if order.finish and done:
                tidy(session)
    except HpoError as error:
        logging.getLogger(__name__).error("ended by: %s", error)
        raise SystemExit(error.exit_code) from error


def _end_with_the_test() -> None:
    """The fork server ends with the test run, however that ends."""
    server = os.getppid()
    while os.getppid() == server:
        time.sleep(1)
    _die()


def _bear_witness(place: Place) -> None:
    """Write down what the storage and the outbox have acknowledged, right after they have."""
    file = place.log.open("a", buffering=1)

    def note(event: str, **facts: Any) -> None:
        # One write of one line, appended: whole even when the next instant is the last.
        file.write(json.dumps({"event": event, **facts}) + "\n")

    def after(owner: Any, name: str, tell: Callable[..., None]) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def witnessed(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            tell(result, *args, **kwargs)
            return result

        _replace(owner, name, witnessed)

    def told_of_claim(result: Any, *_args: Any) -> None:
        if isinstance(result, Claim):
            note("begun", number=result.number, attempt=result.attempt)

    def told_of_finish(
        _: Any, claim: Claim, state: Any, value: float | None = None, **__: Any
    ) -> None:
        note("finished", number=claim.number, state=state.name, value=value)

    after(study_work, "claim_trial", told_of_claim)
    after(Claim, "suggest", lambda point, claim: note("drawn", number=claim.number, params=point))
    after(
        Claim,
        "report",
        lambda _, claim, value, step: note("reported", number=claim.number, step=step, value=value),
    )
    after(Claim, "finish", told_of_finish)
    after(
        TrialRun,
        "log",
        lambda _, run, metrics, step: note(
            "logged", run=run.run_key, step=step, metrics=dict(metrics)
        ),
    )


def _replace(owner: Any, name: str, function: Any) -> None:
    setattr(owner, name, function)


def _die(witness: Path | None = None) -> None:
    if witness is not None:
        witness.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(doom: Doom, witness: Path | None) -> None:
    owner, name = POINTS[doom.point]
    original = getattr(owner, name)
    calls = iter(range(1, 10**6))

    def deadly(*args: Any, **kwargs: Any) -> Any:
        this = next(calls) == doom.call
        if this and doom.when == "before":
            _die(witness)
        result = original(*args, **kwargs)
        if this:
            _die(witness)
        return result

    _replace(owner, name, deadly)


def _poison(number: int) -> None:
    original = Claim.report

    def report(claim: Claim, value: float, step: int) -> None:
        if claim.number == number:
            _die()
        original(claim, value, step)

    _replace(Claim, "report", report)
