"""PostgreSQL as its administrators set it up: schemas of one's own, few rights, standbys, poolers."""

from __future__ import annotations

import os
import socketserver
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import psycopg
import pytest

from hpo.errors import StorageError
from hpo.storage.storage import Storage, check_storage, open_storage, registered_names

ALL = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}"


class Database:
    """An empty database and its administrator, who makes a user for each test."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.admin = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
        self.user = f"u_{self.admin.info.dbname}"
        self.run(f"CREATE ROLE {self.user} LOGIN")

    def run(self, statement: str) -> None:
        self.admin.execute(statement.format(self.user).encode())

    def url(self, options: str = "", *, owner: bool = False) -> str:
        url = self._url if owner else self._url.replace("postgres:@", f"{self.user}@")
        return f"{url}&options={quote(options)}" if options else url

    def close(self) -> None:
        self.run("DROP OWNED BY {} CASCADE")
        self.run("DROP ROLE {}")
        self.admin.close()


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    made = Database(postgres_url)
    yield made
    made.close()


def refusal(url: str) -> StorageError:
    """What is said of a storage, by the quick look and by the opening alike."""
    said = []
    for use in (check_storage, open_storage):
        with pytest.raises(StorageError) as caught:
            use(url)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "\n" not in said[0]
    return caught.value


def study_in(storage: Storage) -> None:
    optuna.create_study(storage=storage.optuna, study_name="s").enqueue_trial({})


def test_a_schema_of_ones_own_holds_everything(database: Database) -> None:
    database.run("CREATE SCHEMA mine AUTHORIZATION {}")
    url = database.url("-csearch_path=mine")
    with open_storage(url) as storage, storage.read() as connection:
        study_in(storage)
        place = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('studies', 'hpo_studies')"
        assert connection.exec_driver_sql(place).scalars().all() == ["mine"]
        # Our own time-outs stay: they are joined.
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar_one() == "30s"
    check_storage(url)
    assert registered_names(url) == []


@pytest.mark.parametrize("made", [True, False])
def test_a_search_path_that_leads_to_no_schema_is_told(database: Database, made: bool) -> None:
    if made:
        database.run("CREATE SCHEMA mine")  # which the user may not use
    error = refusal(database.url("-csearch_path=mine"))
    assert error.found == "no schema on the search_path mine"


def test_a_user_who_may_create_nothing_is_told_in_a_line(database: Database) -> None:
    error = refusal(database.url())
    assert "without the right to create tables in the schema public" in error.found
    assert error.hint.startswith("GRANT CREATE ON SCHEMA public TO ")


def test_a_user_who_may_only_read_is_told_before_training_and_may_view(database: Database) -> None:
    with open_storage(database.url(owner=True)) as storage:
        study_in(storage)
    assert "who may not use all of its tables" in refusal(database.url()).found
    database.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}")
    assert " who may not write the table " in refusal(database.url()).found
    with open_storage(database.url(), for_viewing=True) as seen:
        assert optuna.get_all_study_names(seen.optuna) == ["s"]
    database.run(ALL)
    assert " who may not write the sequence " in refusal(database.url()).found
    database.run("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}")
    with open_storage(database.url()) as storage:
        optuna.create_study(storage=storage.optuna, study_name="of a user")


def test_a_connection_that_may_only_read_is_told(database: Database) -> None:
    with open_storage(database.url(owner=True)):
        pass
    error = refusal(database.url("-cdefault_transaction_read_only=on", owner=True))
    assert "can only read" in error.found


def test_a_standby_is_told(restartable_postgres: Any) -> None:
    url, folder = restartable_postgres.url, Path(restartable_postgres._server.pgdata)
    with open_storage(url) as storage:
        study_in(storage)
    restartable_postgres.stop()
    signal, owner = folder / "standby.signal", folder.stat()
    signal.touch()
    os.chown(signal, owner.st_uid, owner.st_gid)
    restartable_postgres.start()
    assert refusal(url).found == "a standby, which can only be read"
    with open_storage(url, for_viewing=True) as seen:
        assert optuna.get_all_study_names(seen.optuna) == ["s"]


@pytest.mark.parametrize(
    "said",
    [
        "unsupported startup parameter: options",
        "unsupported startup parameter in options: statement_timeout",
    ],
)
def test_a_pooler_that_lets_no_options_through_is_told_with_the_way_out(said: str) -> None:
    with _refusing(said) as server:
        host, port = server.server_address[:2]
        error = refusal(f"postgresql://me:secret@{host!s}:{port}/d")
    assert error.found.startswith("a connection pooler that lets no options through")
    assert "ignore_startup_parameters = options in pgbouncer.ini" in error.hint


@pytest.mark.parametrize(
    "query",
    [
        "options=-cno_such_setting%3D1",
        "options=tulip",
        "sslpasword=tulip",
        "connect_timeout=tulip",
        "sslmode=tulip",
    ],
)
def test_a_query_that_postgres_does_not_take_is_told(postgres_url: str, query: str) -> None:
    error = refusal(f"{postgres_url}&{query}")
    assert error.found.startswith("a setting that PostgreSQL does not take")
    assert "what follows the ?" in error.hint


def test_a_database_without_room_is_told_as_such() -> None:
    full = "could not extend file: No space left on device HINT: Check free disk space."
    with _refusing(full, state="53100") as server:
        host, port = server.server_address[:2]
        assert "no space left" in refusal(f"postgresql://me@{host!s}:{port}/d").found


def _refusing(said: str, state: str = "08P01") -> socketserver.ThreadingTCPServer:
    """A server that speaks PostgreSQL's protocol as far as to refuse each connection in these words."""

    class Refusal(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while True:
                length, code = struct.unpack("!ii", self.rfile.read(8))
                self.rfile.read(length - 8)
                if code not in (80877103, 80877104):  # a wish for TLS, or for GSSAPI
                    break
                self.wfile.write(b"N")
            fields = {b"S": b"FATAL", b"C": state.encode(), b"M": said.encode()}
            body = b"".join(name + text + b"\0" for name, text in fields.items()) + b"\0"
            self.wfile.write(b"E" + struct.pack("!i", len(body) + 4) + body)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusal)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
