"""The tables of a storage: whether they are there, made once by one process, other programs' refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, func, select, text

from hpo.errors import StorageError
from hpo.formats import DATABASE, check_format
from hpo.storage.optuna_tables import OPTUNA_METADATA, STUDIES
from hpo.storage.retries import DAMAGE_HINT
from hpo.storage.shape import check_shape, columns_in
from hpo.storage.tables import HPO_FORMAT, HPO_STUDIES, METADATA, SQLITE_TRIGGERS

_SET_UP_SECONDS: Final = 60
_ADVISORY_LOCK: Final = int.from_bytes(hashlib.sha256(b"hpo schema").digest()[:7], "big")


def check_structure(probe: Engine, place: str) -> None:
    """Read a SQLite file through: its pages, rows and indices.

    PostgreSQL looks at its own pages' checksums.

    Raises:
        StorageError: They do not fit.
    """
    if probe.dialect.name != "sqlite":
        return
    try:
        with probe.connect() as connection:
            faults = list(connection.exec_driver_sql("PRAGMA integrity_check(3)").scalars())
    except UnicodeDecodeError as error:  # the driver's, over SQLite's own words about the damage
        faults = [error.object.decode(errors="replace")]
    if faults != ["ok"]:
        raise StorageError(
            place,
            found=f"a damaged database ({' '.join('; '.join(map(str, faults)).split())[:300]})",
            expected="a file that is as SQLite wrote it",
            hint=DAMAGE_HINT,
        )


def has_studies(probe: Engine, place: str) -> bool:
    """Whether the table of studies is there, in a storage of an earlier release too.

    Raises:
        StorageError: As for `is_set_up`.
    """
    with probe.connect() as connection:
        return {STUDIES.name, HPO_STUDIES.name} <= _present(connection, place)


def is_set_up(probe: Engine, place: str) -> bool:
    """Whether all tables are there.

    Raises:
        StorageError: The database is another program's, or another Optuna's, or a newer hpo's, or lacks
            a part of what was made.
    """
    with probe.connect() as connection:
        present = _present(connection, place)
        # A database that an earlier release made has no format, and needs none.
        ours = set(METADATA.tables) - {HPO_FORMAT.name}
        wanted = set(OPTUNA_METADATA.tables) | ours | {"alembic_version"}
        if not wanted <= present:
            return False
        for table in ("version_info", "alembic_version"):
            if connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0:
                return False
        if probe.dialect.name == "sqlite":
            # Whatever else a trigger of ours says, it would delete what it should not.
            query = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            said = {name: sql.split() for name, sql in connection.execute(query)}
            return all(said.get(name) == sql.split() for name, sql in SQLITE_TRIGGERS.items())
    return True


def _present(connection: Connection, place: str) -> set[str]:
    """The tables of a database that is ours, or empty."""
    columns = columns_in(connection)
    present = set(columns)
    _refuse_foreign(connection, present, place)
    check_shape(connection, columns, place)
    if HPO_FORMAT.name in present:
        number = connection.execute(select(func.max(HPO_FORMAT.c.number))).scalar_one()
        check_format(DATABASE, place, number)
    return present


@contextmanager
def set_up_lock(probe: Engine, url: URL, place: str) -> Iterator[None]:
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
                hint="End that process, then run again.",
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


def add_own_tables(engine: Engine) -> None:
    """Add our tables to those of Optuna."""
    with engine.begin() as connection:
        METADATA.create_all(connection)
        if connection.execute(select(HPO_FORMAT.c.number)).first() is None:
            connection.execute(HPO_FORMAT.insert().values(number=DATABASE.number))
        if connection.dialect.name == "sqlite":
            for name, statement in SQLITE_TRIGGERS.items():
                connection.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
                connection.execute(text(statement))


def _refuse_foreign(connection: Connection, present: set[str], place: str) -> None:
    if {"experiments", "runs"} <= present:
        raise StorageError(
            place,
            found="the tables of an MLflow tracking store",
            expected="a database of its own for the studies: the two clash on alembic_version",
            hint="Use separate databases, e.g. sqlite:///optuna.db and sqlite:///mlflow.db.",
        )
    if "alembic_version" not in present or "version_info" in present:
        return
    if connection.execute(text("SELECT count(*) FROM alembic_version")).scalar_one():
        raise StorageError(
            place,
            found="the tables of another program (alembic_version is taken)",
            expected="a database of its own for the studies",
            hint="Create another database and name that one.",
        )
