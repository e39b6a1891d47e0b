"""How much waits in an outbox and how much may: operations, bytes, and what the disk has to spare."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

from hpo.errors import TrackingError
from hpo.redaction import without_credentials

logger = logging.getLogger(__name__)

DEFAULT_LIMIT_BYTES = 1 << 30
NO_LIMIT = 1 << 62
DISK_MARGIN = 64 << 20
# Ends, tags and metrics must still find room when models have filled the outbox.
_SMALL_OPERATIONS_MARGIN = 64 << 20


class Quota:
    """What one outbox holds of the bytes that all of a folder may hold together."""

    def __init__(
        self, folder: Path, key: str, limit_bytes: int, held: tuple[int, int], uri: str | None
    ) -> None:
        """held: operations that wait, and their bytes. uri: where they go, for messages."""
        self._folder = folder
        self._key = key
        self._limit_bytes = limit_bytes
        self._count, self._bytes = held
        self._server = without_credentials(uri) if uri else "an unknown server"
        self._others_bytes = 0
        self._lock = threading.Lock()
        self._warned = False

    @property
    def count(self) -> int:
        """Operations that wait."""
        return self._count

    def add(self, count: int, size: int) -> None:
        """Count operations that wait from now on, and their bytes; warn once half of the limit is held."""
        with self._lock:
            self._count += count
            self._bytes += size
        self._warn_at_half()

    def subtract(self, count: int, size: int) -> None:
        """Count operations that no longer wait, and their bytes."""
        with self._lock:
            self._count -= count
            self._bytes -= size

    def count_others(self) -> None:
        """Look how much the other outboxes of the folder hold."""
        mine = f"{self._key}."
        entries = (e for e in self._folder.iterdir() if not e.name.startswith(mine))
        self._others_bytes = sum(size_of(entry) for entry in entries)

    def check_room(self, size: int, *, strict: bool = False) -> None:
        """Raise TrackingError where so many bytes more are too many.

        Args:
            strict: Without the small ones' margin.
        """
        limit = self._limit_bytes + (0 if strict else _SMALL_OPERATIONS_MARGIN)
        held = self._bytes + self._others_bytes
        if held + size > limit:
            raise TrackingError(
                f"outbox {self._folder}",
                found=f"{_in_words(held)} waiting for the tracking server, {_in_words(size)} more to come",
                expected=f"no more than {_in_words(self._limit_bytes)}",
                hint=f"Bring back {self._server}, or remove the folder and what waits in it.",
            )

    def check_disk(self, size: int) -> None:
        """Raise TrackingError where the disk has no room for so many bytes and a margin."""
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
                self._server,
                _in_words(self._limit_bytes),
            )


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files below a folder."""
    try:
        if path.is_dir():
            return sum(size_of(entry) for entry in path.iterdir())
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _in_words(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB" if size >= 1 << 20 else f"{size} bytes"
