"""An outbox and the server that it is emptied into, as all see them who send: what is known of a run."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from hpo.errors import HpoError
from hpo.outbox.ledger import Ledger
from hpo.outbox.origin import Origin
from hpo.outbox.outbox import Outbox
from hpo.outbox.records import RunRef
from hpo.outbox.rows import KnownRun
from hpo.tracking.answers import PermanentError, RetryableError
from hpo.tracking.gateway import Gateway
from hpo.tracking.trial_run import OutcomeOf, RunOutcome

logger = logging.getLogger(__name__)


class RunListener(Protocol):
    """Called on the draining thread once a run exists at the server, perhaps more than once."""

    def __call__(self, run_key: str, run_id: str, url: str) -> None: ...


@dataclass(frozen=True)
class Channel:
    """One outbox, one server. Used by one thread.

    Attributes:
        outbox: What is sent; its origin says how.
        gateway: Where it is sent.
        on_run_opened: Told of every run that is opened.
        outcome_of: How a trial ended, by the word of the study's own storage.
    """

    outbox: Outbox
    gateway: Gateway
    on_run_opened: RunListener | None = None
    outcome_of: OutcomeOf | None = None

    @property
    def ledger(self) -> Ledger:
        return self.outbox.ledger

    @property
    def origin(self) -> Origin:
        return self.outbox.origin

    def find(self, ref: RunRef) -> KnownRun | None:
        """The run as this outbox opened it, or as the server has it where another process did."""
        known = self.outbox.run(ref.key)
        if known is not None:
            return known
        found = self.gateway.find_runs(ref.experiment, ref.key)
        if not found:
            return None
        return KnownRun(ref.key, found[0].run_id, found[0].experiment_id, True, False, {})

    def known(self, ref: RunRef) -> KnownRun:
        """The same.

        Raises:
            PermanentError: There is no such run.
        """
        run = self.find(ref)
        if run is None:
            raise PermanentError("there is no such run")
        return run

    def outcome(self, run_key: str) -> RunOutcome | None:
        """How the trial of a run ended, if it did.

        Raises:
            RetryableError: That cannot be looked up now.
        """
        if self.outcome_of is None:
            return None
        try:
            return self.outcome_of(run_key)
        except HpoError as error:
            raise RetryableError(
                f"how the trial of {run_key} ended cannot be looked up: {error}"
            ) from error

    def tell_opened(self, run: KnownRun) -> None:
        """Say that a run is there.

        Raises:
            RetryableError: Whoever notes it cannot do so now.
        """
        if self.on_run_opened is None:
            return
        url = self.gateway.url(run.experiment_id, run.run_id)
        try:
            self.on_run_opened(run.run_key, run.run_id, url)
        except HpoError as error:
            # The study's storage is away: opened once more when it is back, the run is the same.
            raise RetryableError(f"the run of {run.run_key} cannot be noted: {error}") from error
        except Exception:
            logger.exception("Noting the MLflow run of %s elsewhere failed", run.run_key)
