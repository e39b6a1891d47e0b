"""The one place that opens storages: builds the engine, has the tables made, and begins transactions."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from optuna.storages import BaseStorage, RDBStorage, get_storage
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, exc, select

from hpo.closing import Closing
from hpo.errors import StorageError
from hpo.redaction import redacted
from hpo.spec.names import confirmed_study
from hpo.storage.optuna_tables import STUDIES
from hpo.storage.retries import DEFAULT_RETRY_SECONDS, with_retries
from hpo.storage.rights import check_rights
from hpo.storage.schema import add_own_tables, check_structure, has_studies, is_set_up, set_up_lock
from hpo.storage.sealed_storage import READ_ONLY, SealedStorage, one_state
from hpo.storage.tables import HPO_STUDIES
from hpo.storage.url import (
    BUSY_SECONDS,
    check_sqlite_file,
    connect_args,
    engine_options,
    opening_fault,
    optuna_url,
    parse_storage_url,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Storage(Closing):
    """An open storage: Optuna's studies and our own tables, over one pool of connections.

    Attributes:
        optuna: What Optuna's functions take as `storage=`, with its cache of finished trials.
        url: Where it is, with secrets.
        redacted: The same without them, for people.
    """

    optuna: BaseStorage
    engine: Engine
    url: str
    redacted: str
    retry_seconds: float = DEFAULT_RETRY_SECONDS

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads: it sees one state of the database and locks nobody out."""
        with one_state(self.engine) as connection:
            yield connection

    def write(self) -> AbstractContextManager[Connection]:
        """A transaction that writes; on SQLite it is alone from its first statement on."""
        return self.engine.begin()

    def retry(self, call: Callable[[], T], doing: str) -> T:
        """Make a call that may be repeated, waiting while the database is away.

        Raises:
            StorageError: The database stays away or refuses.
        """
        return with_retries(call, doing=doing, place=self.redacted, seconds=self.retry_seconds)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def open_storage(
    url: str,
    *,
    retry_seconds: float = DEFAULT_RETRY_SECONDS,
    wait_seconds: float = 0.0,
    for_viewing: bool = False,
) -> Storage:
    """Open a storage and create what it lacks; many processes may do so at once.

    Args:
        url: `sqlite:///optuna.db`, `postgresql://user:password@host/database`, or `postgres://`.
        retry_seconds: For how long later calls wait for a database that went away.
        wait_seconds: The same for this first one (a server that is still starting).
        for_viewing: For a dashboard, which mostly reads: it locks no writer out and is told of what
            changes in finished trials.

    Raises:
        StorageError: With nothing written, where the storage cannot be used.
    """
    parsed, place = parse_storage_url(url), redacted(url)
    return _with_probe(
        parsed,
        lambda probe: _open(probe, parsed, place, retry_seconds, for_viewing),
        wait_seconds,
        place,
    )


def check_storage(url: str, *, wait_seconds: float = 0.0) -> None:
    """Raise StorageError where `open_storage` would, as far as can be told with nothing written."""
    parsed, place = parse_storage_url(url), redacted(url)

    def look(probe: Engine) -> None:
        check_structure(probe, place)
        check_rights(probe, place, set_up=is_set_up(probe, place))

    _with_probe(parsed, look, wait_seconds, place)


def registered_names(url: str) -> list[str]:
    """Names of the studies that were submitted to a storage, none where it is not there; creates
    nothing.

    Raises:
        StorageError: The storage cannot be used.
    """
    query = (
        select(STUDIES.c.study_name)
        .join(HPO_STUDIES, HPO_STUDIES.c.study_id == STUDIES.c.study_id)
        .order_by(STUDIES.c.study_name)
    )

    def read(connection: Connection) -> list[str]:
        names = connection.execute(query).scalars()
        return [name for name in names if confirmed_study(name) is None]

    return look_into(url, read)


def look_into(url: str, read: Callable[[Connection], list[str]]) -> list[str]:
    """What `read` finds among the studies of a storage; nothing where it is not there, and raises as above."""
    parsed, place = parse_storage_url(url), redacted(url)

    def look(probe: Engine) -> list[str]:
        if not has_studies(probe, place):
            return []
        with probe.connect() as connection:
            return read(connection)

    return _with_probe(parsed, look, 0.0, place)


def _with_probe(url: URL, act: Callable[[Engine], T], wait_seconds: float, place: str) -> T:
    """Do something with the database, with its refusals turned into StorageError."""
    if url.get_backend_name() == "sqlite":
        check_sqlite_file(url, place)
    engine = _probe_engine(url, place)
    try:
        return with_retries(
            lambda: act(engine), doing="opening it", place=place, seconds=wait_seconds
        )
    except StorageError as error:
        cause = error.__cause__
        if isinstance(cause, exc.SQLAlchemyError):
            raise opening_fault(cause, url, place) from cause
        raise
    finally:
        engine.dispose()


def _probe_engine(url: URL, place: str) -> Engine:
    """An engine for looking at the database before Optuna touches it. Creates no file."""
    try:
        if url.get_backend_name() == "sqlite":
            path = Path(url.database or "")

            def connect() -> sqlite3.Connection:
                if not path.exists():
                    return sqlite3.connect(":memory:")
                # For writing: a database in WAL mode cannot be read without its shared index.
                uri = f"{path.resolve().as_uri()}?mode=rw"
                return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)

            return create_engine("sqlite://", creator=connect, poolclass=NullPool)
        return create_engine(url, connect_args=connect_args(url), poolclass=NullPool)
    except ImportError as error:
        raise StorageError(
            place,
            found="no psycopg on this machine",
            expected="the package psycopg, which speaks to PostgreSQL",
            hint='Install it with pip install "hpo[postgres]".',
        ) from error


def _open(probe: Engine, url: URL, place: str, retry_seconds: float, for_viewing: bool) -> Storage:
    check_structure(probe, place)
    set_up = is_set_up(probe, place)
    if not for_viewing or not set_up:
        check_rights(probe, place, set_up=set_up)
    if not set_up:
        with set_up_lock(probe, url, place):
            # Another process may have been first.
            if not is_set_up(probe, place):
                _set_up(url)
    rdb = _optuna_storage(url, RDBStorage if for_viewing else SealedStorage)
    if for_viewing:
        rdb.engine.update_execution_options(**{READ_ONLY: True})
    return Storage(
        # Optuna's cache holds finished trials for good, but their MLflow links may come later.
        optuna=rdb if for_viewing else get_storage(rdb),
        engine=rdb.engine,
        url=url.render_as_string(hide_password=False),
        redacted=place,
        retry_seconds=retry_seconds,
    )


def _set_up(url: URL) -> None:
    if url.get_backend_name() == "sqlite":
        path = url.database or ""
        raw = sqlite3.connect(path, timeout=BUSY_SECONDS)
        try:
            # WAL is a property of the file: the dashboard reads while workers write.
            mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        finally:
            raw.close()
        if mode != "wal":
            logger.warning(
                "%s: the file system has no write-ahead log; workers will wait longer.", path
            )
    rdb = RDBStorage(optuna_url(url), engine_kwargs=engine_options(url))
    try:
        add_own_tables(rdb.engine)
    finally:
        rdb.engine.dispose()


def _optuna_storage(url: URL, kind: type[RDBStorage]) -> RDBStorage:
    rdb = kind(optuna_url(url), engine_kwargs=engine_options(url), skip_table_creation=True)
    if rdb.engine.dialect.name == "sqlite":
        event.listen(rdb.engine, "connect", _prepare_sqlite)
        event.listen(rdb.engine, "begin", _begin_sqlite)
        # Connections made while Optuna looked at its tables know nothing of the listeners.
        rdb.engine.dispose()
    return rdb


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # None: the driver opens no transactions of its own, so that ours can begin as IMMEDIATE.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    # NORMAL: nothing is lost when a process dies; a power cut may cost the last moments.
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: SQLite ignores FOR UPDATE, so two workers could read the same budget and both take
    # the last trial. Optuna's own transactions need it too, or enqueued trials are given out twice.
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN DEFERRED" if read_only else "BEGIN IMMEDIATE")
