"""A project folder that was moved or copied: MLflow's SQLite file holds absolute paths of its artifacts.

What lies under the old folder's `mlruns` is looked for under this one's. Places that somebody chose, and
all that are no paths, are left alone.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hpo.errors import TrackingError
from hpo.outbox.rows import Destination
from hpo.spec.names import file_name, former_file_name
from hpo.tracking.local_store import store_lock
from hpo.tracking.uri import (
    artifact_location,
    artifact_root,
    checked_uri,
    database_file,
    database_uri,
)

logger = logging.getLogger(__name__)

_ROOT = "mlruns"
_BUSY_SECONDS = 30
# Every column in which MLflow 3 keeps a place of files: table, column, and which of its rows.
_PLACES = (
    ("experiments", "artifact_location", ""),
    ("runs", "artifact_uri", ""),
    ("logged_models", "artifact_location", ""),
    ("model_versions", "source", ""),
    ("model_versions", "storage_location", ""),
    ("trace_tags", "value", " AND key = 'mlflow.artifactLocation'"),
)


@dataclass(frozen=True)
class Place:
    """A place of files that the database tells of."""

    table: str
    column: str
    row: int
    path: Path


@dataclass(frozen=True)
class Move:
    """Places that belong under another root now.

    Attributes:
        root: The `mlruns` that they were made under.
    """

    root: Path
    places: tuple[Place, ...]


def moves(tracking_uri: str) -> tuple[Move, ...]:
    """The places of a local store that have to be mended; none for any other store.

    Nothing is written.

    Raises:
        TrackingError: They cannot be mended.
    """
    file = database_file(checked_uri(tracking_uri))
    if file is None or not file.exists():
        return ()
    own = artifact_root(file)
    try:
        with _open(file) as connection:
            places = list(_foreign_places(connection, own))
            roots = sorted({r for r in _roots(connection) if r != own and not _same(r, own)})
            found = []
            for root in roots:
                under = [place for place in places if place.path.is_relative_to(root)]
                if under and _is_to_mend(connection, file, root, under):
                    found.append(Move(root, tuple(under)))
    except sqlite3.DatabaseError as error:
        # No store of MLflow's, or one that is in use; whoever opens it next says so.
        logger.debug("Whether %s was moved cannot be seen: %s", file, error)
        return ()
    return tuple(found)


def repair_moves(tracking_uri: str) -> str | None:
    """Correct the places of a local store whose folder was moved; what is to be said of it, where
    it was.

    Raises:
        TrackingError: That cannot be.
    """
    uri = checked_uri(tracking_uri)
    if not moves(uri):
        return None
    with store_lock(uri):
        found = moves(uri)  # another process may have been first
        file = database_file(uri)
        if not found or file is None:
            return None
        try:
            with _open(file) as connection, connection:
                connection.execute("BEGIN IMMEDIATE")
                for move in found:
                    _rewrite(connection, move, artifact_root(file))
        except sqlite3.DatabaseError as error:
            raise TrackingError(
                str(file),
                found=f"a store that was moved, and {error}",
                expected="a file that can be written, to mend its places",
                hint="Correct its rights, or end what holds it, and run the same command again.",
            ) from error
    return in_words(file, found)


def _rewrite(connection: sqlite3.Connection, move: Move, own: Path) -> None:
    for place in move.places:
        there = artifact_location(own / place.path.relative_to(move.root))
        connection.execute(
            f"UPDATE {place.table} SET {place.column} = ? WHERE rowid = ?", (there, place.row)
        )


def in_words(file: Path, found: Sequence[Move]) -> str:
    """What was found, in a line."""
    froms = ", ".join(str(move.root.parent) for move in found)
    count = sum(len(move.places) for move in found)
    return f"{file} was moved or copied from {froms}: {count} places of its files are now here"


def uri_now(noted: Destination, state_dir: Path) -> str:
    """Where a tracking URI that was noted under a state folder leads to, now that this one is there.

    Where the folder was not noted, what lies beside this one and is that store, or has its runs, is
    taken for it.
    """
    file = database_file(noted.uri)
    if file is None:
        return noted.uri
    if noted.state_dir is None:
        here = state_dir.parent / file.name
        moved = here.exists() and (not file.exists() or _has_run(here, noted.run_ids))
    else:
        here = Path(os.path.normpath(state_dir / os.path.relpath(file, noted.state_dir)))
        moved = here.exists() and not _same(Path(noted.state_dir), state_dir)
    return database_uri(here) if moved and not _same(here, file) else noted.uri


def _is_to_mend(
    connection: sqlite3.Connection, file: Path, root: Path, places: Sequence[Place]
) -> bool:
    """Whether the store was moved from this root. Raises TrackingError where it was, without all its files."""
    own = artifact_root(file)
    # Not Path.exists, which raises where the file system takes no such name.
    here = [p for p in places if os.path.exists(own / p.path.relative_to(root))]
    left = [place for place in places if place not in here and _has_files(place.path)]
    if not here and root.exists() and not _is_copy_of(connection, root.parent / file.name):
        return False  # somebody chose it
    if not here and all(p.table == "experiments" and p.path.name.isdigit() for p in places):
        return False  # a client made the store from another folder, and nothing came of it
    lost = not here and not root.exists() and any(p.table == "model_versions" for p in places)
    if left or lost:
        raise TrackingError(
            str(file),
            found=f"{len(left or places)} places of its files under {root}"
            + ("" if left else ", which is gone"),
            expected=f"them under {own}, as its folder was moved or copied",
            hint=f"Bring them here (cp -rn {root}/. {own}/)."
            if left
            else f"Bring that folder here as {own}.",
        )
    return True


def _foreign_places(connection: sqlite3.Connection, own: Path) -> Iterator[Place]:
    """All places on this machine that do not lie under the store's own root."""
    prefix = f"{own}/"
    for table, column, more in _PLACES:
        if column not in _columns(connection, table):
            continue
        query = f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL{more}"
        for row, location in connection.execute(query):
            path = None if str(location).startswith(prefix) else _local_path(str(location))
            if path is not None:
                yield Place(table, column, int(row), path)


def _roots(connection: sqlite3.Connection) -> Iterator[Path]:
    """Every `mlruns` under which the places have the shape that MLflow and we give them."""
    if "artifact_location" in _columns(connection, "experiments"):
        query = "SELECT experiment_id, name, artifact_location FROM experiments"
        for number, name, location in connection.execute(query):
            path = _local_path(str(location))
            names = (str(number), file_name(str(name)), former_file_name(str(name)))
            if path is not None and path.name in names and path.parent.name == _ROOT:
                yield path.parent
    for query, depth in (
        ("SELECT run_uuid, artifact_uri FROM runs", 2),
        ("SELECT model_id, artifact_location FROM logged_models", 3),
    ):
        if not _columns(connection, query.rpartition(" ")[2]):
            continue
        for identifier, location in connection.execute(query):
            path = _local_path(str(location))
            if path is None or len(path.parents) <= depth or path.parent.name != identifier:
                continue
            if path.parents[depth].name == _ROOT:
                yield path.parents[depth]


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}


def _local_path(location: str) -> Path | None:
    if location.startswith("/"):
        return Path(location)
    if location.startswith("file:"):
        return Path(unquote(urlsplit(location).path))
    return None


def _is_copy_of(connection: sqlite3.Connection, other: Path) -> bool:
    """Whether another database is the one that this was copied from: they have a run in common."""
    runs = [str(row[0]) for row in connection.execute("SELECT run_uuid FROM runs LIMIT 1000")]
    return _has_run(other, runs)


def _has_run(file: Path, run_ids: Collection[str]) -> bool:
    if not file.is_file():
        return False
    try:
        with _open(file) as connection:
            known = {str(row[0]) for row in connection.execute("SELECT run_uuid FROM runs")}
    except sqlite3.DatabaseError:
        return False
    return not known.isdisjoint(run_ids)


def _has_files(path: Path) -> bool:
    return os.path.isfile(path) or any(files for _, _, files in os.walk(path))


def _same(one: Path, other: Path) -> bool:
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False


def _open(file: Path) -> closing[sqlite3.Connection]:
    # Not mode=ro, which cannot read what a process that was killed left to roll back.
    uri = f"{file.absolute().as_uri()}?mode=rw"
    return closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None))
