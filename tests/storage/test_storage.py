"""Opening storages: what works, what is refused and how, and who creates the tables."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import pytest
from sqlalchemy import text

from hpo.errors import StorageError
from hpo.storage.storage import Storage, check_storage, open_storage

FORK = multiprocessing.get_context("fork")


def refusal(url: str) -> StorageError:
    with pytest.raises(StorageError) as caught:
        open_storage(url)
    return caught.value


def test_a_path_without_scheme_is_answered_with_the_url_to_write() -> None:
    error = refusal("optuna.db")
    assert error.hint == "Write sqlite:///optuna.db for a file."
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("", "not a URL"),
        ("mysql://me:secret@host/db", "kind mysql"),
        ("redis://host", "kind redis"),
        ("postgresql+asyncpg://me:secret@host/db", "the driver asyncpg"),
        ("sqlite://", "no file"),
        ("sqlite:///:memory:", "no file"),
    ],
)
def test_storages_of_other_kinds_are_refused_with_what_works(url: str, found: str) -> None:
    error = refusal(url)
    assert found in error.found
    assert "secret" not in str(error)
    assert "sqlite:///" in str(error) or "postgresql://" in str(error)


def test_a_look_at_a_storage_lets_go_of_no_lock_that_this_process_has_on_it(tmp_path: Path) -> None:
    """Where it does, the next process to close the file takes the log away from under this one."""
    url, file = f"sqlite:///{tmp_path}/optuna.db", tmp_path / "optuna.db"
    with open_storage(url) as opened:
        with opened.read() as connection:
            connection.execute(text("SELECT count(*) FROM studies")).scalar()
            check_storage(url)
        other = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1])"
        other += "; c.execute('SELECT count(*) FROM studies').fetchone(); c.close()"
        subprocess.run([sys.executable, "-c", other, file], check=True)
        assert file.with_name("optuna.db-wal").exists()
        with opened.write() as connection:
            connection.execute(text("INSERT INTO studies (study_name) VALUES ('a')"))


def test_a_missing_folder_is_named_and_not_created(tmp_path: Path) -> None:
    error = refusal(f"sqlite:///{tmp_path}/no/optuna.db")
    assert f"no folder {tmp_path}/no" in error.found
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    assert refusal(f"sqlite:///{tmp_path}").found == "a folder"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder closed to root as well")
def test_a_folder_that_cannot_be_written_is_refused() -> None:
    assert "/proc, which cannot be written" in refusal("sqlite:////proc/optuna.db").found


def test_a_file_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "optuna.db"
    file.touch(mode=0o400)
    if os.access(file, os.W_OK):  # the superuser may write everywhere
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != file)
    assert f"{file}, which cannot be written" in refusal(f"sqlite:///{file}").found
    assert file.stat().st_size == 0


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("these are notes, and long enough to have a header")
    assert "not a SQLite database" in refusal(f"sqlite:///{file}").found
    assert [each.name for each in tmp_path.iterdir()] == ["notes.db"]
    assert file.read_text().startswith("these are notes")


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "broken.db"
    file.write_bytes(b"SQLite format 3\0" + b"nonsense" * 100)
    assert "damaged" in refusal(f"sqlite:///{file}").found


def test_an_mlflow_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as connection:
        for table in ("experiments", "runs"):
            connection.execute(f"CREATE TABLE {table} (id INTEGER)")
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('c3d6457b6d8a')")
    connection.close()
    before = file.read_bytes()
    error = refusal(f"sqlite:///{file}")
    assert "MLflow" in error.found
    assert "separate databases" in error.hint
    assert file.read_bytes() == before


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('abc')")
    connection.close()
    assert "another program" in refusal(f"sqlite:///{file}").found


def test_tables_of_another_optuna_are_refused_with_the_way_to_upgrade(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    open_storage(url).close()
    with sqlite3.connect(tmp_path / "optuna.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v1.3.0.a'")
    connection.close()
    assert "optuna storage upgrade" in refusal(url).hint


def test_a_server_that_does_not_answer_is_told_without_its_password() -> None:
    error = refusal("postgresql://me:secret@127.0.0.1:1/db")
    assert "no server that answers" in error.found
    assert "secret" not in str(error)
    assert "127.0.0.1" in error.expected


def test_a_database_that_does_not_exist_is_named(postgres_server: str) -> None:
    error = refusal(postgres_server.format("nothing_here"))
    assert error.found == "a server without a database nothing_here"


def test_a_user_that_the_server_does_not_know_is_named(postgres_server: str) -> None:
    error = refusal(postgres_server.format("postgres").replace("postgres:@", "nobody:secret@"))
    assert error.found == "a server that refuses the user nobody"
    assert "secret" not in str(error)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgres_is_found_under_every_scheme_that_people_write(
    postgres_url: str, scheme: str
) -> None:
    with open_storage(postgres_url.replace("postgresql+psycopg", scheme)) as storage:
        assert optuna.get_all_study_names(storage.optuna) == []


def test_a_password_may_hold_braces_and_percent_signs(postgres_url: str) -> None:
    url = postgres_url.replace("postgres:@", "postgres:a{b}%25%7B0@")
    with open_storage(url) as storage:
        optuna.create_study(storage=storage.optuna, study_name="s")


def test_optuna_finds_what_was_opened(storage: Storage) -> None:
    optuna.create_study(storage=storage.optuna, study_name="s")
    assert optuna.get_all_study_names(storage.url) == ["s"]


def test_opening_again_keeps_everything_and_leaves_no_lock(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    with open_storage(url) as storage:
        optuna.create_study(storage=storage.optuna, study_name="s")
    with open_storage(url) as storage:
        assert optuna.get_all_study_names(storage.optuna) == ["s"]
    assert [each.name for each in tmp_path.iterdir()] == ["optuna.db"]


def test_a_storage_that_optuna_made_gets_our_tables(storage_url: str) -> None:
    optuna.create_study(storage=storage_url, study_name="before")
    with open_storage(storage_url) as storage:
        assert optuna.get_all_study_names(storage.optuna) == ["before"]
        with storage.read() as connection:
            connection.execute(text("SELECT * FROM hpo_claims"))


def test_sqlite_keeps_a_write_ahead_log_and_waits_for_other_writers(
    sqlite_storage: Storage,
) -> None:
    with sqlite_storage.read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "busy_timeout", "synchronous")
        }
    assert pragmas == {"journal_mode": "wal", "busy_timeout": 30_000, "synchronous": 1}


def test_reading_is_possible_while_another_writes(storage: Storage) -> None:
    with storage.write() as writing:
        writing.execute(text("DELETE FROM hpo_memory"))
        with storage.read() as reading:
            assert reading.execute(text("SELECT count(*) FROM hpo_studies")).scalar_one() == 0


def _open_and_create(url: str, together: Barrier, index: int) -> None:
    together.wait(60)
    with open_storage(url) as storage:
        optuna.create_study(storage=storage.optuna, study_name=f"s{index}")


def test_six_processes_may_open_an_empty_storage_at_once(storage_url: str) -> None:
    together = FORK.Barrier(6)
    processes = [
        FORK.Process(target=_open_and_create, args=(storage_url, together, index))
        for index in range(6)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 6
    assert sorted(optuna.get_all_study_names(storage_url)) == [f"s{index}" for index in range(6)]


def test_a_lock_left_by_a_killed_process_does_not_keep_others_out(tmp_path: Path) -> None:
    (tmp_path / "optuna.db.setup-lock").touch()
    open_storage(f"sqlite:///{tmp_path}/optuna.db").close()


@pytest.mark.slow
@pytest.mark.faults
def test_calls_wait_for_a_server_that_restarts(restartable_postgres: Any) -> None:
    server = restartable_postgres
    with open_storage(server.url, retry_seconds=30) as storage:
        server.stop()
        with pytest.raises(StorageError, match="no server that answers"):
            open_storage(server.url)
        later = threading.Timer(1.0, server.start)
        later.start()
        assert storage.retry(_counting(storage), "counting") == 0
        later.join()
        server.cut_connections()
        assert storage.retry(_counting(storage), "counting") == 0


def _counting(storage: Storage) -> Callable[[], int]:
    def ask() -> int:
        with storage.read() as connection:
            return int(connection.execute(text("SELECT count(*) FROM hpo_studies")).scalar_one())

    return ask


@pytest.mark.parametrize("said_by", ["url", "environment"])
def test_what_a_url_or_libpq_says_of_a_session_is_joined_to_our_time_outs(
    postgres_url: str, said_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "-csearch_path=mine,public -c lock_timeout=7000"
    url = f"{postgres_url}&options={quote(said)}" if said_by == "url" else postgres_url
    if said_by == "environment":
        monkeypatch.setenv("PGOPTIONS", said)
        monkeypatch.setenv("PGAPPNAME", "mine")
    with open_storage(url) as storage, storage.read() as connection:

        def setting(name: str) -> str:
            return str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())

        assert setting("search_path") == "mine,public"
        assert setting("lock_timeout") == "7s"  # theirs wins where it is one of ours
        assert setting("statement_timeout") == "1min"
        assert setting("idle_in_transaction_session_timeout") == "1min"
        assert setting("application_name") == ("hpo" if said_by == "url" else "mine")
