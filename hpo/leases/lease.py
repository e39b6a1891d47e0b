"""Leases: a worker's right to work on a trial, renewed by its heartbeat, and checked in every transaction that writes.

Each attempt at a trial has a fencing token of its own. A worker that lost its lease (stopped, and resumed
after another took over) holds an older one, and can write nothing more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from optuna.trial import TrialState
from sqlalchemy import Connection, select

from hpo.leases.claim_rows import (
    change_claim,
    fencing_token_and_status,
    live_leases,
    renew_claim,
)
from hpo.leases.heartbeat import Worker
from hpo.storage.optuna_tables import TRIALS
from hpo.storage.tables import FREE, HELD, OVER
from hpo.studies.studies import OpenStudy


class LeaseLost(Exception):  # noqa: N818
    """The trial is another worker's by now, or finished, or deleted: drop it, write nothing."""


@dataclass(frozen=True)
class Assignment:
    """A trial that the deciding transaction of budget.py gave to a worker.

    Attributes:
        attempt: 1 for a trial that was never begun before.
        fencing_token: New with every attempt.
    """

    claim_id: int
    trial_id: int
    number: int
    attempt: int
    fencing_token: str


class Lease:
    """The right to work on the trial of an assignment, until it is released, closed or lost.

    `acquire` it to have it renewed by the worker's heartbeat, in a thread of the worker's own.
    """

    def __init__(self, study: OpenStudy, worker: Worker, assignment: Assignment) -> None:
        self.claim_id = assignment.claim_id
        self.number = assignment.number
        self._assignment = assignment
        self._fencing_token = assignment.fencing_token
        self._study_id = study.study_id
        self._storage = study.storage
        self._worker = worker
        self._lost = threading.Event()
        self._over = False

    @property
    def is_over(self) -> bool:
        """Whether the lease was given back, or the trial finished under it."""
        return self._over

    @property
    def is_held(self) -> bool:
        """Whether the lease is this worker's, as far as is known without asking the database."""
        return not (self._over or self._lost.is_set())

    def acquire(self) -> None:
        """Have the worker's heartbeat renew the lease from now on."""
        self._worker.acquire(self)

    def renew(self) -> None:
        """Renew the lease once, and look at those of the other workers. Called by the heartbeat's thread."""
        with self._storage.write() as connection:
            renewed = renew_claim(connection, self.claim_id, self._fencing_token)
        if not renewed and not self._over:
            self.lost()
        with self._storage.read() as connection:
            leases = live_leases(connection, self._study_id)
        self._worker.observer.dead(self._study_id, leases)

    def check(self) -> None:
        """Raise LeaseLost where the lease is known not to be held. Does not ask the database."""
        if not self.is_held:
            raise self.lost()

    @contextmanager
    def held(self) -> Iterator[Connection]:
        """A transaction in which the lease is this worker's, and stays so until it ends.

        Raises:
            LeaseLost: The lease is another worker's, or over, or the trial has ended.
        """
        self.check()
        with self._storage.write() as connection:
            if self._locked_row(connection) != (self._fencing_token, HELD):
                raise self.lost()
            state = connection.execute(
                select(TRIALS.c.state).where(TRIALS.c.trial_id == self._assignment.trial_id)
            ).scalar_one_or_none()
            if state is not TrialState.RUNNING:
                raise self.lost()
            yield connection

    def close(self, end: Callable[[Connection], bool]) -> None:
        """End the trial and the lease in one transaction; may be called again when the outcome is not known.

        Args:
            end: Ends the trial in the transaction that it is given, and returns whether it was RUNNING.

        Raises:
            LeaseLost: The lease is another worker's, or the trial was ended by other means.
        """
        with self._storage.write() as connection:
            row = self._locked_row(connection)
            if row == (self._fencing_token, OVER):
                return  # an earlier try went through, and only its answer was lost
            if row != (self._fencing_token, HELD):
                raise self.lost()
            ended = end(connection)
            change_claim(connection, self.claim_id, self._fencing_token, HELD, {"status": OVER})
        if not ended:  # somebody told Optuna an outcome behind our back
            raise self.lost()

    def let_go(self) -> None:
        """Note that the lease is over: it is renewed no more."""
        self._over = True
        self._worker.drop(self)

    def release(self, *, patient: bool = True) -> bool:
        """Give the trial back unfinished: the next worker goes on with it, and no death is counted.

        Args:
            patient: Whether to wait for a database that is away.

        Returns:
            Whether the lease was still this worker's to give.
        """
        values = {"status": FREE}

        def write() -> bool:
            with self._storage.write() as connection:
                change_claim(connection, self.claim_id, self._fencing_token, HELD, values)
                row = fencing_token_and_status(connection, self.claim_id)
                return row == (self._fencing_token, FREE)

        self.let_go()
        return self._storage.retry(write, "giving the trial back") if patient else write()

    def lost(self) -> LeaseLost:
        """Note that the lease is lost, and return the error that says so."""
        self._lost.set()
        self._worker.drop(self)
        attempt = self._assignment.attempt
        return LeaseLost(f"trial {self.number} is no longer this worker's (attempt {attempt})")

    def _locked_row(self, connection: Connection) -> tuple[str, str] | None:
        return fencing_token_and_status(connection, self.claim_id, lock=True)
