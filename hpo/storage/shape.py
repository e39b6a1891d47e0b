"""The shape of a storage that is there: whether its tables have what the installed Optuna and we read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import optuna
from alembic.script import ScriptDirectory
from optuna.storages import _rdb
from optuna.storages._rdb.models import SCHEMA_VERSION
from sqlalchemy import Connection, text

from hpo.errors import StorageError
from hpo.printable import printable
from hpo.storage.optuna_tables import OPTUNA_METADATA
from hpo.storage.tables import HPO_FORMAT, HPO_PROBABILITIES, METADATA

Columns = Mapping[str, frozenset[str]]
"""The names of the columns of each table, by its name."""

_VERSIONS: Final = "alembic_version"
_COLUMNS_OF: Final = {
    "sqlite": """
        SELECT tables.name, columns.name
        FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
        WHERE tables.type = 'table'
    """,
    "postgresql": """
        SELECT tables.relname, columns.attname
        FROM pg_catalog.pg_class AS tables
        JOIN pg_catalog.pg_namespace AS schemas ON schemas.oid = tables.relnamespace
        JOIN pg_catalog.pg_attribute AS columns ON columns.attrelid = tables.oid
        WHERE schemas.nspname = current_schema() AND tables.relkind IN ('r', 'p')
            AND columns.attnum > 0 AND NOT columns.attisdropped
    """,
}


def columns_in(connection: Connection) -> Columns:
    """The tables of a database and their columns, by one query."""
    found: dict[str, set[str]] = {}
    for table, column in connection.execute(text(_COLUMNS_OF[connection.dialect.name])):
        found.setdefault(table, set()).add(column)
    return {table: frozenset(columns) for table, columns in found.items()}


def check_shape(connection: Connection, present: Columns, place: str) -> None:
    """Look at the tables that are there; those that an unfinished set-up still has to make may lack.

    Raises:
        StorageError: They are of another Optuna, or one lacks a column, or one that was there is gone.
    """
    expected = _expected()
    for table in (_VERSIONS, "version_info", HPO_FORMAT.name):
        _check_columns(table, expected, present, place)
    revisions = _values(connection, present, _VERSIONS, "version_num")
    schemas = _values(connection, present, "version_info", "schema_version")
    if revisions or schemas:
        _check_version(revisions, schemas, place)
    # The last thing that each of the two writes when it makes its tables.
    if revisions:
        _check_tables(set(OPTUNA_METADATA.tables), present, place)
    if _values(connection, present, HPO_FORMAT.name, "number"):
        # The probabilities came later than the format, which stayed the same.
        _check_tables(set(METADATA.tables) - {HPO_PROBABILITIES.name}, present, place)
    for table in sorted(expected):
        _check_columns(table, expected, present, place)


@cache
def _expected() -> Columns:
    declared = [*OPTUNA_METADATA.tables.values(), *METADATA.tables.values()]
    named = {table.name: frozenset(table.columns.keys()) for table in declared}
    return {**named, _VERSIONS: frozenset({"version_num"})}


@cache
def _newest_revision() -> str | None:
    folder = Path(_rdb.__file__).parent / "alembic"
    return ScriptDirectory(str(folder)).get_current_head()


def _values(connection: Connection, present: Columns, table: str, column: str) -> list[object]:
    if table not in present:
        return []
    return list(connection.execute(text(f"SELECT {column} FROM {table}")).scalars())


def _check_version(revisions: list[object], schemas: list[object], place: str) -> None:
    newest = _newest_revision()
    if revisions in ([], [newest]) and schemas in ([], [SCHEMA_VERSION]):
        return
    said = ", ".join(printable(str(value)[:40]) for value in [*revisions, *schemas])
    raise StorageError(
        place,
        found=f"tables of another version of Optuna ({said})",
        expected=f"those of the installed one ({newest}, {SCHEMA_VERSION})",
        hint="Run `optuna storage upgrade --storage URL`, or install the Optuna that wrote them.",
    )


def _check_tables(wanted: set[str], present: Columns, place: str) -> None:
    for table in sorted(wanted - set(present)):
        raise _lacking(f"no table {table}", place)


def _check_columns(table: str, expected: Columns, present: Columns, place: str) -> None:
    for column in sorted(expected[table] - present.get(table, expected[table])):
        raise _lacking(f"no column {column} in the table {table}", place)


def _lacking(found: str, place: str) -> StorageError:
    return StorageError(
        place,
        found=found,
        expected=f"the tables as hpo and Optuna {optuna.__version__} make them",
        hint="Restore the database from a copy, or name another.",
    )
