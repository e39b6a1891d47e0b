"""Files and folders that are there whole or not at all: written beside their place, then renamed.

A writer that fails or is killed leaves what was there before. A killed one also leaves a hidden folder
`.NAME.….partial` beside it; `remove_partial` clears it away.

Every function takes `durable`, and this is the one rule for it. True puts the bytes and the names on the
disk (fsync) before the new name is given, so that not even a power cut loses both the old and the new: for
what docs/faults.md promises to keep and nothing else holds, which is checkpoints, kept models and the
operations that MLflow refused. False leaves that to the operating system: for caches, and for copies of
what is kept elsewhere. Their digests tell when a power cut damaged them, and they are made again.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

PARTIAL = ".partial"
"""How the names of half-written files and folders end."""

_ABANDONED_SECONDS = 24 * 3600
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)


def write_whole(path: Path, content: bytes, *, durable: bool) -> None:
    """Write a file in place of an earlier one.

    Raises:
        OSError: It cannot be written; the earlier one is as it was.
    """
    with whole_file(path, durable=durable) as partial:
        partial.write_bytes(content)


@contextmanager
def whole_file(path: Path, *, durable: bool) -> Iterator[Path]:
    """Put a file in place of an earlier one once the block that writes it has ended without an error.

    Yields:
        Where to write it: in a folder of its own, for libraries that write to yet another name first.

    Raises:
        OSError: It cannot be put in place; the earlier one is as it was.
    """
    with _beside(path) as partial:
        yield partial
        put_in_place(partial, path, durable=durable)


@contextmanager
def whole_folder(path: Path, *, durable: bool, replace: bool) -> Iterator[Path]:
    """Put a folder in its place once the block that fills it has ended without an error.

    Args:
        path: The folder's place.
        durable: As the module says.
        replace: Whether it replaces an earlier folder. Otherwise the first of several writers wins, and
            what the others wrote is dropped.

    Yields:
        An empty folder to fill.

    Raises:
        OSError: It cannot be put in place.
    """
    with _beside(path) as partial:
        partial.mkdir()
        yield partial
        while True:
            try:
                put_in_place(partial, path, durable=durable)
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise
                if replace:
                    discard_folder(path)
                    continue
            return


def put_in_place(partial: Path, path: Path, *, durable: bool) -> None:
    """Give a finished file or folder its name, in place of an earlier file or an empty folder.

    Raises:
        OSError: That cannot be, as where a folder with something in it is there.
    """
    if durable:
        for each in (partial, *partial.rglob("*")):
            _sync(each)
    partial.replace(path)
    if durable:
        _sync(path.parent)


def discard_folder(path: Path) -> None:
    """Remove a folder, if it is there, in one step for whoever reads it.

    Raises:
        OSError: It cannot be moved out of the way; it is as it was.
    """
    with _beside(path) as aside:
        try:
            path.rename(aside)
        except FileNotFoundError:
            return


def remove_partial(path: Path) -> None:
    """Remove what writers of this file or folder left half-written. None may be writing it now."""
    for left in path.parent.glob(f".{escape(path.name)}.*{PARTIAL}"):
        shutil.rmtree(left, ignore_errors=True)


def remove_abandoned(folder: Path, now: float) -> None:
    """Remove the hidden entries of a folder that are a day old: what writers that were killed left.

    Args:
        folder: Holds nothing hidden but what is being written.
        now: As the files' times say it, for a file server has a clock of its own.
    """
    for path in folder.glob(".*"):
        try:
            abandoned = path.stat().st_mtime < now - _ABANDONED_SECONDS
        except FileNotFoundError:
            continue
        if abandoned:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A free path of the same name in a hidden folder on the same disk, which goes away at the end."""
    folder = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    folder.mkdir(parents=True)
    try:
        yield folder / path.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sync(path: Path) -> None:
    """Put a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
