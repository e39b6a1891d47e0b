"""The durable queue between training and MLflow: a file, a lock and a spool for each owner.

    <state_dir>/outbox/<key>.db      the operations that wait (ledger.py)
    <state_dir>/outbox/<key>.spool/  files that wait to be uploaded
    <state_dir>/outbox/<key>.lock    held by the owner as long as it lives
    <state_dir>/outbox/rejected.jsonl, rejected.spool/   what MLflow refused (rejected.py)

What a dead owner has left is a file whose lock is free; any process may take it over.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from filelock import FileLock, Timeout

from hpo.digests import damage_in, fast_digest, file_digest
from hpo.errors import TrackingError
from hpo.formats import REJECTED, refusal
from hpo.spec.locations import without_credentials
from hpo.tracking.ledger import (
    URI_DIGEST,
    DamagedLedger,
    KnownRun,
    Ledger,
    RejectedOperation,
    check_ledger_format,
    digest_of_uri,
)
from hpo.tracking.moved import uri_now
from hpo.tracking.records import EndRun, LogArtifact, Operation, spooled_files, spooled_path

logger = logging.getLogger(__name__)

DEFAULT_LIMIT_BYTES = 1 << 30
# Ends, tags and metrics must still find room when models have filled the outbox.
_SMALL_OPERATIONS_MARGIN = 64 << 20
DISK_MARGIN = 64 << 20
REJECTED_FILE = "rejected.jsonl"
REJECTED_SPOOL = "rejected.spool"


@dataclass(frozen=True)
class Spooled:
    """Files copied into the outbox: their path relative to the spool, and their size.

    digest: a single file's SHA-256; a folder holds those of its files itself (`digests.json`).
    """

    path: str
    bytes: int
    digest: str | None = None


class Outbox:
    """The outbox of this process, or one of a dead process that was taken over (`adopt`).

    append and the spool methods are called by the training thread, the rest by a draining thread.
    """

    def __init__(
        self, folder: Path, key: str, lock: FileLock, limit_bytes: int, *, check: bool = False
    ) -> None:
        """check: whether the ledger is that of a dead process, which may be damaged (DamagedLedger)."""
        self.key = key
        self._folder = folder
        self._lock = lock
        self._limit_bytes = limit_bytes
        self._bytes_lock = threading.Lock()
        self._warned = False
        self.spool = folder / f"{key}.spool"
        self.ledger = Ledger(folder / f"{key}.db", check=check)
        self._count, self._bytes = self.ledger.waiting()
        self._others_bytes = 0
        self.on_append: Callable[[], None] | None = None

    @classmethod
    def create(
        cls, state_dir: Path, tracking_uri: str, limit_bytes: int = DEFAULT_LIMIT_BYTES
    ) -> Self:
        """A new outbox under state_dir, owned by this process until it closes it or dies."""
        folder = state_dir.absolute() / "outbox"
        key = f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            # Private: a tracking URI in it may hold a password.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _lock(folder / f"{key}.lock")
            lock.acquire(blocking=False)
        except OSError as error:
            raise TrackingError(
                f"outbox folder {folder}",
                found=error.strerror or str(error),
                expected="a folder that can be written",
                hint="Check its rights and the disk's free space, or work in another folder.",
            ) from error
        try:
            outbox = cls(folder, key, lock, limit_bytes)
        except TrackingError:
            lock.release()
            raise
        state = str(state_dir.absolute())
        outbox.ledger.set_facts(
            {
                "tracking_uri": tracking_uri,
                "state_dir": state,
                URI_DIGEST: digest_of_uri(tracking_uri, state),
            }
        )
        outbox._others_bytes = outbox._bytes_of_others()
        return outbox

    @classmethod
    def adopt(cls, file: Path) -> Self | None:
        """The outbox of a dead process, or None where its owner lives or it is gone."""
        lock = _lock(file.with_suffix(".lock"))
        # Whoever sees the lock taken sees by whom.
        with folder_lock(file.parent):
            try:
                lock.acquire(blocking=False)
            except Timeout:
                return None
            if not file.exists():
                # Another process emptied and removed it between our look at the folder and the lock.
                lock.release()
                file.with_suffix(".lock").unlink(missing_ok=True)
                return None
            last_touched = str(int(_last_touched(file) * 1000))
            try:
                outbox = cls(file.parent, file.stem, lock, DEFAULT_LIMIT_BYTES, check=True)
            except DamagedLedger as damage:
                _set_aside(file, damage)
                lock.release()
                file.with_suffix(".lock").unlink(missing_ok=True)
                return None
            except TrackingError:
                lock.release()
                raise
            if outbox.ledger.fact("abandoned_ms") is None:
                outbox.ledger.set_facts({"abandoned_ms": last_touched})
        return outbox

    @property
    def tracking_uri(self) -> str | None:
        """Where the operations go, also after the folder was moved; None where the owner died before it could say."""
        uri, state = self.ledger.fact("tracking_uri"), self.ledger.fact("state_dir")
        if uri is None:
            return None
        return uri_now(uri, state, self._folder.parent, self.ledger.run_ids())

    @property
    def abandoned_ms(self) -> int | None:
        """When the dead owner last wrote, ms since the epoch; None for this process's own."""
        value = self.ledger.fact("abandoned_ms")
        return None if value is None else int(value)

    @property
    def comes_late(self) -> bool:
        """Whether it holds what was refused once, so that later operations may have gone before."""
        return self.ledger.fact("late") is not None

    def append(self, *operations: Operation, spooled: Spooled | None = None) -> None:
        """Store operations, all or none. Raises TrackingError where the outbox is full."""
        if not operations:
            return
        self._check_room(0)
        size = self.ledger.append(operations, spooled.bytes if spooled else 0)
        with self._bytes_lock:
            self._count += len(operations)
            self._bytes += size
        self._warn_at_half()
        if self.on_append:
            self.on_append()

    def spool_folder(self, source: Path, *, move: bool = False, bounded: bool = True) -> Spooled:
        """Copy (or move) a folder into the spool.

        bounded: False holds the copy to the disk's free space only, not to the outbox's limit.
        """
        if not source.is_dir():
            raise TrackingError(
                str(source),
                found="no folder there",
                expected="a folder to log",
                hint="Check the path.",
            )
        size = _size(source)
        if bounded:
            self._others_bytes = self._bytes_of_others()
            self._check_room(size, strict=True)
        self._check_disk(0 if move else size)
        name = uuid.uuid4().hex
        target = self.spool / name
        try:
            self.spool.mkdir(exist_ok=True)
            shutil.move(source, target) if move else shutil.copytree(source, target)
        except OSError as error:
            shutil.rmtree(target, ignore_errors=True)
            raise TrackingError(
                f"outbox {self.spool}",
                found=error.strerror or str(error),
                expected=f"room for {source.name}",
                hint="Check the disk's free space and the folder's rights.",
            ) from error
        return Spooled(name, size)

    def spool_file(self, content: bytes, file_name: str) -> Spooled:
        """Write a file of this content into the spool."""
        self._check_room(len(content), strict=True)
        self._check_disk(len(content))
        target = self.spool / uuid.uuid4().hex
        target.mkdir(parents=True)
        (target / file_name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return Spooled(f"{target.name}/{file_name}", len(content), digest)

    def damage_of(self, operation: Operation) -> str | None:
        """What is wrong with an operation's files, in a few words; None where nothing is."""
        spooled = spooled_path(operation)
        if spooled is None:
            return None
        path = self.spool / spooled
        if not path.exists():
            return "its files are gone"
        if isinstance(operation, LogArtifact):
            damaged = operation.digest is not None and file_digest(path) != operation.digest
            return f"{path} is not as it was written" if damaged else None
        # Of a folder that was tried before, the files lie in one below.
        holding = [path, *(each for each in path.iterdir() if each.is_dir())]
        damages = (damage_in(folder) for folder in holding)
        return next((f"{path}: {damage}" for damage in damages if damage is not None), None)

    def respool(self, spooled: str, source: Path) -> None:
        """Put a folder in the place of a spooled one that is damaged. Raises TrackingError."""
        again = self.spool_folder(source, bounded=False)
        self.discard(spooled)
        (self.spool / again.path).rename(self.spool / spooled)

    def discard(self, spooled: str) -> None:
        """Remove files of an operation that has arrived."""
        shutil.rmtree(self.spool / spooled.partition("/")[0], ignore_errors=True)

    def arrived(self, count: int, size: int) -> None:
        """Count operations that no longer wait."""
        with self._bytes_lock:
            self._count -= count
            self._bytes -= size

    @property
    def waiting(self) -> int:
        """Operations that have not arrived."""
        return self._count

    def run(self, run_key: str) -> KnownRun | None:
        """What is known of a run that was opened through this outbox."""
        return self.ledger.run(run_key)

    def open_elsewhere(self, run_key: str) -> bool:
        """Whether a living owner of another outbox here has opened the run and not ended it."""
        for file in self._folder.glob("*.db"):
            if file.stem == self.key or not _has_owner(file):
                continue
            try:
                other = Ledger(file)
            except TrackingError:
                continue
            try:
                # A dead owner's is locked too while somebody empties it.
                owner_lives = other.fact("abandoned_ms") is None
                if owner_lives and any(r.run_key == run_key for r in other.unfinished_runs()):
                    return True
            except sa.exc.DatabaseError as error:
                logger.debug("The outbox %s cannot be read: %s", file, error)
            finally:
                other.close()
        return False

    def end_shared(self, operation: EndRun) -> None:
        """End a run that several processes share, unless another one still has it open."""
        # Of two that close at once, each would otherwise leave it to the other.
        with folder_lock(self._folder):
            if self.open_elsewhere(operation.run.key):
                self.ledger.mark_ended(operation.run.key)
            else:
                self.append(operation)

    def rejected(self) -> list[RejectedOperation]:
        return self.ledger.rejected()

    def close(self, *, remove: bool) -> None:
        """Give the outbox up; what waits in it is left to other processes unless it is removed."""
        if remove:
            self._keep_rejected()
        self.ledger.close()
        if remove:
            # The database goes after the spool and before the lock, so that a process that finds
            # the lock free finds either a whole outbox or none.
            shutil.rmtree(self.spool, ignore_errors=True)
            for suffix in (".db-wal", ".db-shm", ".db"):
                self._beside(suffix).unlink(missing_ok=True)
            self._beside(".lock").unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(remove=False)

    def _keep_rejected(self) -> None:
        """Move what MLflow refused to where it can be read and sent again from, for the file is about to go."""
        refused = self.ledger.rejected()
        if not refused:
            return
        with folder_lock(self._folder):
            kept = self._folder / REJECTED_SPOOL
            for row in refused:
                files = self.spool / (spooled_files(row.body) or "none")
                if files.exists():
                    kept.mkdir(exist_ok=True)
                    shutil.move(files, kept / files.name)
            with (self._folder / REJECTED_FILE).open("a", encoding="utf-8") as trace:
                for row in refused:
                    line = {
                        "tracking_uri": self.tracking_uri,
                        "state_dir": str(self._folder.parent),
                        "format": REJECTED.number,
                        **asdict(row),
                    }
                    trace.write(_line(line) + "\n")

    def _beside(self, suffix: str) -> Path:
        return self._folder / f"{self.key}{suffix}"

    def _check_room(self, size: int, *, strict: bool = False) -> None:
        limit = self._limit_bytes + (0 if strict else _SMALL_OPERATIONS_MARGIN)
        held = self._bytes + self._others_bytes
        if held + size > limit:
            raise TrackingError(
                f"outbox {self._folder}",
                found=f"{_in_words(held)} waiting for the tracking server, {_in_words(size)} more to come",
                expected=f"no more than {_in_words(self._limit_bytes)}",
                hint=f"Bring back {_shown(self.tracking_uri)}, or remove the folder and what waits in it.",
            )

    def _check_disk(self, size: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < size + DISK_MARGIN:
            raise TrackingError(
                f"outbox {self._folder}",
                found=f"{_in_words(free)} free on the disk",
                expected=f"room for {_in_words(size)}, and {_in_words(DISK_MARGIN)} to spare",
                hint="Free some space.",
            )

    def _warn_at_half(self) -> None:
        held = self._bytes + self._others_bytes
        if held * 2 > self._limit_bytes and not self._warned:
            self._warned = True
            logger.warning(
                "%s wait in %s for the tracking server %s; at %s nothing more is taken",
                _in_words(held),
                self._folder,
                _shown(self.tracking_uri),
                _in_words(self._limit_bytes),
            )

    def _bytes_of_others(self) -> int:
        mine = f"{self.key}."
        return sum(
            _size(entry) for entry in self._folder.iterdir() if not entry.name.startswith(mine)
        )


def read_line(line: str) -> dict[str, Any]:
    """A refused operation as it was kept. Raises ValueError where the line is damaged, or a newer version's."""
    row: dict[str, Any] = json.loads(line)
    told = row.pop("check", None)
    if told is not None and told != _line_digest(row):
        raise ValueError("other bytes than were written")
    refused = refusal(REJECTED, REJECTED_FILE, row.pop("format", None))
    if refused is not None:
        raise ValueError(str(refused))
    return row


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps({**row, "check": _line_digest(row)})


def _line_digest(row: Mapping[str, Any]) -> str:
    return fast_digest([json.dumps(row, sort_keys=True).encode()])


def abandoned(state_dir: Path) -> Iterator[Outbox]:
    """The outboxes whose owners are dead, each taken over as it is reached."""
    for file in sorted((state_dir.absolute() / "outbox").glob("*.db")):
        try:
            outbox = Outbox.adopt(file)
        except (TrackingError, OSError, sa.exc.DatabaseError) as error:
            logger.warning("The abandoned outbox %s cannot be read: %s", file, error)
            continue
        if outbox is not None:
            yield outbox


def check_formats(state_dir: Path) -> None:
    """Raise TrackingError where a newer version left an outbox under state_dir; writes nothing."""
    for file in sorted((state_dir.absolute() / "outbox").glob("*.db")):
        check_ledger_format(file)


def waiting_in(state_dir: Path) -> int:
    """How many operations wait under state_dir, in the outboxes of the living and the dead."""
    total = 0
    for file in (state_dir.absolute() / "outbox").glob("*.db"):
        try:
            ledger = Ledger(file)
            total += ledger.waiting()[0]
            ledger.close()
        except (TrackingError, sa.exc.DatabaseError) as error:
            logger.warning("The outbox %s cannot be read: %s", file, error)
    return total


def waits_in(state_dir: Path, kind: type[Operation]) -> bool:
    """Whether an operation of this kind waits under state_dir, as above."""
    for file in (state_dir.absolute() / "outbox").glob("*.db"):
        try:
            ledger = Ledger(file)
            waits = ledger.holds(kind.__name__)
            ledger.close()
        except (TrackingError, sa.exc.DatabaseError):
            continue
        if waits:
            return True
    return False


def folder_lock(folder: Path) -> FileLock:
    """The lock on what the outboxes of a folder have in common."""
    return _lock(folder.with_suffix(".lock"))


def _lock(path: Path) -> FileLock:
    # No soft lock where flock is missing: it would outlive a killed owner.
    return FileLock(path, thread_local=False, fallback_to_soft=False)


def _has_owner(file: Path) -> bool:
    lock = _lock(file.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def _set_aside(file: Path, damage: DamagedLedger) -> None:
    """Put a ledger that cannot be believed out of the way, and say what that means."""
    aside = file.with_suffix(".damaged")
    for suffix in ("", "-wal", "-shm"):
        beside = file.with_name(file.name + suffix)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + suffix))
    logger.warning(
        "The abandoned outbox %s cannot be read (%s): what it held for MLflow is lost; it is kept as %s",
        file,
        damage.found,
        aside.name,
    )


def _last_touched(file: Path) -> float:
    files = (file, file.with_name(file.name + "-wal"))
    return max(path.stat().st_mtime for path in files if path.exists())


def _size(path: Path) -> int:
    try:
        if path.is_dir():
            return sum(_size(entry) for entry in path.iterdir())
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _in_words(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB" if size >= 1 << 20 else f"{size} bytes"


def _shown(uri: str | None) -> str:
    return without_credentials(uri) if uri else "an unknown server"
