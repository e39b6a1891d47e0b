"""The files of frozen features: made under a lock, whole or not at all, checked when opened.

<cache>/prefix/<key>/depth-03.bin    hidden states, (rows, width) in the key's dtype
<cache>/prefix/<key>/depth-03.xxh3   their digest
<cache>/prefix/<key>.lock            held by who makes or mends files of the key
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from hpo.atomic import PARTIAL, put_in_place
from hpo.digests import fast_digest

logger = logging.getLogger(__name__)

_DIGEST = ".xxh3"
_WAIT_SECONDS = 1.0
_ZEROS = 1 << 20
_ROOM = "room"  # the lock of the folder as a whole


class DamagedStates(Exception):  # noqa: N818 - what was found, not a fault of ours
    """A file of hidden states is not as it was written."""


@dataclass(frozen=True)
class CacheEntry:
    """One file of the cache, as `hpo.doctor` shows it.

    Attributes:
        path: Of the file.
        depth: Frozen blocks that its states have passed.
        size: In bytes.
        last_used: In seconds since the epoch.
    """

    path: Path
    depth: int
    size: int
    last_used: float

    @property
    def value(self) -> float:
        """Blocks saved a byte, halved for each day without use; the least valuable is dropped first.

        A byte of any depth stands for as many tokens, so the depth is what a read of it saves.
        """
        days = max(0.0, time.time() - self.last_used) / 86_400
        return float(self.depth * 0.5**days)


class FeatureCache:
    """The files of the cache in one folder, together at most `limit` bytes."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit

    def entries(self) -> list[CacheEntry]:
        """What the cache holds, the least valuable first."""
        found = []
        for path in self.folder.glob("*/depth-*.bin"):
            depth = path.stem.removeprefix("depth-")
            if not depth.isdecimal():
                continue  # somebody else's
            with suppress(FileNotFoundError):  # another process may drop it meanwhile
                stat = path.stat()
                found.append(CacheEntry(path, int(depth), stat.st_size, stat.st_mtime))
        return sorted(found, key=lambda entry: entry.value)

    def worth_keeping(self, sizes: Sequence[int]) -> int:
        """How many of some files, the most valuable first, are to be kept.

        A block costs its forward pass at every reading, a stored one its bytes once: whatever fits
        is kept. The first may fill the cache; all together no more than half of it, so that they do
        not push out what other studies stored, and half of what the disk has left.

        Args:
            sizes: Of the files in bytes, the most valuable first.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if not sizes or sizes[0] > min(self.limit, free):
            return 0
        together = accumulate(sizes)
        return max(1, sum(total <= min(self.limit, free) // 2 for total in together))

    def reserve(self, files: Mapping[Path, int]) -> bool:
        """Make files of these sizes in bytes, to be filled, all in the folder of one key.

        The least valuable entries are dropped until they fit, those of the same folder last; a
        process that has a dropped file mapped goes on reading it.

        Args:
            files: Path -> size.

        Returns:
            False, with none made, where what other processes are building leaves no room.

        Raises:
            OSError: Where the disk is full or cannot be written to.
        """
        [folder] = {path.parent for path in files}
        with self._lock(_ROOM):  # two who make room at once would both count the same space
            self._sweep(but=folder)
            folder.mkdir(parents=True, exist_ok=True)
            entries = self.entries()
            held = sum(entry.size for entry in entries) + self._being_built()
            excess = held + sum(files.values()) - self.limit
            for entry in sorted(entries, key=lambda entry: entry.path.parent == folder):
                if excess <= 0:
                    break
                logger.info("feature cache: dropping %s (%d bytes)", entry.path, entry.size)
                discard_states(entry.path)
                excess -= entry.size
            if excess > 0:
                return False
            for path, size in files.items():
                _reserve(path, size)
        return True

    @contextmanager
    def building(self, key: str, while_waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the lock of a key; once the process that holds it is dead, it is free.

        Args:
            key: Names the folder.
            while_waiting: Called about once a second as long as another process builds; may raise.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = self._lock(key)
        while True:
            try:
                lock.acquire(timeout=_WAIT_SECONDS)
                break
            except Timeout:
                while_waiting()
        try:
            remove_partial_files(self.folder / key)
            yield
        finally:
            lock.release()

    def _being_built(self) -> int:
        """Bytes of the files that other processes are filling."""
        size = 0
        for path in self.folder.glob(f"*/*{PARTIAL}"):
            with suppress(FileNotFoundError):  # it is whole now
                size += path.stat().st_size
        return size

    def _sweep(self, but: Path) -> None:
        """Remove what killed processes left half-built, which nobody who lives holds the lock of."""
        for folder in {path.parent for path in self.folder.glob(f"*/*{PARTIAL}")} - {but}:
            with suppress(Timeout), self._lock(folder.name).acquire(timeout=0):
                remove_partial_files(folder)

    def _lock(self, key: str) -> FileLock:
        return FileLock(self.folder / f"{key}.lock")


def map_states(
    path: Path, rows: int, width: int, dtype: torch.dtype, *, write: bool = False
) -> Tensor:
    """A file as a tensor, mapped.

    Args:
        path: Of the file.
        rows: Vectors in it.
        width: Of each.
        dtype: Of their numbers.
        write: Whether what is written to the tensor goes to the file.

    Returns:
        (rows, width).
    """
    flat = torch.from_file(str(path), shared=write, size=rows * width, dtype=dtype)
    return flat.view(rows, width)


def open_states(path: Path, rows: int, width: int, dtype: torch.dtype) -> Tensor:
    """Hidden states as they were written, mapped and not to be written to.

    Returns:
        (rows, width).

    Raises:
        FileNotFoundError: Where there are none.
        DamagedStates: Where they differ from their digest.
    """
    if path.stat().st_size != rows * width * dtype.itemsize:
        raise DamagedStates("another size")
    states = map_states(path, rows, width, dtype)
    try:
        told = path.with_suffix(_DIGEST).read_bytes()
    except FileNotFoundError:
        told = b"none"
    if told != _digest(states).encode():
        raise DamagedStates("other bytes than were written")
    with suppress(PermissionError):
        os.utime(path)
    return states


def finish_states(partial: Path, path: Path, states: Tensor) -> None:
    """Give a filled file its name, and its digest one beside it. The key's lock must be held.

    Args:
        partial: The file that was reserved and filled.
        path: Its name from now on.
        states: What it holds, mapped.

    Raises:
        OSError: It cannot be put in place.
    """
    path.with_suffix(_DIGEST).write_text(_digest(states))
    put_in_place(partial, path, durable=False)


def discard_states(path: Path) -> None:
    """Remove a file of hidden states with its digest."""
    path.unlink(missing_ok=True)
    path.with_suffix(_DIGEST).unlink(missing_ok=True)


def _digest(states: Tensor) -> str:
    return fast_digest([states.view(torch.uint8).numpy().data])


def remove_partial_files(folder: Path) -> None:
    """Remove what is half-built in the folder of a key. The key's lock must be held."""
    for path in folder.glob(f"*{PARTIAL}"):
        path.unlink(missing_ok=True)


def _reserve(path: Path, size: int) -> None:
    """Make a file of a size whose every block exists: a mapped hole on a full disk kills whoever writes.

    Raises OSError where there is no space.
    """
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
            return
        for start in range(0, size, _ZEROS):
            file.write(bytes(min(_ZEROS, size - start)))
