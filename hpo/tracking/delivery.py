"""One outbox, one server: the oldest operations are sent, and settled once they arrived."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from hpo.errors import TrackingError
from hpo.outbox.records import (
    LogMetrics,
    LogModel,
    Operation,
    SetTags,
    describe,
    from_json,
    spooled_path,
)
from hpo.outbox.rows import WaitingOperation
from hpo.redaction import redact_text
from hpo.tracking.answers import BlockedError, PermanentError
from hpo.tracking.channel import Channel
from hpo.tracking.handlers import handle, log_together
from hpo.tracking.local_store import drop_connections
from hpo.tracking.trial_run import now_ms

logger = logging.getLogger(__name__)

# MLflow answers BAD_REQUEST to some passing troubles of its database, such as a pool that has no
# connection left. What waits behind is held up for as long as it may take a person to mend that.
_DOUBTFUL_SECONDS = 300.0
# Besides, for that time may lie between two tries: a process that ends, and the next, a day later.
_DOUBTFUL_TRIES = 5
_WINDOW = 500


class DoubtfulError(Exception):
    """MLflow refused an operation in a way that may pass; it is worth another try soon."""


class Delivery:
    """Sends what waits in an outbox, in order. Used by one thread."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._outbox = channel.outbox
        self._ledger = channel.ledger
        self._runs_with_refusals: set[str] = set()

    def step(self) -> int:
        """Send the oldest operation, with those right after it that fit into its request.

        Returns:
            How many were settled, 0 where nothing waits.

        Raises:
            RetryableError: The server cannot be used now, or before somebody has acted.
            DoubtfulError: It refuses the operation, perhaps not for long.
        """
        waiting = self._ledger.head(_WINDOW)
        if not waiting:
            return 0
        try:
            return self._send(waiting)
        except BlockedError:
            drop_connections(self._channel.gateway.tracking_uri)
            raise

    def _send(self, waiting: Sequence[WaitingOperation]) -> int:
        batch = _batch(waiting)
        if len(batch) > 1:
            try:
                log_together(self._channel, [operation for _, operation in batch])
            except PermanentError:
                # One of them is at fault: send them singly to find it.
                logger.debug("A batch of %d operations was refused", len(batch))
            else:
                self._settle([row for row, _ in batch])
                return len(batch)
        self._send_first(waiting[0])
        return 1

    def _send_first(self, row: WaitingOperation) -> None:
        try:
            operation = from_json(row.kind, row.body)
        except (ValueError, TypeError, KeyError) as error:
            self._keep_aside(row, f"{row.kind} of {row.run_key}", f"unreadable: {error}")
            return
        damage = self._damage_of(row, operation)
        if damage is not None:
            self._keep_aside(row, describe(operation), damage)
            return
        try:
            handle(self._channel, row, operation)
        except PermanentError as refusal:
            if refusal.doubtful and self._may_pass(row):
                raise DoubtfulError(str(refusal)) from refusal
            may_pass_later = refusal.doubtful or self._ledger.has_rejected(row.run_key, "OpenRun")
            self._reject(row, describe(operation), str(refusal), keep_files=may_pass_later)
            return
        self._settle([row])

    def _damage_of(self, row: WaitingOperation, operation: Operation) -> str | None:
        """What is wrong with an operation or its files and cannot be mended; None where nothing is."""
        if (row.run_key, row.spooled) != (operation.run.key, spooled_path(operation)):
            return "damaged: its row differs from what it says"
        damage = self._outbox.spool.damage_of(operation)
        return None if damage is None or self._made_again(operation) else damage

    def _made_again(self, operation: Operation) -> bool:
        """Whether the files of an operation, which are damaged, are there anew: a model that is kept."""
        if not isinstance(operation, LogModel):
            return False
        outcome = self._channel.outcome(operation.run.key)
        if outcome is None or outcome.model is None:
            return False
        try:
            self._outbox.spool.replace(operation.spooled, outcome.model)
        except TrackingError as error:
            logger.debug("%s is not made again: %s", describe(operation), error)
            return False
        return True

    def _may_pass(self, row: WaitingOperation) -> bool:
        """Count a doubtful refusal. Whether another try is worth holding up what waits behind it."""
        now = now_ms()
        doubt = self._ledger.doubt(row.id, now)
        return doubt.tries < _DOUBTFUL_TRIES or now - doubt.since_ms < _DOUBTFUL_SECONDS * 1000

    def _settle(self, rows: Sequence[WaitingOperation]) -> None:
        size = self._ledger.done([row.id for row in rows])
        self._outbox.arrived(len(rows), size)
        self._discard_files(rows)

    def _reject(
        self, row: WaitingOperation, what: str, reason: str, *, keep_files: bool = False
    ) -> None:
        # A run that was deleted refuses everything: one warning for it is enough.
        level = logging.DEBUG if row.run_key in self._runs_with_refusals else logging.WARNING
        self._runs_with_refusals.add(row.run_key)
        logger.log(level, "MLflow refuses to %s: %s", what, redact_text(reason))
        self._put_aside(row, reason)
        if not keep_files:
            self._discard_files([row])

    def _keep_aside(self, row: WaitingOperation, what: str, damage: str) -> None:
        """Send nothing of an operation that is not as it was written, and say so; its files stay too."""
        logger.warning(
            "Not sent to MLflow, but kept as rejected: %s; %s", what, redact_text(damage)
        )
        self._put_aside(row, damage)

    def _put_aside(self, row: WaitingOperation, reason: str) -> None:
        self._outbox.arrived(1, self._ledger.reject(row, reason))

    def _discard_files(self, rows: Sequence[WaitingOperation]) -> None:
        for row in rows:
            if row.spooled:
                self._outbox.spool.discard(row.spooled)


def _batch(
    waiting: Sequence[WaitingOperation],
) -> list[tuple[WaitingOperation, LogMetrics | SetTags]]:
    """The first operations as long as they are metrics and tags of one run."""
    batch: list[tuple[WaitingOperation, LogMetrics | SetTags]] = []
    for row in waiting:
        if row.kind not in ("LogMetrics", "SetTags") or row.run_key != waiting[0].run_key:
            break
        try:
            operation = from_json(row.kind, row.body)
        except (ValueError, TypeError, KeyError):
            break
        assert isinstance(operation, LogMetrics | SetTags)
        if operation.run.key != row.run_key:
            break
        batch.append((row, operation))
    return batch
