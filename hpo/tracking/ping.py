"""A quick look whether a tracking store can be used, before any work begins. Imports no MLflow."""

from __future__ import annotations

import os
import socket
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from hpo.postgres_greeting import PORT, greets_as_postgres
from hpo.spec.locations import why_no_database, why_no_folder
from hpo.tracking.schema import check_schema
from hpo.tracking.server_answer import ask_server
from hpo.tracking.uri import artifact_root, away, checked_uri, database_file, own_folder, wrong_uri
from hpo.tracking.variables import check_variables
from hpo.waiting import within

_DATABASE_PORTS: Final = {"postgresql": PORT, "mysql": 3306, "mssql": 1433}


def ping(tracking_uri: str, timeout_seconds: float = 5.0) -> None:
    """Look whether the tracking store can be used.

    Raises:
        TrackingServerAway: It does not answer now (a run may go on).
        TrackingError: It never will: a malformed URI, refused credentials, another program's
            address, a wrong file, a variable that MLflow will not take.
    """
    check_variables()
    uri = checked_uri(tracking_uri)
    if uri.startswith("http"):
        ask_server(uri, timeout_seconds)
    elif file := database_file(uri):
        _ping_file(uri, file)
    elif uri.partition("+")[0].partition(":")[0] in _DATABASE_PORTS:
        _ping_database(uri, timeout_seconds)


def _ping_file(uri: str, file: Path) -> None:
    _check_places(uri, file)
    if not file.exists():
        return
    versions: list[tuple[object]] = []
    try:
        # Not mode=ro, which cannot read what a process that was killed left to roll back.
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True)) as connection:
            rows = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall()
            tables = {str(row[0]) for row in rows}
            if "alembic_version" in tables:
                versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.DatabaseError as error:
        raise wrong_uri(
            uri, f"a file that is no SQLite database ({error})", "Give another file."
        ) from error
    if "studies" in tables and "experiments" not in tables:
        raise wrong_uri(
            uri, "an Optuna database", "Give MLflow a file of its own: their schemas clash in one."
        )
    check_schema(uri, [str(row[0]) for row in versions], has_experiments="experiments" in tables)


def _check_places(uri: str, file: Path) -> None:
    """Raise TrackingError where the file, or what MLflow and we put beside it, cannot be written."""
    why = why_no_database(file)
    if why is None and file.is_dir():
        why = "a folder"
    if why is not None:
        raise wrong_uri(uri, why, "Give another file.")
    for folder in (file.parent, artifact_root(file), own_folder(file)):
        why = why_no_folder(folder, writable=True)
        if why is not None:
            raise wrong_uri(uri, why, "Give a file elsewhere.")
    if file.exists() and not os.access(file, os.W_OK):
        raise wrong_uri(uri, f"{file}, which may not be written", "Correct its rights.")


def _ping_database(uri: str, timeout_seconds: float) -> None:
    parts = urlsplit(uri)
    kind = parts.scheme.partition("+")[0]
    address = (parts.hostname or "localhost", parts.port or _DATABASE_PORTS[kind])
    try:
        if kind == "postgresql":
            ask = partial(greets_as_postgres, *address, timeout_seconds)
        else:
            ask = partial(_accepts, *address, timeout_seconds)
        is_one = within(timeout_seconds + 1, ask, name="hpo-database-probe")
    except OSError as error:
        raise away(uri, str(error)) from error
    if not is_one:
        raise wrong_uri(uri, "a server that is no PostgreSQL", "Check host and port.")


def _accepts(host: str, port: int, seconds: float) -> bool:
    socket.create_connection((host, port), seconds).close()
    return True
