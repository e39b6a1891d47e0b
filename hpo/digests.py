"""Digests of what is kept and read again, so that a damaged byte is noticed before it is used.

They guard against disks, not against people: whoever can write the files can write the digests too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from hpo.atomic import write_whole
from hpo.documents import parse_json
from hpo.formats import DIGESTS, refusal

DIGESTS_FILE = "digests.json"
"""Beside the files of a folder: their paths in it, and the SHA-256 of each, in hexadecimal."""


def fast_digest(parts: Iterable[bytes | memoryview]) -> str:
    """XXH3 of some bytes in order, 128 bits in hexadecimal: as fast as memory is read."""
    import xxhash  # by who checks, so that a model loads where only its own requirements are

    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_digests(folder: Path, *, but: Collection[str] = ()) -> None:
    """Write down the digest of every file in a folder and below it.

    Args:
        folder: A folder that is being written; whoever gives it its name decides about its durability.
        but: Names of files that may change.

    Raises:
        OSError: A file cannot be read, or the digests cannot be written.
    """
    passed_over = {DIGESTS_FILE, *but}
    files = (
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in passed_over
    )
    digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
    write_whole(folder / DIGESTS_FILE, json.dumps(digests, indent=1).encode(), durable=False)


def digested_files(folder: Path) -> frozenset[str]:
    """The files that a folder's digests name, by their paths in it; none where there are no digests."""
    try:
        return frozenset(_read(folder))
    except (OSError, ValueError):
        return frozenset()


def damage_in(folder: Path, needed: Iterable[str] = ()) -> str | None:
    """What is wrong with the files that a folder's digests name, in a few words; None where nothing
    is.

    A folder without digests was written by an earlier version and is not judged.

    Args:
        needed: Files that the digests must name.
    """
    path = folder / DIGESTS_FILE
    if not path.is_file():
        return None
    try:
        digests = _read(folder)
        newer = refusal(DIGESTS, str(path), digests.pop("format", None))
        if newer is not None:
            return str(newer)
        for name in {*digests, *needed}:
            if file_digest(folder / name) != digests.get(name):
                return f"{name} is not as it was written"
    except (OSError, ValueError, TypeError) as error:
        return f"{DIGESTS_FILE} or a file that it names cannot be read ({error})"
    return None


def _read(folder: Path) -> dict[str, Any]:
    """What stands in a folder's `digests.json`. Raises OSError or ValueError."""
    document = parse_json((folder / DIGESTS_FILE).read_bytes())
    if not isinstance(document, dict):
        raise ValueError("no table of digests")
    return document
