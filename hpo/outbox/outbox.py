"""The durable queue between training and the server: a file, a lock and a spool for each owner.

    <state_dir>/outbox/<key>.db      the operations that wait (ledger.py)
    <state_dir>/outbox/<key>.spool/  files that wait to be uploaded (spool.py)
    <state_dir>/outbox/<key>.lock    held by the owner as long as it lives (owner.py)
    <state_dir>/outbox/rejected.jsonl, rejected.spool/   what the server refused (rejected.py)

What a dead owner has left is a file whose lock is free; any process may take it over.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from filelock import FileLock

from hpo.closing import Closing
from hpo.errors import TrackingError
from hpo.outbox.ledger import URI_DIGEST, Ledger, digest_of_uri
from hpo.outbox.ledger_check import DamagedLedger, open_checked, set_aside
from hpo.outbox.ledger_format import check_ledger_format
from hpo.outbox.origin import Origin
from hpo.outbox.owner import (
    folder_lock,
    free_for_good,
    has_owner,
    last_written_ms,
    lock_new,
    lock_orphaned,
    make_private,
    new_key,
)
from hpo.outbox.quota import DEFAULT_LIMIT_BYTES, Quota
from hpo.outbox.records import EndRun, Operation
from hpo.outbox.rejected import keep_rejected
from hpo.outbox.rows import Destination, KnownRun, RejectedOperation
from hpo.outbox.spool import Spool, Spooled
from hpo.redaction import redacted, remember

logger = logging.getLogger(__name__)

_BLOCKED = "blocked"


class Outbox(Closing):
    """The outbox of this process, or one of a dead process that was taken over (`adopt`).

    append and what adds to the spool are called by the training thread, the rest by a draining thread.
    """

    def __init__(
        self, ledger: Ledger, lock: FileLock, origin: Origin, limit_bytes: int = DEFAULT_LIMIT_BYTES
    ) -> None:
        """See `create` and `adopt`.

        Args:
            lock: Held, and released by `close`.
        """
        self.key = ledger.path.stem
        self.folder = ledger.path.parent
        self.origin = origin
        self.ledger = ledger
        self.on_append: Callable[[], None] | None = None
        self._lock = lock
        self._blocked = ledger.fact(_BLOCKED)
        self._quota = Quota(
            self.folder, self.key, limit_bytes, ledger.waiting(), ledger.fact("tracking_uri")
        )
        self.spool = Spool(self._beside(".spool"), self._quota)

    @classmethod
    def create(
        cls,
        state_dir: Path,
        tracking_uri: str,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        *,
        origin: Origin = Origin.LIVE,
    ) -> Self:
        """A new outbox under state_dir, owned by this process until it closes it or dies."""
        folder, key = state_dir.absolute() / "outbox", new_key()
        lock = lock_new(folder, key)
        try:
            make_private(folder / f"{key}.db")
            ledger = Ledger.open(folder / f"{key}.db")
        except TrackingError:
            lock.release()
            raise
        remember(tracking_uri)
        reference, state = redacted(tracking_uri), str(state_dir.absolute())
        late = {"late": "true"} if origin.may_be_outdated else {}
        ledger.set_facts(
            {
                "tracking_uri": reference,
                "state_dir": state,
                URI_DIGEST: digest_of_uri(reference, state),
                **late,
            }
        )
        outbox = cls(ledger, lock, origin, limit_bytes)
        outbox._quota.count_others()
        return outbox

    @classmethod
    def adopt(cls, file: Path) -> Self | None:
        """The outbox of a dead process, or None where its owner lives or it is gone."""
        with folder_lock(file.parent):
            lock = lock_orphaned(file)
            if lock is None:
                return None
            abandoned_ms = last_written_ms(file)
            try:
                ledger = open_checked(file)
            except DamagedLedger as damage:
                set_aside(file, damage)
                free_for_good(file, lock)
                return None
            except TrackingError:
                lock.release()
                raise
            ledger.leave_out_secrets()
            if not _is_time(ledger.fact("abandoned_ms")):
                ledger.set_facts({"abandoned_ms": str(abandoned_ms)})
        late = ledger.fact("late") is not None
        return cls(ledger, lock, Origin.REQUEUED if late else Origin.ORPHANED)

    @property
    def state_dir(self) -> Path:
        """The state folder, where it is now."""
        return self.folder.parent

    @property
    def destination(self) -> Destination | None:
        """Where the operations go, as the owner noted it; None where it died before it could."""
        return self.ledger.destination()

    @property
    def tracking_uri(self) -> str | None:
        """The server or store of `destination`, without secrets."""
        return self.ledger.fact("tracking_uri")

    @property
    def abandoned_ms(self) -> int | None:
        """When the dead owner last wrote, ms since the epoch; None for this process's own."""
        value = self.ledger.fact("abandoned_ms")
        return None if value is None else int(value)

    @property
    def waiting(self) -> int:
        """Operations that have not arrived."""
        return self._quota.count

    @property
    def is_blocked(self) -> bool:
        """Whether nothing is sent before somebody has acted."""
        return bool(self._blocked)

    def note_blocked(self, reason: str) -> bool:
        """Note why nothing is sent before somebody has acted; an empty reason: that is over.

        Returns:
            Whether no living owner of another outbox here has noted, and so told, the same.
        """
        if reason == (self._blocked or ""):
            return False
        self._blocked = reason
        try:
            with folder_lock(self.folder):
                self.ledger.set_facts({_BLOCKED: reason})
                others = (f for f in _files(self.state_dir) if f.stem != self.key)
                return not any(_fact(f, _BLOCKED) == reason and has_owner(f) for f in others)
        except (OSError, sa.exc.DatabaseError) as error:
            logger.debug("That %s is blocked cannot be noted: %s", self.key, error)
            return True

    def append(self, *operations: Operation, spooled: Spooled | None = None) -> None:
        """Store operations, all or none.

        Raises:
            TrackingError: The outbox is full.
        """
        if not operations:
            return
        self._quota.check_room(0)
        size = self.ledger.append(operations, spooled.bytes if spooled else 0)
        self._quota.add(len(operations), size)
        if self.on_append:
            self.on_append()

    def arrived(self, count: int, size: int) -> None:
        """Count operations that no longer wait, and their bytes."""
        self._quota.subtract(count, size)

    def run(self, run_key: str) -> KnownRun | None:
        """What is known of a run that was opened through this outbox."""
        return self.ledger.run(run_key)

    def rejected(self) -> list[RejectedOperation]:
        """What the server refused of what was appended here."""
        return self.ledger.rejected()

    def open_elsewhere(self, run_key: str) -> bool:
        """Whether a living owner of another outbox here has opened the run and not ended it."""
        others = (f for f in self.folder.glob("*.db") if f.stem != self.key)
        return any(_has_open(file, run_key) for file in others if has_owner(file))

    def end_shared(self, operation: EndRun) -> None:
        """End a run that several processes share, unless another one still has it open."""
        # Of two that close at once, each would otherwise leave it to the other.
        with folder_lock(self.folder):
            if self.open_elsewhere(operation.run.key):
                self.ledger.mark_ended(operation.run.key)
            else:
                self.append(operation)

    def close(self, *, remove: bool = False, tracking_uri: str | None = None) -> None:
        """Give the outbox up.

        Args:
            remove: Whether its files go; what waits in them is left to other processes otherwise.
            tracking_uri: Where `destination` leads to now, if that was looked up.
        """
        if remove:
            uri = tracking_uri or self.tracking_uri
            keep_rejected(self.folder, self.rejected(), self.spool.path, uri)
        self.ledger.close()
        if remove:
            # The database goes after the spool and before the lock, so that a process that finds
            # the lock free finds either a whole outbox or none.
            self.spool.remove()
            for suffix in (".db-wal", ".db-shm", ".db", ".lock"):
                self._beside(suffix).unlink(missing_ok=True)
        self._lock.release()

    def _beside(self, suffix: str) -> Path:
        return self.folder / f"{self.key}{suffix}"


def abandoned(state_dir: Path) -> Iterator[Outbox]:
    """The outboxes whose owners are dead, each taken over as it is reached."""
    for file in sorted(_files(state_dir)):
        try:
            outbox = Outbox.adopt(file)
        except (TrackingError, OSError, sa.exc.DatabaseError) as error:
            logger.warning("The abandoned outbox %s cannot be read: %s", file, error)
            continue
        if outbox is not None:
            yield outbox


def check_formats(state_dir: Path) -> None:
    """Look at the outboxes under a state folder; nothing is written.

    Raises:
        TrackingError: A newer release left one there.
    """
    for file in sorted(_files(state_dir)):
        check_ledger_format(file)


def waiting_in(state_dir: Path) -> int:
    """How many operations wait under state_dir, in the outboxes of the living and the dead."""
    total = 0
    for file in _files(state_dir):
        try:
            with Ledger.open(file) as ledger:
                total += ledger.waiting()[0]
        except (TrackingError, sa.exc.DatabaseError) as error:
            logger.warning("The outbox %s cannot be read: %s", file, error)
    return total


def blocked_in(state_dir: Path) -> list[str]:
    """Why operations wait under state_dir that nothing but a person's doing sends, each reason once."""
    files = sorted(_files(state_dir))
    return list(dict.fromkeys(filter(None, (_fact(file, _BLOCKED) for file in files))))


def waits_in(state_dir: Path, kind: type[Operation]) -> bool:
    """Whether an operation of this kind waits under state_dir, as above."""
    for file in _files(state_dir):
        try:
            with Ledger.open(file) as ledger:
                if ledger.holds(kind.__name__):
                    return True
        except (TrackingError, sa.exc.DatabaseError):
            continue
    return False


def waiting_runs(state_dir: Path) -> Counter[str]:
    """The keys of the runs for which operations wait under state_dir, and how many for each."""
    runs: Counter[str] = Counter()
    for file in _files(state_dir):
        try:
            with Ledger.open(file) as ledger:
                runs += ledger.waiting_runs()
        except (TrackingError, sa.exc.DatabaseError) as error:
            logger.warning("The outbox %s cannot be read: %s", file, error)
    return runs


def is_open(state_dir: Path, run_key: str) -> bool:
    """Whether a living process with an outbox under state_dir has the run open."""
    return any(_has_open(file, run_key) for file in _files(state_dir) if has_owner(file))


def _files(state_dir: Path) -> Iterator[Path]:
    return (state_dir.absolute() / "outbox").glob("*.db")


def _is_time(value: str | None) -> bool:
    """Whether a fact is a number of ms since the epoch."""
    return value is not None and re.fullmatch("[0-9]{1,15}", value) is not None


def _fact(file: Path, name: str) -> str | None:
    try:
        with Ledger.open(file) as ledger:
            return ledger.fact(name)
    except (TrackingError, sa.exc.DatabaseError):
        return None


def _has_open(file: Path, run_key: str) -> bool:
    """Whether the owner of a file is alive, as far as the file tells, and has the run open."""
    try:
        with Ledger.open(file) as ledger:
            # A dead owner's is locked too while somebody empties it.
            owner_lives = ledger.fact("abandoned_ms") is None
            return owner_lives and any(r.run_key == run_key for r in ledger.unfinished_runs())
    except (TrackingError, sa.exc.DatabaseError) as error:
        logger.debug("The outbox %s cannot be read: %s", file, error)
        return False
