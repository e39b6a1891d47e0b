"""Claims: a worker's right to work on a trial, and the only way to write about it.

What a worker writes about its trial goes through a transaction that first checks the claim, so that
a worker which lost it (stopped, and resumed after another took over) cannot write. budget.py says
who gets a claim.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState
from pydantic import JsonValue
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import SQLAlchemyError

from hpo.errors import StorageError
from hpo.leases.claim_rows import change_claim, end_trial, live_holds, token_and_status
from hpo.leases.heartbeat import Worker
from hpo.search.distributions import suggest
from hpo.search.plugins import quietly
from hpo.spec.space import OptionValue
from hpo.storage import optuna_rows
from hpo.storage.optuna_rows import cached_trial
from hpo.storage.optuna_tables import TRIAL_USER_ATTRIBUTES, TRIALS
from hpo.storage.retries import one_line
from hpo.storage.seals import POINT_SEAL, seal_point
from hpo.storage.tables import FREE, HELD, HPO_CLAIMS, OVER
from hpo.studies.studies import OpenStudy

logger = logging.getLogger(__name__)


class ClaimLost(Exception):  # noqa: N818
    """The trial is another worker's by now, or finished, or deleted: drop it, write nothing."""


@dataclass(frozen=True)
class Taken:
    """A trial that the deciding transaction of budget.py gave out, and the claim on it."""

    claim_id: int
    trial_id: int
    number: int
    attempt: int


class Claim:
    """A trial in this worker's hands. Everything said about the trial goes through here.

    trial: Optuna's; number: its number in the study; attempt: 1 for a trial never begun before, and
    is_new says just that. As a context manager it gives the trial back where the block ends without `finish`.
    """

    def __init__(self, study: OpenStudy, worker: Worker, token: str, taken: Taken) -> None:
        self.study = study
        self.worker = worker
        self.claim_id = taken.claim_id
        self.trial_id = taken.trial_id
        self.number = taken.number
        self.attempt = taken.attempt
        self._token = token
        self._storage = study.storage
        self._lost = threading.Event()
        self._over = False
        self._end: tuple[TrialState, float | None] | None = None
        self._trial: Trial | None = None

    @property
    def is_new(self) -> bool:
        return self.attempt == 1

    @property
    def is_over(self) -> bool:
        """Whether the trial was finished, or given back, through this claim."""
        return self._over

    @property
    def trial(self) -> Trial:
        """Optuna's trial: what was suggested and reported in earlier attempts is there."""
        if self._trial is None:
            self._trial = self._storage.retry(self._load_trial, "loading the trial")
        return self._trial

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._over or isinstance(error, ClaimLost):
            return
        try:
            # Where the database has been waited for already, it is asked once more and not again
            # and again: a trial that is not given back counts a death that was none.
            self.release(patient=not isinstance(error, StorageError))
        except (StorageError, SQLAlchemyError) as fault:
            if error is None:
                raise
            logger.warning("Trial %d could not be given back: %s", self.number, one_line(fault))

    def suggest(self) -> dict[str, OptionValue]:
        """The trial's point of the space: the same one in every attempt."""

        def draw() -> dict[str, OptionValue]:
            try:
                suggest(self.trial, self.study.space)
                # What is stored counts: another attempt may have drawn some of it a moment earlier.
                stored = self._storage.optuna.get_trial(self.trial_id)
            except (UpdateFinishedTrialError, KeyError) as error:
                raise self._is_lost() from error
            if POINT_SEAL not in stored.system_attrs:
                with self._mine() as connection:
                    seal_point(connection, self.study.uid, self.trial_id, stored)
            return {name: stored.params[name] for name in self.study.space}

        return self._storage.retry(draw, "suggesting parameters")

    def report(self, value: float, step: int) -> None:
        """Note the value of an evaluation. value: NaN and infinities allowed; step: 0 or more.

        A step reported before is overwritten. Raises ClaimLost.
        """
        if step < 0:
            raise ValueError(f"step must be 0 or more but got {step}")
        value = float(value)

        def write() -> None:
            with self._mine() as connection:
                optuna_rows.report(connection, self.trial_id, step, value)

        self._storage.retry(write, "reporting a value")
        cached_trial(self.trial).intermediate_values[step] = value

    def forget_reports_after(self, step: int) -> None:
        """Drop what earlier attempts reported beyond the checkpoint that this one goes on from.

        step: of the last evaluation that the checkpoint knows; 0 drops all. Raises ClaimLost.
        """

        def write() -> None:
            with self._mine() as connection:
                optuna_rows.forget_reports_after(connection, self.trial_id, step)

        self._storage.retry(write, "going back to the checkpoint")
        # Optuna's `report` would mend its copy too, but it writes without a look at the claim.
        values = cached_trial(self.trial).intermediate_values
        for later in [each for each in values if each > step]:
            del values[later]

    def should_prune(self) -> bool:
        """Whether the study's pruner gives the trial up. Raises ClaimLost."""

        def ask() -> bool:
            self._check_not_lost()
            try:
                with quietly():
                    return self.trial.should_prune()
            except UpdateFinishedTrialError as error:
                raise self._is_lost() from error

        return self._storage.retry(ask, "asking the pruner")

    def set_user_attrs(self, values: Mapping[str, JsonValue]) -> None:
        """Set user attributes of the trial, all at once. Raises ClaimLost."""

        def write() -> None:
            with self._mine() as connection:
                for key, value in values.items():
                    optuna_rows.set_attribute(
                        connection, TRIAL_USER_ATTRIBUTES, self.trial_id, key, value
                    )

        self._storage.retry(write, "setting attributes of the trial")
        cached_trial(self.trial).user_attrs.update(values)

    def finish(
        self, state: TrialState, value: float | None = None, reason: str | None = None
    ) -> None:
        """End the trial: its state, value and claim change at once, or not at all.

        state: COMPLETE (value needed, no NaN), PRUNED (value, or else the last one reported) or
        FAIL (no value). reason: why, in words; kept as user attribute `hpo.reason`.
        May be called again when the outcome of a call is not known. Raises ClaimLost.
        """
        _check_outcome(state, value)
        if self._end not in (None, (state, value)):
            raise ClaimLost(f"trial {self.number} has another end already")
        self._storage.retry(lambda: self._finish(state, value, reason), "finishing the trial")
        self._end = (state, value)
        self._over = True
        self.worker.drops(self)

    def release(self, *, patient: bool = True) -> bool:
        """Give the trial back unfinished: the next worker goes on with it, and no death is counted.

        patient: whether to wait for a database that is away. Returns whether it was still ours to
        give.
        """
        values = {"status": FREE}

        def write() -> bool:
            with self._storage.write() as connection:
                change_claim(connection, self.claim_id, self._token, HELD, values)
                return token_and_status(connection, self.claim_id) == (self._token, FREE)

        self._over = True
        self.worker.drops(self)
        return self._storage.retry(write, "giving the trial back") if patient else write()

    def beat(self) -> None:
        """One heartbeat, and a look at those of the others. Called by the worker's own thread."""
        claims = HPO_CLAIMS
        with self._storage.write() as connection:
            result = connection.execute(
                update(claims)
                .where(
                    claims.c.claim_id == self.claim_id,
                    claims.c.token == self._token,
                    claims.c.status == HELD,
                )
                .values(beat=claims.c.beat + 1)
            )
        if result.rowcount == 0 and not self._over:
            self._lost.set()
            self.worker.drops(self)
        with self._storage.read() as connection:
            holds = live_holds(connection, self.study.study_id)
        self.worker.observer.dead(self.study.study_id, holds)

    def _finish(self, state: TrialState, value: float | None, reason: str | None) -> None:
        with self._storage.write() as connection:
            held = token_and_status(connection, self.claim_id, lock=True)
            if held == (self._token, OVER):
                return  # an earlier try went through, and only its answer was lost
            if held != (self._token, HELD):
                raise self._is_lost()
            ended = end_trial(connection, self.trial_id, state, value, reason)
            change_claim(connection, self.claim_id, self._token, HELD, {"status": OVER})
        if not ended:  # somebody told Optuna an outcome behind our back
            raise self._is_lost()

    @contextmanager
    def _mine(self) -> Iterator[Connection]:
        """A transaction in which the claim is this worker's and stays so. Raises ClaimLost."""
        self._check_not_lost()
        with self._storage.write() as connection:
            if token_and_status(connection, self.claim_id, lock=True) != (self._token, HELD):
                raise self._is_lost()
            state = connection.execute(
                select(TRIALS.c.state).where(TRIALS.c.trial_id == self.trial_id)
            ).scalar_one_or_none()
            if state is not TrialState.RUNNING:
                raise self._is_lost()
            yield connection

    def _check_not_lost(self) -> None:
        if self._lost.is_set() or self._over:
            raise self._is_lost()

    def _is_lost(self) -> ClaimLost:
        self._lost.set()
        self.worker.drops(self)
        return ClaimLost(f"trial {self.number} is no longer this worker's (attempt {self.attempt})")

    def _load_trial(self) -> Trial:
        try:
            study = self.study.load()
            # Optuna's cache writes parameters only of trials that it has listed.
            study.get_trials(deepcopy=False)
            return Trial(study, self.trial_id)
        except KeyError as error:  # the study was deleted
            raise self._is_lost() from error


def _check_outcome(state: TrialState, value: float | None) -> None:
    if not state.is_finished():
        raise ValueError(f"a trial cannot end as {state.name}")
    if state is TrialState.COMPLETE and (value is None or math.isnan(value)):
        raise ValueError(f"a complete trial needs a value but got {value}")
    if state is TrialState.FAIL and value is not None:
        raise ValueError("a failed trial has no value")
    if value is not None and math.isnan(value):
        raise ValueError("a value cannot be NaN")
