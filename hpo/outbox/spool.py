"""The files that wait in an outbox to be uploaded: copied in, held to their digests, removed."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from hpo.digests import damage_in, file_digest
from hpo.errors import TrackingError
from hpo.outbox.quota import Quota, size_of
from hpo.outbox.records import LogArtifact, Operation, spooled_path


@dataclass(frozen=True)
class Spooled:
    """Files copied into the outbox: their path relative to the spool, and their size.

    Attributes:
        digest: A single file's SHA-256; a folder holds those of its files itself (`digests.json`).
    """

    path: str
    bytes: int
    digest: str | None = None


class Spool:
    """The folder of one outbox's files. They are added by the training thread, the rest is the draining one's."""

    def __init__(self, path: Path, quota: Quota) -> None:
        self.path = path
        self._quota = quota

    def add_folder(self, source: Path, *, move: bool = False, bounded: bool = True) -> Spooled:
        """Copy (or move) a folder into the spool.

        Args:
            bounded: False holds the copy to the disk's free space only, not to the outbox's limit.

        Raises:
            TrackingError: The tracking server or its outbox refuses.
        """
        if not source.is_dir():
            raise TrackingError(
                str(source),
                found="no folder there",
                expected="a folder to log",
                hint="Check the path.",
            )
        size = size_of(source)
        if bounded:
            self._quota.count_others()
            self._quota.check_room(size, strict=True)
        self._quota.check_disk(0 if move else size)
        target = self.path / uuid.uuid4().hex
        try:
            self.path.mkdir(exist_ok=True)
            shutil.move(source, target) if move else shutil.copytree(source, target)
        except OSError as error:
            shutil.rmtree(target, ignore_errors=True)
            raise TrackingError(
                f"outbox {self.path}",
                found=error.strerror or str(error),
                expected=f"room for {source.name}",
                hint="Check the disk's free space and the folder's rights.",
            ) from error
        return Spooled(target.name, size)

    def add_file(self, content: bytes, file_name: str) -> Spooled:
        """Write a file of this content into the spool.

        Raises:
            TrackingError: There is no room.
        """
        self._quota.check_room(len(content), strict=True)
        self._quota.check_disk(len(content))
        target = self.path / uuid.uuid4().hex
        target.mkdir(parents=True)
        (target / file_name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return Spooled(f"{target.name}/{file_name}", len(content), digest)

    def damage_of(self, operation: Operation) -> str | None:
        """What is wrong with an operation's files, in a few words; None where nothing is."""
        spooled = spooled_path(operation)
        if spooled is None:
            return None
        path = self.path / spooled
        if not path.exists():
            return "its files are gone"
        if isinstance(operation, LogArtifact):
            damaged = operation.digest is not None and file_digest(path) != operation.digest
            return f"{path} is not as it was written" if damaged else None
        # Of a folder that was tried before, the files lie in one below.
        holding = [path, *(each for each in path.iterdir() if each.is_dir())]
        damages = (damage_in(folder) for folder in holding)
        return next((f"{path}: {damage}" for damage in damages if damage is not None), None)

    def replace(self, spooled: str, source: Path) -> None:
        """Put a folder in the place of a spooled one that is damaged.

        Raises:
            TrackingError: The tracking server or its outbox refuses.
        """
        again = self.add_folder(source, bounded=False)
        self.discard(spooled)
        (self.path / again.path).rename(self.path / spooled)

    def discard(self, spooled: str) -> None:
        """Remove files of an operation that has arrived."""
        shutil.rmtree(self.path / spooled.partition("/")[0], ignore_errors=True)

    def remove(self) -> None:
        """Remove all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
