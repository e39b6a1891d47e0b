"""Who owns an outbox: a file lock, which the owner's death frees and any process may then take."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

from filelock import FileLock, Timeout

from hpo.errors import TrackingError

PRIVATE = 0o600
"""The rights on an outbox's files, whatever the umask."""


def new_key() -> str:
    """What the files of a new outbox are called."""
    return f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def folder_lock(folder: Path) -> FileLock:
    """The lock on what the outboxes of a folder have in common."""
    return _lock(folder.with_suffix(".lock"))


def lock_new(folder: Path, key: str) -> FileLock:
    """The held lock of a new outbox, in a folder that is made.

    Raises:
        TrackingError: The tracking server or its outbox refuses.
    """
    try:
        # Private: what waits may hold texts and labels that are nobody else's business.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
        lock = _lock(folder / f"{key}.lock")
        lock.acquire(blocking=False)
    except OSError as error:
        raise TrackingError(
            f"outbox folder {folder}",
            found=error.strerror or str(error),
            expected="a folder that can be written",
            hint="Check its rights and the disk's free space, or work in another folder.",
        ) from error
    return lock


def make_private(path: Path) -> None:
    """Make an empty file that its owner alone may read. What SQLite puts beside it gets the same rights."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, PRIVATE))
    path.chmod(PRIVATE)


def lock_orphaned(file: Path) -> FileLock | None:
    """The held lock of a dead owner's file; None where its owner lives or it is gone.

    To be called under the folder's lock, so that whoever sees this one taken sees by whom.
    """
    lock = _lock(file.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    if not file.exists():
        # Another process emptied and removed it between our look at the folder and the lock.
        free_for_good(file, lock)
        return None
    return lock


def free_for_good(file: Path, lock: FileLock) -> None:
    """Release the lock of a file that is no more."""
    lock.release()
    file.with_suffix(".lock").unlink(missing_ok=True)


def has_owner(file: Path) -> bool:
    """Whether a living process holds the lock of an outbox's file."""
    lock = _lock(file.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def last_written_ms(file: Path) -> int:
    """When the owner of a file last wrote to it, ms since the epoch."""
    files = (file, file.with_name(file.name + "-wal"))
    return int(max(path.stat().st_mtime for path in files if path.exists()) * 1000)


def _lock(path: Path) -> FileLock:
    # No soft lock where flock is missing: it would outlive a killed owner.
    return FileLock(path, mode=PRIVATE, thread_local=False, fallback_to_soft=False)
