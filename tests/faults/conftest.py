"""The campaign's places, and the table of what each fault cost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from hpo.storage.storage import open_storage
from hpo.tracking.local_store import make_local_store, prepare_environment
from tests.faults.crew import Crew, crew, register
from tests.faults.findings import Findings, Result, hold, results
from tests.faults.invariants import examine
from tests.faults.orders import Order
from tests.faults.place import Place, write_data
from tests.storages import started_postgres

# `HPO_FAULTS=full` makes the faults more and longer; without it the campaign fits into CI.
FULL = os.environ.get("HPO_FAULTS") == "full"
UNDISTURBED = 6
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Line:
    """One row of the campaign's table."""

    fault: str
    times: int
    found: Findings

    def counts(self) -> list[int]:
        found = self.found
        faults = (len(found.lost), len(found.doubled), len(found.wrong))
        return [self.times, found.trials, found.attempts, *faults]


_lines = pytest.StashKey[list[Line]]()
Checked = Callable[..., Findings]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_lines] = []


@pytest.fixture(scope="session", autouse=True)
def _import_path() -> None:
    """The fork server imports the crew from the repository's root."""
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)


@pytest.fixture(scope="session")
def _templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with empty stores, the data, and a cache that fills as the scenarios go."""
    folder = tmp_path_factory.mktemp("templates")
    prepare_environment()
    make_local_store(f"sqlite:///{folder}/mlflow.db")
    open_storage(f"sqlite:///{folder}/optuna.db").close()
    write_data(folder / "data")
    return folder


@pytest.fixture
def place(_templates: Path, tmp_path: Path) -> Place:
    """SQLite for the studies, a local store for MLflow, both empty."""
    return _place_in(tmp_path, _templates)


def _place_in(folder: Path, templates: Path) -> Place:
    for name in ("mlflow.db", "optuna.db"):
        shutil.copy(templates / name, folder / name)
    return Place(
        folder,
        f"sqlite:///{folder}/optuna.db",
        f"sqlite:///{folder}/mlflow.db",
        templates / "data",
        templates / "cache",
    )


@pytest.fixture
def postgres_place(place: Place, postgres_server: str) -> Place:
    """PostgreSQL for the studies, a local store for MLflow, both empty."""
    with psycopg.connect(postgres_server.format("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE campaign")
    return replace(place, storage_url=postgres_server.format("campaign"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a running server, for any database in it: `.format("name")`."""
    with started_postgres() as server:
        yield f"postgresql://postgres:@/{{}}?host={server.pgdata}"


@pytest.fixture
def workers() -> Iterator[Crew]:
    with crew() as started:
        yield started


@pytest.fixture
def checked(request: pytest.FixtureRequest) -> Checked:
    """Examine a place, add a row to the table, and fail on anything that was found."""

    def check(place: Place, trials: int, *, fault: str, times: int) -> Findings:
        found = examine(place, trials)
        request.config.stash[_lines].append(Line(fault, times, found))
        hold(found)
        return found

    return check


@pytest.fixture(scope="session")
def undisturbed(_templates: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """What `UNDISTURBED` trials come to where nothing happens."""
    place = _place_in(tmp_path_factory.mktemp("undisturbed"), _templates)
    register(place, UNDISTURBED)
    with crew() as workers:
        workers.run_to_the_end(Order(place))
    return results(place)


def end_in_peace(workers: Crew, place: Place) -> None:
    """What the user does after a crash: the same command again."""
    workers.run_to_the_end(Order(place, finish=True, max_deaths=10**6), seconds=300)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = terminalreporter.config.stash[_lines]
    if not lines:
        return
    terminalreporter.section("fault campaign")
    table = _table(lines)
    terminalreporter.write_line(table)
    target = os.environ.get("HPO_FAULTS_TABLE")
    if target:
        _write(Path(target), table)


def _table(lines: list[Line]) -> str:
    head = "| fault | times | trials | attempts | lost | doubled | wrong |"
    rows = [head, "|---|--:|--:|--:|--:|--:|--:|"]
    counts = [line.counts() for line in lines]
    rows += [_row(line.fault, each) for line, each in zip(lines, counts, strict=True)]
    rows.append(_row("**all**", [sum(column) for column in zip(*counts, strict=True)]))
    return "\n".join(rows)


def _row(name: str, counts: Sequence[int]) -> str:
    return f"| {name} | {' | '.join(f'{count:,}' for count in counts)} |"


def _write(document: Path, table: str) -> None:
    """Put the table between the marks of a document."""
    begin, end = "<!-- campaign -->", "<!-- /campaign -->"
    text = document.read_text(encoding="utf-8")
    head, _, rest = text.partition(begin)
    tail = rest.partition(end)[2]
    document.write_text(f"{head}{begin}\n{table}\n{end}{tail}", encoding="utf-8")
