"""Storages of another shape: each is refused by one line that names what is wrong, with nothing written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from hpo.errors import StorageError
from hpo.storage.optuna_tables import OPTUNA_METADATA
from hpo.storage.storage import check_storage, open_storage, registered_names
from hpo.storage.tables import HPO_PROBABILITIES, METADATA

DOORS = (check_storage, open_storage, registered_names)
DECLARED = (*OPTUNA_METADATA.sorted_tables, *METADATA.sorted_tables)
COLUMNS = [
    *((table.name, column.name) for table in DECLARED for column in table.columns),
    ("alembic_version", "version_num"),
]
# An earlier release did not make all, and a set-up goes on where it was ended.
MADE_ANEW = {HPO_PROBABILITIES.name, "hpo_format", "alembic_version"}
GONE = sorted({table.name for table in DECLARED} - MADE_ANEW)


@pytest.fixture(scope="session")
def as_made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("shape") / "optuna.db"
    open_storage(f"sqlite:///{file}").close()
    with closing(sqlite3.connect(file)) as connection:
        return connection.serialize()


@pytest.fixture
def changed(tmp_path: Path, as_made: bytes) -> Callable[..., Path]:
    def change(*statements: str) -> Path:
        file = tmp_path / "optuna.db"
        file.write_bytes(as_made)
        with closing(sqlite3.connect(file)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return file

    return change


def refusals(file: Path) -> set[str]:
    """What the doors say, each of which leaves the file as it was and no other beside it."""
    before, said = sha256(file.read_bytes()).digest(), set()
    for door in DOORS:
        with pytest.raises(StorageError) as caught:
            door(f"sqlite:///{file}")
        assert caught.value.exit_code == 2
        said.add(str(caught.value))
        assert [path.name for path in file.parent.iterdir()] == [file.name]
        assert sha256(file.read_bytes()).digest() == before
    return said


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=".".join)
def test_a_column_that_is_gone_is_named(
    table: str, column: str, changed: Callable[..., Path]
) -> None:
    file = changed("PRAGMA legacy_alter_table = 1", f"ALTER TABLE {table} RENAME {column} TO other")
    (said,) = refusals(file)
    assert f"found no column {column} in the table {table}; expected the tables as hpo" in said
    assert "\n" not in said


@pytest.mark.parametrize("table", GONE)
def test_a_table_that_is_gone_is_named(table: str, changed: Callable[..., Path]) -> None:
    (said,) = refusals(changed("PRAGMA foreign_keys = 0", f"DROP TABLE {table}"))
    if table == "version_info":
        assert "found the tables of another program (alembic_version is taken)" in said
    else:
        assert f"found no table {table}; expected" in said


@pytest.mark.parametrize("table", sorted(MADE_ANEW - {"hpo_format"}))
def test_what_an_unfinished_set_up_lacks_is_made(table: str, changed: Callable[..., Path]) -> None:
    file = changed(f"DROP TABLE {table}")
    open_storage(f"sqlite:///{file}").close()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute(f"PRAGMA table_info({table})").fetchall()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("INSERT INTO alembic_version VALUES ('v9.9.9')", "(v3.2.0.a, v9.9.9, 12)"),
        ("UPDATE alembic_version SET version_num = 'v9.9.9'", "(v9.9.9, 12)"),
        ("UPDATE alembic_version SET version_num = 'a' || char(10)", "(a\\n, 12)"),
        ("UPDATE version_info SET schema_version = 99", "(v3.2.0.a, 99)"),
    ],
)
def test_versions_that_the_installed_optuna_does_not_know_are_named(
    statement: str, found: str, changed: Callable[..., Path]
) -> None:
    (said,) = refusals(changed(statement))
    assert f"found tables of another version of Optuna {found}; expected those of" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("table", "column"), [("trial_params", "param_value"), ("hpo_claims", "beat")]
)
def test_a_postgres_storage_that_lacks_a_column_is_refused(
    table: str, column: str, postgres_url: str
) -> None:
    open_storage(postgres_url).close()
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
    engine.dispose()
    with pytest.raises(StorageError, match=f"no column {column} in the table {table}"):
        open_storage(postgres_url)
