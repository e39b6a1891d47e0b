"""The background thread that empties an outbox into MLflow, and the emptying of abandoned ones.

It never gives up and never holds training up: an outage costs nobody's time but this thread's.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from hpo.outbox.ledger import unusable
from hpo.outbox.outbox import Outbox, abandoned
from hpo.redaction import recall, without_credentials
from hpo.tracking import orphans
from hpo.tracking.answers import BlockedError, RetryableError
from hpo.tracking.channel import Channel, RunListener
from hpo.tracking.delivery import Delivery, DoubtfulError
from hpo.tracking.gateway import Gateway
from hpo.tracking.moved import uri_now
from hpo.tracking.trial_run import OutcomeOf
from hpo.tracking.uri import database_file
from hpo.waiting import Deadline

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
# While somebody waits in `flush`, the server is asked more often.
_LONGEST_PAUSE_IN_FLUSH_SECONDS = 1.0
_LOOK_FOR_ABANDONED_SECONDS = 30.0
_REMIND_OF_OUTAGE_SECONDS = 600.0
_CHECKPOINT_EVERY = 200


@dataclass(frozen=True)
class DrainReport:
    """What became of the outboxes of dead processes.

    Attributes:
        without_secret: Servers whose password, which is not stored, this process was not given.
        away: Servers and stores that cannot be used now.
        blocked: What somebody must mend before the rest is sent.
    """

    files: int
    delivered: int
    waiting: int
    refused: int
    without_secret: frozenset[str] = frozenset()
    away: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()


class Drainer:
    """Empties one outbox in a daemon thread, and abandoned ones beside it when it is idle."""

    def __init__(
        self,
        outbox: Outbox,
        tracking_uri: str,
        *,
        state_dir: Path | None = None,
        on_run_opened: RunListener | None = None,
        outcome_of: OutcomeOf | None = None,
    ) -> None:
        self._outbox = outbox
        self._delivery = Delivery(Channel(outbox, Gateway(tracking_uri), on_run_opened))
        self._state_dir = state_dir
        self._on_run_opened = on_run_opened
        self._outcome_of = outcome_of
        self._wake = threading.Condition()
        self._news = True
        self._stopping = False
        self._flushing = 0
        self._outage = _Outage(without_credentials(tracking_uri), lambda: outbox.waiting)
        self._next_look = time.monotonic()
        self._since_checkpoint = 0
        self._thread = threading.Thread(target=self._run, name="hpo-tracking", daemon=True)
        outbox.on_append = self._notify

    def start(self) -> None:
        self._thread.start()

    def flush(self, timeout_seconds: float) -> int:
        """Wait for everything to arrive, no longer than told.

        Returns:
            How much still waits.
        """
        deadline = Deadline(timeout_seconds)
        with self._wake:
            self._flushing += 1
            self._news = True
            self._wake.notify_all()
            try:
                while self._outbox.waiting and self._thread.is_alive():
                    if deadline.is_over:
                        break
                    self._wake.wait(min(deadline.seconds_left, 1.0))
            finally:
                self._flushing -= 1
        return self._outbox.waiting

    def stop(self, timeout_seconds: float) -> bool:
        """End the thread after the request under way. False where it takes longer than told."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping:
            try:
                if self._delivery.step():
                    pause = _FIRST_PAUSE_SECONDS
                    self._outage.over()
                    self._outbox.note_blocked("")
                    self._after_step()
                else:
                    self._idle()
            except (RetryableError, DoubtfulError) as trouble:
                self._note(trouble)
                self._pause(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            except SQLAlchemyError as error:
                # What arrived and cannot be crossed out, for the disk is full, is sent again and known by its key.
                logger.warning("%s It is tried again", unusable(self._outbox.ledger.path, error))
                self._pause(_LONGEST_PAUSE_SECONDS)
            except Exception:
                # The queue is on disk and whole: whatever this is must not end the thread for good.
                logger.exception("Sending to MLflow failed unexpectedly; it is tried again")
                self._pause(_LONGEST_PAUSE_SECONDS)

    def _note(self, trouble: RetryableError | DoubtfulError) -> None:
        if not isinstance(trouble, BlockedError):
            self._outbox.note_blocked("")
            self._outage.note(str(trouble))
        elif self._outbox.note_blocked(str(trouble)):
            self._outage.tell_blocked(str(trouble))

    def _after_step(self) -> None:
        self._since_checkpoint += 1
        if self._since_checkpoint >= _CHECKPOINT_EVERY:
            self._since_checkpoint = 0
            self._outbox.ledger.checkpoint()
        if not self._outbox.waiting:
            with self._wake:
                self._wake.notify_all()

    def _idle(self) -> None:
        if self._state_dir is not None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_FOR_ABANDONED_SECONDS
            _drain_abandoned(
                self._state_dir, self._on_run_opened, self._outcome_of, stop=self._has_other_work
            )
        with self._wake:
            if not self._news and not self._stopping:
                self._wake.wait(_LOOK_FOR_ABANDONED_SECONDS)
            self._news = False

    def _has_other_work(self) -> bool:
        return self._stopping or self._outbox.waiting > 0

    def _pause(self, seconds: float) -> None:
        """Wait before the next try; a `flush` cuts the wait short, new operations do not."""
        begun = time.monotonic()
        with self._wake:
            while not self._stopping:
                longest = _LONGEST_PAUSE_IN_FLUSH_SECONDS if self._flushing else seconds
                left = min(seconds, longest) - (time.monotonic() - begun)
                if left <= 0:
                    return
                self._wake.wait(left)

    def _notify(self) -> None:
        with self._wake:
            self._news = True
            self._wake.notify_all()


def drain_abandoned(
    state_dir: Path,
    *,
    timeout_seconds: float = 30.0,
    on_run_opened: RunListener | None = None,
    outcome_of: OutcomeOf | None = None,
) -> DrainReport:
    """Send what dead processes left under state_dir, each file to its server; close their runs.

    Files that are empty then are removed; files whose server is away stay for the next time.

    Args:
        outcome_of: How a trial ended whose worker died before it could say so; without it, and
            where it does not know, such a run ends as abandoned.
    """
    deadline = Deadline(timeout_seconds)
    return _drain_abandoned(state_dir, on_run_opened, outcome_of, stop=lambda: deadline.is_over)


def _drain_abandoned(
    state_dir: Path,
    on_run_opened: RunListener | None,
    outcome_of: OutcomeOf | None,
    *,
    stop: Callable[[], bool],
) -> DrainReport:
    gateways: dict[str, Gateway] = {}
    away: set[str] = set()
    blocked: set[str] = set()
    files = delivered = waiting = refused = 0
    without_secret: set[str] = set()
    for outbox in abandoned(state_dir):
        files += 1
        noted = outbox.destination
        there = uri_now(noted, outbox.state_dir) if noted else None
        uri = None if there is None else recall(there)
        before, refused_before = outbox.waiting, len(outbox.rejected())
        empty = there is None
        if there is not None and uri is None:
            without_secret.add(there)
        try:
            if uri is not None and uri not in away and not stop():
                _check_folder(uri)
                gateway = gateways.setdefault(uri, Gateway(uri))
                empty = _empty(Channel(outbox, gateway, on_run_opened, outcome_of), stop)
        except (RetryableError, DoubtfulError) as trouble:
            if isinstance(trouble, RetryableError):  # and not one operation's own
                away.add(str(uri))
            if isinstance(trouble, BlockedError):
                blocked.add(str(trouble))
            outbox.note_blocked(str(trouble) if isinstance(trouble, BlockedError) else "")
            logger.info(
                "%d operations of a process that died wait on for %s: %s",
                outbox.waiting,
                without_credentials(str(uri)),
                trouble,
            )
        finally:
            # Whatever happened: held on to, it would be out of everybody's reach.
            newly_refused = len(outbox.rejected()) - refused_before
            delivered += before - outbox.waiting - newly_refused
            waiting += outbox.waiting
            refused += newly_refused
            outbox.close(remove=empty, tracking_uri=there)
        if stop():
            break
    return DrainReport(
        files,
        delivered,
        waiting,
        refused,
        frozenset(without_secret),
        frozenset(map(without_credentials, away)),
        frozenset(blocked),
    )


def _check_folder(uri: str) -> None:
    """Raise BlockedError where the folder of a local store is gone: to send anything would make it again."""
    file = database_file(uri)
    if file is not None and not file.parent.is_dir():
        raise BlockedError(f"{file.parent} is gone")


def _empty(channel: Channel, stop: Callable[[], bool]) -> bool:
    delivery = Delivery(channel)
    while not stop():
        if not delivery.step():
            orphans.close_runs(channel)
            return True
    return False


class _Outage:
    """Tells of an outage once when it is sure, again from time to time, and when it is over."""

    def __init__(self, server: str, waiting: Callable[[], int]) -> None:
        self._server = server
        self._waiting = waiting
        self._failures = 0
        self._begun = 0.0
        self._told = 0.0

    def note(self, reason: str) -> None:
        now = time.monotonic()
        self._failures += 1
        if self._failures == 1:
            # A kept-alive connection that the server closed looks the same; the next try tells.
            self._begun = now
            logger.debug("The tracking server %s does not answer: %s", self._server, reason)
        elif self._failures == 2 or now - self._told > _REMIND_OF_OUTAGE_SECONDS:
            self._told = now
            logger.warning(
                "The tracking server %s cannot be used (%s). Nothing is lost: %d operations wait on disk",
                self._server,
                reason,
                self._waiting(),
            )

    def tell_blocked(self, reason: str) -> None:
        """Tell at once, and once, of what lasts until somebody acts."""
        self._begun = self._begun if self._failures else time.monotonic()
        self._failures += 2
        logger.warning(
            "The tracking server %s takes nothing before somebody mends this: %s. "
            "Nothing is lost: %d operations wait on disk",
            self._server,
            reason,
            self._waiting(),
        )

    def over(self) -> None:
        if self._failures > 1:
            seconds = time.monotonic() - self._begun
            logger.warning("The tracking server %s is back after %.0f s", self._server, seconds)
        self._failures = 0
