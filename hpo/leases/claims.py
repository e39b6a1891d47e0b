"""Claims: a trial in a worker's hands, and all that is written of it: under its lease, or not at all."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState
from pydantic import JsonValue
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from hpo.errors import StorageError
from hpo.leases.claim_rows import end_trial
from hpo.leases.heartbeat import Worker
from hpo.leases.lease import Assignment, Lease, LeaseLost
from hpo.search.distributions import suggest
from hpo.search.plugins import quietly
from hpo.spec.options import OptionValue
from hpo.storage import optuna_rows
from hpo.storage.optuna_rows import cached_trial
from hpo.storage.optuna_tables import TRIAL_SYSTEM_ATTRIBUTES, TRIAL_USER_ATTRIBUTES
from hpo.storage.retries import one_line
from hpo.storage.seals import POINT_SEAL, seal_point
from hpo.studies.provenance import ENVIRONMENTS, WEIGHTS
from hpo.studies.studies import OpenStudy
from hpo.studies.trial_probabilities import keep_probabilities

logger = logging.getLogger(__name__)


class Claim:
    """A trial in this worker's hands. Everything said about the trial goes through here.

    As a context manager it gives the trial back where the block ends without `finish`.

    Attributes:
        lease: The right to write about the trial.
        number: Of the trial in its study.
        attempt: 1 for a trial never begun before.
        point: What it suggested, once it has.
    """

    def __init__(self, study: OpenStudy, worker: Worker, assignment: Assignment) -> None:
        self.study = study
        self.lease = Lease(study, worker, assignment)
        self.trial_id = assignment.trial_id
        self.number = assignment.number
        self.attempt = assignment.attempt
        self.point: dict[str, OptionValue] = {}
        self._storage = study.storage
        self._end: tuple[TrialState, float | None] | None = None
        self._trial: Trial | None = None

    @property
    def is_new(self) -> bool:
        """Whether the trial was never begun before."""
        return self.attempt == 1

    @property
    def is_over(self) -> bool:
        """Whether the trial was finished, or given back, through this claim."""
        return self.lease.is_over

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
        if self.is_over or isinstance(error, LeaseLost):
            return
        try:
            # Where the database has been waited for already, it is asked once more and not again
            # and again: a trial that is not given back counts a death that was none.
            self.lease.release(patient=not isinstance(error, StorageError))
        except (StorageError, SQLAlchemyError) as fault:
            if error is None:
                raise
            logger.warning("Trial %d could not be given back: %s", self.number, one_line(fault))

    def suggest(self) -> dict[str, OptionValue]:
        """The trial's point of the space: the same one in every attempt.

        Raises:
            LeaseLost: The trial is no longer this worker's.
        """

        def draw() -> dict[str, OptionValue]:
            try:
                suggest(self.trial, self.study.space)
                # What is stored counts: another attempt may have drawn some of it a moment earlier.
                stored = self._storage.optuna.get_trial(self.trial_id)
            except (UpdateFinishedTrialError, KeyError) as error:
                raise self.lease.lost() from error
            if POINT_SEAL not in stored.system_attrs:
                with self.lease.held() as connection:
                    seal_point(connection, self.study.uid, self.trial_id, stored)
            return {name: stored.params[name] for name in self.study.space}

        self.point = self._storage.retry(draw, "suggesting parameters")
        return self.point

    def report(self, value: float, step: int) -> None:
        """Note the value of an evaluation, in place of an earlier one of that step.

        Args:
            value: Of the study's metric; NaN and infinities are allowed.
            step: Of the evaluation, 0 or more.

        Raises:
            LeaseLost: The trial is no longer this worker's.
        """
        if step < 0:
            raise ValueError(f"step must be 0 or more but got {step}")
        value = float(value)

        def write() -> None:
            with self.lease.held() as connection:
                optuna_rows.report(connection, self.trial_id, step, value)

        self._storage.retry(write, "reporting a value")
        cached_trial(self.trial).intermediate_values[step] = value

    def forget_reports_after(self, step: int) -> None:
        """Drop what earlier attempts reported beyond the checkpoint that this one goes on from.

        Args:
            step: Of the last evaluation that the checkpoint knows; 0 drops all.

        Raises:
            LeaseLost: The trial is no longer this worker's.
        """

        def write() -> None:
            with self.lease.held() as connection:
                optuna_rows.forget_reports_after(connection, self.trial_id, step)

        self._storage.retry(write, "going back to the checkpoint")
        # Optuna's `report` would mend its copy too, but it writes without a look at the claim.
        values = cached_trial(self.trial).intermediate_values
        for later in [each for each in values if each > step]:
            del values[later]

    def should_prune(self) -> bool:
        """Whether the study's pruner gives the trial up.

        Raises:
            LeaseLost: The trial is no longer this worker's.
        """

        def ask() -> bool:
            self.lease.check()
            try:
                with quietly():
                    return self.trial.should_prune()
            except UpdateFinishedTrialError as error:
                raise self.lease.lost() from error

        return self._storage.retry(ask, "asking the pruner")

    def set_user_attrs(self, values: Mapping[str, JsonValue]) -> None:
        """Set user attributes of the trial, all at once.

        Raises:
            LeaseLost: The trial is no longer this worker's.
        """

        def write() -> None:
            with self.lease.held() as connection:
                for key, value in values.items():
                    optuna_rows.set_attribute(
                        connection, TRIAL_USER_ATTRIBUTES, self.trial_id, key, value
                    )

        self._storage.retry(write, "setting attributes of the trial")
        cached_trial(self.trial).user_attrs.update(values)

    def note_environment(self, environment: Mapping[str, str]) -> None:
        """Note what this attempt runs in, where no earlier one ran in the same.

        Raises:
            LeaseLost: The trial is no longer this worker's.
        """
        known = cached_trial(self.trial).system_attrs.get(ENVIRONMENTS, [])
        if environment not in known:
            self._set_system_attr(ENVIRONMENTS, [*known, dict(environment)])

    def note_weights(self, digest: str) -> None:
        """Note the digest of what the trial trained.

        Raises:
            LeaseLost: The trial is no longer this worker's.
        """
        self._set_system_attr(WEIGHTS, digest)

    def _set_system_attr(self, key: str, value: JsonValue) -> None:
        def write() -> None:
            with self.lease.held() as connection:
                optuna_rows.set_attribute(
                    connection, TRIAL_SYSTEM_ATTRIBUTES, self.trial_id, key, value
                )

        self._storage.retry(write, "noting what the trial is trained with")
        cached_trial(self.trial).system_attrs[key] = value

    def keep_probabilities(self, probabilities: NDArray[np.float32]) -> None:
        """Keep what the trial answered on the validation texts, (texts, scores), for ensembles.

        Raises:
            LeaseLost: The trial is no longer this worker's.
        """

        def write() -> None:
            with self.lease.held() as connection:
                keep_probabilities(
                    connection, self.study.uid, self.trial_id, self.number, probabilities
                )

        self._storage.retry(write, "keeping what the trial answered")

    def finish(
        self, state: TrialState, value: float | None = None, reason: str | None = None
    ) -> None:
        """End the trial: its state, value and claim change at once, or not at all.

        May be called again when the outcome of a call is not known.

        Args:
            state: COMPLETE, PRUNED or FAIL.
            value: Of the study's metric, no NaN: needed of a complete trial, that of its last report by
                default of a pruned one, None of a failed one.
            reason: Why, in words; kept as user attribute `hpo.reason`.

        Raises:
            LeaseLost: The trial is no longer this worker's, or has another end already.
            ValueError: State and value make no sense together.
        """
        _check_outcome(state, value)
        if self._end not in (None, (state, value)):
            raise LeaseLost(f"trial {self.number} has another end already")

        def end(connection: Connection) -> bool:
            return end_trial(connection, self.trial_id, state, value, reason)

        self._storage.retry(lambda: self.lease.close(end), "finishing the trial")
        self._end = (state, value)
        self.lease.let_go()

    def release(self) -> bool:
        """Give the trial back unfinished: the next worker goes on with it, and no death is counted.

        Returns:
            Whether it was still ours to give.
        """
        return self.lease.release()

    def _load_trial(self) -> Trial:
        try:
            study = self.study.load()
            # Optuna's cache writes parameters only of trials that it has listed.
            study.get_trials(deepcopy=False)
            return Trial(study, self.trial_id)
        except KeyError as error:  # the study was deleted
            raise self.lease.lost() from error


def _check_outcome(state: TrialState, value: float | None) -> None:
    if not state.is_finished():
        raise ValueError(f"a trial cannot end as {state.name}")
    if state is TrialState.COMPLETE and (value is None or math.isnan(value)):
        raise ValueError(f"a complete trial needs a value but got {value}")
    if state is TrialState.FAIL and value is not None:
        raise ValueError("a failed trial has no value")
    if value is not None and math.isnan(value):
        raise ValueError("a value cannot be NaN")
