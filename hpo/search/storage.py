"""The one place that opens storages: checks the URL, builds the engine, creates the tables once."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from filelock import FileLock, Timeout
from optuna.storages import BaseStorage, RDBStorage, get_storage
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    create_engine,
    event,
    exc,
    inspect,
    make_url,
    text,
)

from hpo.errors import StorageError
from hpo.search.retries import (
    DEFAULT_RETRY_SECONDS,
    fault_in_words,
    is_passing,
    one_line,
    with_retries,
)
from hpo.search.tables import METADATA, OPTUNA_METADATA, SQLITE_TRIGGERS
from hpo.spec.locations import why_unwritable

logger = logging.getLogger(__name__)

T = TypeVar("T")

WHAT_WORKS: Final = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"
_POSTGRES: Final = ("postgresql", "postgres", "postgresql+psycopg")
_BUSY_SECONDS: Final = 30
_CONNECT_SECONDS: Final = 10
_SET_UP_SECONDS: Final = 60
_READ_ONLY: Final = "hpo_read_only"
_ADVISORY_LOCK: Final = int.from_bytes(hashlib.sha256(b"hpo schema").digest()[:7], "big")


@dataclass(frozen=True)
class Storage:
    """An open storage: Optuna's studies and our own tables, over one pool of connections.

    optuna: what Optuna's functions take as `storage=`, with its cache of finished trials; url:
    where it is, with secrets; redacted: the same without them, for people.
    """

    optuna: BaseStorage
    engine: Engine
    url: str
    redacted: str
    retry_seconds: float = DEFAULT_RETRY_SECONDS

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads: it sees one state of the database and locks nobody out."""
        with self.engine.connect() as connection:
            connection = connection.execution_options(**{_READ_ONLY: True})
            with connection.begin():
                yield connection

    def write(self) -> AbstractContextManager[Connection]:
        """A transaction that writes; on SQLite it is alone from its first statement on."""
        return self.engine.begin()

    def retry(self, call: Callable[[], T], doing: str) -> T:
        """Make a call that may be repeated, waiting while the database is away. Raises
        StorageError.
        """
        return with_retries(call, doing=doing, place=self.redacted, seconds=self.retry_seconds)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_storage(
    url: str,
    *,
    retry_seconds: float = DEFAULT_RETRY_SECONDS,
    wait_seconds: float = 0.0,
    for_viewing: bool = False,
) -> Storage:
    """Open a storage and create what it lacks; many processes may do so at once.

    url: `sqlite:///optuna.db`, `postgresql://user:password@host/database`, or `postgres://`.
    retry_seconds: for how long later calls wait for a database that went away; wait_seconds: the
    same for this first one (a server that is still starting). for_viewing: for a dashboard, which
    mostly reads: it locks no writer out and is told of what changes in finished trials.
    Raises StorageError, with nothing written, where the storage cannot be used.
    """
    parsed, place = _parse(url), redact(url)
    return _with_probe(
        parsed,
        lambda probe: _open(probe, parsed, place, retry_seconds, for_viewing),
        wait_seconds,
        place,
    )


def check_storage(url: str, *, wait_seconds: float = 0.0) -> None:
    """Raise StorageError where `open_storage` would, as far as can be told with nothing written."""
    parsed, place = _parse(url), redact(url)
    _with_probe(parsed, lambda probe: _is_set_up(probe, place), wait_seconds, place)


def _with_probe(url: URL, act: Callable[[Engine], T], wait_seconds: float, place: str) -> T:
    """Do something with the database, with its refusals turned into StorageError."""
    if url.get_backend_name() == "sqlite":
        _check_sqlite_file(url, place)
    engine = _probe_engine(url, place)
    try:
        return with_retries(
            lambda: act(engine), doing="opening it", place=place, seconds=wait_seconds
        )
    except StorageError as error:
        cause = error.__cause__
        if isinstance(cause, exc.SQLAlchemyError):
            raise _opening_fault(cause, url, place) from cause
        raise
    finally:
        engine.dispose()


def redact(url: str) -> str:
    """The URL without its password, also where the URL is malformed."""
    hidden = re.sub(r"(://[^:@/]*):.*@", r"\1:***@", url)
    return re.sub(r"((?:password|passwd|pwd|sslpassword|passfile)=)[^&\s]*", r"\1***", hidden)


def _parse(url: str) -> URL:
    place = redact(url) or "the storage"
    try:
        parsed = make_url(url.strip())
    except (exc.ArgumentError, ValueError) as error:
        mend = f"Write {WHAT_WORKS}."
        if "://" not in url and url.strip():
            mend = f"Write sqlite:///{url.strip()} for a file."
        raise StorageError(
            place, found="something that is not a URL", expected=WHAT_WORKS, mend=mend
        ) from error
    name = parsed.drivername
    if name in _POSTGRES:
        return parsed.set(drivername="postgresql+psycopg")
    if name in ("sqlite", "sqlite+pysqlite"):
        return parsed
    if name.startswith("postgresql+"):
        raise StorageError(
            place,
            found=f"the driver {name.partition('+')[2]}",
            expected="psycopg (version 3)",
            mend="Write postgresql:// without a driver.",
        )
    raise StorageError(
        place,
        found=f"a storage of kind {name}",
        expected=WHAT_WORKS,
        mend="Use SQLite on one machine, and PostgreSQL for several.",
    )


def _check_sqlite_file(url: URL, place: str) -> None:
    """Raise StorageError where the file cannot be a storage; leaves no trace."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StorageError(
            place,
            found="no file",
            expected="sqlite:///FILE, for workers are processes of their own and share it",
            mend="Write sqlite:///optuna.db, or sqlite:////folder/optuna.db for an absolute path.",
        )
    path = Path(url.database)
    folder = path.parent
    if not folder.is_dir():
        raise StorageError(
            place,
            found=f"no folder {folder}" if not folder.exists() else f"{folder}, which is no folder",
            expected="a file in a folder that exists",
            mend="Create the folder, or name another file.",
        )
    if path.is_dir():
        raise StorageError(
            place, found="a folder", expected="a file", mend=f"Write {place.rstrip('/')}/optuna.db."
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
            mend="Change the rights, or use another --storage.",
        )
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                raise StorageError(
                    place,
                    found="a file that is not a SQLite database",
                    expected="a SQLite database, or a file that does not exist yet",
                    mend="Name another file.",
                )


def _probe_engine(url: URL, place: str) -> Engine:
    """An engine for looking at the database before Optuna touches it. Creates no file."""
    try:
        if url.get_backend_name() == "sqlite":
            path = Path(url.database or "")

            def connect() -> sqlite3.Connection:
                if not path.exists():
                    return sqlite3.connect(":memory:")
                # Opened for writing, since a database in WAL mode cannot be read without its shared
                # index.
                uri = f"{path.resolve().as_uri()}?mode=rw"
                return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)

            return create_engine("sqlite://", creator=connect, poolclass=NullPool)
        return create_engine(url, connect_args=_connect_args(url), poolclass=NullPool)
    except ImportError as error:
        raise StorageError(
            place,
            found="no psycopg on this machine",
            expected="the package psycopg, which speaks to PostgreSQL",
            mend='Install it with pip install "hpo[postgres]".',
        ) from error


def _open(probe: Engine, url: URL, place: str, retry_seconds: float, for_viewing: bool) -> Storage:
    if not _is_set_up(probe, place):
        with _set_up_lock(probe, url, place):
            # Another process may have been first.
            if not _is_set_up(probe, place):
                _set_up(url)
    rdb = _optuna_storage(url, place)
    if for_viewing:
        rdb.engine.update_execution_options(**{_READ_ONLY: True})
    return Storage(
        # Optuna's cache holds finished trials for good, but their MLflow links may come later.
        optuna=rdb if for_viewing else get_storage(rdb),
        engine=rdb.engine,
        url=url.render_as_string(hide_password=False),
        redacted=place,
        retry_seconds=retry_seconds,
    )


def _is_set_up(probe: Engine, place: str) -> bool:
    """Whether all tables are there. Raises StorageError where the database is another program's."""
    with probe.connect() as connection:
        present = set(inspect(connection).get_table_names())
        _refuse_foreign(connection, present, place)
        wanted = set(OPTUNA_METADATA.tables) | set(METADATA.tables) | {"alembic_version"}
        if not wanted <= present:
            return False
        for table in ("version_info", "alembic_version"):
            if connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0:
                return False
        if probe.dialect.name == "sqlite":
            names = connection.execute(
                text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            )
            return set(SQLITE_TRIGGERS) <= set(names.scalars())
    return True


def _refuse_foreign(connection: Connection, present: set[str], place: str) -> None:
    if {"experiments", "runs"} <= present:
        raise StorageError(
            place,
            found="the tables of an MLflow tracking store",
            expected="a database of its own for the studies: the two clash on alembic_version",
            mend="Use separate databases, e.g. sqlite:///optuna.db and sqlite:///mlflow.db.",
        )
    if "alembic_version" in present and "version_info" not in present:
        versions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
        if list(versions):
            raise StorageError(
                place,
                found="the tables of another program (alembic_version is taken)",
                expected="a database of its own for the studies",
                mend="Create another database and name that one.",
            )


@contextmanager
def _set_up_lock(probe: Engine, url: URL, place: str) -> Iterator[None]:
    """Held by the one process that creates the tables; the others wait for it."""
    if probe.dialect.name == "sqlite":
        path = Path(f"{url.database}.setup-lock")
        try:
            with FileLock(path, timeout=_SET_UP_SECONDS):
                yield
                # Safe only since the work is done: whoever waits on the old file, and whoever makes
                # a new one, both look at the tables first and find them.
                path.unlink(missing_ok=True)
        except Timeout as error:
            raise StorageError(
                place,
                found=f"another process setting it up for {_SET_UP_SECONDS} s",
                expected="that to take a second",
                mend="End that process, then run again.",
            ) from error
        return
    with probe.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        connection.commit()
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_LOCK})
            connection.commit()


def _set_up(url: URL) -> None:
    if url.get_backend_name() == "sqlite":
        path = url.database or ""
        raw = sqlite3.connect(path, timeout=_BUSY_SECONDS)
        try:
            # WAL is a property of the file: the dashboard reads while workers write.
            mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        finally:
            raw.close()
        if mode != "wal":
            logger.warning(
                "%s: the file system has no write-ahead log; workers will wait longer.", path
            )
    rdb = RDBStorage(_escaped(url), engine_kwargs=_engine_options(url))
    try:
        with rdb.engine.begin() as connection:
            METADATA.create_all(connection)
            if connection.dialect.name == "sqlite":
                for statement in SQLITE_TRIGGERS.values():
                    connection.execute(text(statement))
    finally:
        rdb.engine.dispose()


def _optuna_storage(url: URL, place: str) -> RDBStorage:
    try:
        rdb = RDBStorage(
            _escaped(url), engine_kwargs=_engine_options(url), skip_table_creation=True
        )
    except RuntimeError as error:
        raise StorageError(
            place,
            found="tables of another version of Optuna",
            expected="those of the installed one",
            mend="Run optuna storage upgrade --storage URL, or install the Optuna that wrote them.",
        ) from error
    if rdb.engine.dialect.name == "sqlite":
        event.listen(rdb.engine, "connect", _prepare_sqlite)
        event.listen(rdb.engine, "begin", _begin_sqlite)
        # Connections made while Optuna looked at its tables know nothing of the listeners.
        rdb.engine.dispose()
    return rdb


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # None: the driver opens no transactions of its own, so that ours can begin as IMMEDIATE.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
    # NORMAL: nothing is lost when a process dies; a power cut may cost the last moments.
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: SQLite ignores FOR UPDATE, so two workers could read the same budget and both take
    # the last trial. Optuna's own transactions need it too: it hands enqueued trials out twice
    # without.
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN DEFERRED" if read_only else "BEGIN IMMEDIATE")


def _engine_options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _BUSY_SECONDS, "isolation_level": None}}
    # One connection kept, for there may be hundreds of workers; the beat and others come and go.
    return {
        "connect_args": _connect_args(url),
        "pool_pre_ping": True,
        "pool_size": 1,
        "max_overflow": 4,
        "pool_recycle": 1800,
        "pool_timeout": 30,
    }


def _connect_args(url: URL) -> dict[str, Any]:
    """What psycopg is told, unless the URL itself says otherwise."""
    wanted: dict[str, Any] = {
        "connect_timeout": _CONNECT_SECONDS,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        "application_name": "hpo",
        # A worker stopped in the middle of a transaction must not hold the others up for ever.
        "options": (
            "-c statement_timeout=60000 -c lock_timeout=30000"
            " -c idle_in_transaction_session_timeout=60000"
        ),
    }
    return {key: value for key, value in wanted.items() if key not in url.query}


def _escaped(url: URL) -> str:
    # Optuna runs str.format over the URL, so that a brace in a password would be its undoing.
    rendered = url.render_as_string(hide_password=False)
    return rendered.replace("{", "{{").replace("}", "}}")


def _opening_fault(error: exc.SQLAlchemyError, url: URL, place: str) -> StorageError:
    """The error for a storage that could not be opened, told from the driver's own words."""
    message = one_line(error)
    if isinstance(url.password, str) and url.password:
        message = message.replace(url.password, "***")
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
            r"permission denied",
            f"a user without the right to create tables ({message})",
            "a user who may create tables",
            "Grant it CREATE on the schema.",
        ),
    )
    for pattern, found, expected, mend in known:
        if re.search(pattern, message):
            return StorageError(place, found=found, expected=expected, mend=mend)
    if url.get_backend_name() != "sqlite" and is_passing(error):
        return StorageError(
            place,
            found=f"no server that answers ({message})",
            expected=f"PostgreSQL at {url.host or url.query.get('host') or 'localhost'}",
            mend="Start the server, or check host and port.",
        )
    return fault_in_words(error, doing="opening it", place=place)
