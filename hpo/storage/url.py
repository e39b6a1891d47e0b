"""URLs of storages: parsed and checked, what drivers are told, and their refusals in words."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, exc, make_url

from hpo.errors import StorageError
from hpo.postgres_greeting import PORT, greets_as_postgres
from hpo.redaction import WRITE_MARKS, redacted, remember, why_ambiguous
from hpo.spec.locations import can_be_looked_up, why_no_database, why_unwritable
from hpo.storage.retries import fault_in_words, is_passing, one_line

BUSY_SECONDS: Final = 30  # for which SQLite waits for another writer
_WHAT_WORKS: Final = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"
_POSTGRES: Final = ("postgresql", "postgres", "postgresql+psycopg")
_CONNECT_SECONDS: Final = 8
_GREETING_SECONDS: Final = 1.0
_LIBPQ_VARIABLES: Final = {"connect_timeout": "PGCONNECT_TIMEOUT", "application_name": "PGAPPNAME"}
# A worker stopped in the middle of a transaction must not hold the others up for ever.
_SERVER_SETTINGS: Final = (
    "-c statement_timeout=60000 -c lock_timeout=30000 -c idle_in_transaction_session_timeout=60000"
)


def parse_storage_url(url: str) -> URL:
    """The URL with the driver that we use.

    Raises:
        StorageError: It is none, or of another kind.
    """
    remember(url)
    place = redacted(url) or "the storage"
    ambiguous = why_ambiguous(url)
    if ambiguous is not None:
        raise StorageError(
            place, found=ambiguous, expected="one @, before the host", hint=WRITE_MARKS
        )
    try:
        parsed = make_url(url.strip())
    except (exc.ArgumentError, ValueError) as error:
        hint = f"Write {_WHAT_WORKS}."
        if "://" not in url and url.strip() and redacted(url) == url:
            hint = f"Write sqlite:///{url.strip()} for a file."
        raise StorageError(
            place, found="something that is not a URL", expected=_WHAT_WORKS, hint=hint
        ) from error
    name = parsed.drivername
    if name in _POSTGRES:
        _check_host(parsed.host or "", place)
        return parsed.set(drivername="postgresql+psycopg")
    if name in ("sqlite", "sqlite+pysqlite"):
        return parsed
    if name.startswith("postgresql+"):
        raise StorageError(
            place,
            found=f"the driver {name.partition('+')[2]}",
            expected="psycopg (version 3)",
            hint="Write postgresql:// without a driver.",
        )
    raise StorageError(
        place,
        found=f"a storage of kind {name}",
        expected=_WHAT_WORKS,
        hint="Use SQLite on one machine, and PostgreSQL for several.",
    )


def _check_host(host: str, place: str) -> None:
    if not can_be_looked_up(host):
        raise StorageError(
            place,
            found=f"the host {host}",
            expected="a host's name or address",
            hint=f"Write {_WHAT_WORKS}.",
        )


def check_sqlite_file(url: URL, place: str) -> None:
    """Raise StorageError where the file cannot be a storage; leaves no trace."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StorageError(
            place,
            found="no file",
            expected="sqlite:///FILE, for workers are processes of their own and share it",
            hint="Write sqlite:///optuna.db, or sqlite:////folder/optuna.db for an absolute path.",
        )
    if url.host or url.username or url.port or url.query:
        # SQLAlchemy would not know the first, and leave the query out.
        raise StorageError(
            place,
            found="a query, which SQLite has not" if url.query else f"the host {url.host}",
            expected="sqlite:///FILE, and nothing else",
            hint=f"Write sqlite:///{url.database}.",
        )
    path = Path(url.database)
    why = why_no_database(path)
    if why is not None:
        raise StorageError(
            place,
            found=why,
            expected="a SQLite database, or a file that does not exist yet",
            hint="Name another file.",
        )
    folder = path.parent
    if not folder.is_dir():
        raise StorageError(
            place,
            found=f"no folder {folder}" if not folder.exists() else f"{folder}, which is no folder",
            expected="a file in a folder that exists",
            hint="Create the folder, or name another file.",
        )
    if path.is_dir():
        raise StorageError(
            place, found="a folder", expected="a file", hint=f"Write {place.rstrip('/')}/optuna.db."
        )
    # SQLite writes its journal beside the file, so the folder must be writable too.
    why = why_unwritable(folder)
    if path.exists() and not os.access(path, os.W_OK):
        folder, why = path, "Permission denied"
    if why is not None:
        raise StorageError(
            place,
            found=f"{folder}, which cannot be written ({why})",
            expected="a file and a folder that can be written",
            hint="Change the rights, or use another --storage.",
        )
    if path.exists() and path.stat().st_size and not _is_sqlite(path):
        raise StorageError(
            place,
            found="a file that is not a SQLite database, or one whose beginning is damaged",
            expected="a SQLite database, or a file that does not exist yet",
            hint="Name another file, or restore it from a copy.",
        )


def _is_sqlite(path: Path) -> bool:
    """Asked of SQLite, and not read from the file: to close a file that was opened beside SQLite lets go
    of all locks that this process has on it, so that others may pull its log away.
    """
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.DatabaseError as error:
        return error.sqlite_errorcode != sqlite3.SQLITE_NOTADB
    finally:
        connection.close()
    return True


def engine_options(url: URL) -> dict[str, Any]:
    """What SQLAlchemy's engine is made with."""
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY_SECONDS, "isolation_level": None}}
    # One connection kept, for there may be hundreds of workers; the beat and others come and go.
    return {
        "connect_args": connect_args(url),
        "pool_pre_ping": True,
        "pool_size": 1,
        "max_overflow": 4,
        "pool_recycle": 1800,
        "pool_timeout": 30,
    }


def connect_args(url: URL, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What psycopg is told, unless the URL itself, or libpq's own environment variables, say otherwise."""
    wanted: dict[str, Any] = {
        "connect_timeout": _CONNECT_SECONDS,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        "application_name": "hpo",
    }
    said = {*url.query, *(key for key, name in _LIBPQ_VARIABLES.items() if environment.get(name))}
    theirs = url.query.get("options") or environment.get("PGOPTIONS", "")
    # A list of settings: theirs come last, and so win where they set one of ours.
    options = [_SERVER_SETTINGS, *([theirs] if isinstance(theirs, str) else theirs)]
    return {
        **{key: value for key, value in wanted.items() if key not in said},
        "options": " ".join(options).strip(),
    }


def optuna_url(url: URL) -> str:
    """The URL, secrets included, as Optuna takes it."""
    # Optuna runs str.format over the URL, so that a brace in a password would be its undoing.
    rendered = url.render_as_string(hide_password=False)
    return rendered.replace("{", "{{").replace("}", "}}")


def opening_fault(error: exc.SQLAlchemyError, url: URL, place: str) -> StorageError:
    """The error for a storage that could not be opened, told from the driver's own words."""
    message = one_line(error)
    database = url.database or url.username or "postgres"
    known = (
        (
            r"authentication failed|no password supplied|pg_hba\.conf"
            r"|role \"[^\"]*\" does not exist",
            f"a server that refuses the user {url.username or '(none)'}",
            "a user and password that the server knows",
            "Check the user and the password in the URL or the environment.",
        ),
        (
            r"database \"[^\"]*\" does not exist",
            f"a server without a database {database}",
            "a database that exists",
            f"Create it (createdb {database}), or name another.",
        ),
        (
            r"unsupported startup parameter",  # as PgBouncer says it
            f"a connection pooler that lets no options through ({message})",
            "PostgreSQL itself, or a pooler that ignores them",
            "Write ignore_startup_parameters = options in pgbouncer.ini, or name the server's own port.",
        ),
        (
            r"invalid (connection|URI query|command-line|\S+ value)|(invalid|bad) value for"
            r"|unrecognized configuration parameter",
            f"a setting that PostgreSQL does not take ({message})",
            "settings of libpq after the ?, and of the server in options=-cNAME=VALUE",
            "Correct what follows the ? in the URL, or PGOPTIONS.",
        ),
        (
            r"permission denied for (table|sequence|relation)",
            f"a user who may not use all of its tables ({message})",
            "one who may read and write them",
            "Grant it ALL on all tables and sequences of the schema.",
        ),
        (
            r"permission denied",
            f"a user without the right to create tables ({message})",
            "a user who may create tables",
            "Grant it CREATE on the schema.",
        ),
    )
    for pattern, found, expected, hint in known:
        if re.search(pattern, message):
            return StorageError(place, found=found, expected=expected, hint=hint)
    if url.get_backend_name() != "sqlite" and is_passing(error) and "No space left" not in message:
        if _is_another_server(url):
            return StorageError(
                place,
                found="a server that is no PostgreSQL",
                expected=f"PostgreSQL at {url.host}",
                hint="Check host and port.",
            )
        return StorageError(
            place,
            found=f"no server that answers ({message})",
            expected=f"PostgreSQL at {url.host or url.query.get('host') or 'localhost'}",
            hint="Start the server, or check host and port.",
        )
    return fault_in_words(error, doing="opening it", place=place)


def _is_another_server(url: URL) -> bool:
    """Whether something else than PostgreSQL answers at a URL's address, as far as that can be told."""
    try:
        return bool(url.host) and not greets_as_postgres(
            url.host or "", url.port or PORT, _GREETING_SECONDS
        )
    except OSError:
        return False
