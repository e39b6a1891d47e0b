"""The contract with Optuna: what we write by hand is what it writes itself, and nobody else reaches into it."""

from __future__ import annotations

import ast
import importlib
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial
from sqlalchemy import Engine, create_engine, select

from hpo.storage import optuna_rows, optuna_tables
from hpo.storage.inspected_storage import InspectedStorage
from hpo.storage.optuna_tables import (
    OPTUNA_METADATA,
)
from hpo.storage.storage import Storage, open_storage
from tests.storage.optuna_contract import CONTRACT
from tests.storages import new_database

ROOT = Path(__file__).resolve().parents[2]
INSIDES = {
    "hpo/search/optuna_insides.py",
    "hpo/storage/inspected_storage.py",
    "hpo/storage/optuna_rows.py",
    "hpo/storage/optuna_tables.py",
    "hpo/storage/shape.py",
}
WITH_NEWEST = ("tests/storage/test_optuna_rows.py", "tests/search/test_optuna_insides.py")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(params=["sqlite", "postgres"])
def two_urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two empty databases of one kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/theirs.db", f"sqlite:///{tmp_path}/ours.db"
        return
    server = request.getfixturevalue("postgres_server")
    with ExitStack() as stack:
        yield stack.enter_context(new_database(server)), stack.enter_context(new_database(server))


@pytest.mark.parametrize("operation", CONTRACT)
def test_we_write_the_rows_that_optuna_writes(
    operation: str, two_urls: tuple[str, str], tmp_path: Path
) -> None:
    theirs, ours = CONTRACT[operation]
    optunas = optuna_storage(two_urls[0])
    theirs(optuna_study(optunas), tmp_path)
    with open_storage(two_urls[1]) as storage:
        with storage.write() as connection:
            study_id = optuna_rows.create_study(connection, "study", StudyDirection.MAXIMIZE)
            ours(connection, study_id)
        assert rows_in(storage.engine) == rows_in(optunas.engine)
    optunas.engine.dispose()


def test_enqueued_trials_are_started_as_optuna_starts_them(two_urls: tuple[str, str]) -> None:
    optunas = optuna_storage(two_urls[0])
    study = optuna_study(optunas)
    enqueue(study)
    study.ask()
    with open_storage(two_urls[1]) as storage:
        study = optuna_study(storage.optuna)
        enqueue(study)
        with storage.write() as connection:
            started = optuna_rows.start_waiting_trial(connection, study._study_id)
        assert started == (study.trials[0]._trial_id, 0)
        assert rows_in(storage.engine) == rows_in(optunas.engine)
    optunas.engine.dispose()


def test_a_trial_is_read_as_optuna_reads_it(storage: Storage) -> None:
    study = optuna_study(storage.optuna)
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.report(math.nan, 1)
    trial.set_user_attr("key", "value")
    assert optuna_rows.cached_trial(trial).user_attrs == {"key": "value"}
    assert list(optuna_rows.cached_trial(trial).intermediate_values) == [1]
    study.tell(trial, 0.5)
    with storage.read() as connection:
        read = optuna_rows.frozen_trial(connection, trial._trial_id)
    assert repr(read) == repr(study.trials[0])  # NaN is not equal to itself
    assert optuna_rows.trial_id_of(read) == trial._trial_id


def test_a_subclass_sees_what_optuna_reads_of_a_study(sqlite_url: str) -> None:
    seen: list[int] = []

    class NothingShown(InspectedStorage):
        def inspect_trials(
            self, study_id: int, read: Callable[[], list[FrozenTrial]]
        ) -> list[FrozenTrial]:
            seen.append(len(read()))
            return []

    optuna_study(RDBStorage(sqlite_url)).ask()
    assert optuna.load_study(study_name="study", storage=NothingShown(sqlite_url)).trials == []
    assert seen == [1]


def test_what_is_not_there_is_told_in_optunas_words(sqlite_storage: Storage) -> None:
    with pytest.raises(KeyError) as caught:
        sqlite_storage.optuna.get_trial(1)
    assert optuna_rows.is_not_found(caught.value)
    assert optuna_rows.is_not_found(optuna_rows.not_found())
    assert not optuna_rows.is_not_found(KeyError("x"))


def sources() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "hpo").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name not in INSIDES:
            yield name, path.read_text("utf-8")


def test_no_other_module_names_optunas_insides() -> None:
    private = re.compile(r"\b(optuna(\.\w+)*\._\w+|_rdb|NOT_FOUND_MSG)\b")
    reaching = [
        (name, found[0]) for name, source in sources() for found in private.finditer(source)
    ]
    assert reaching == []


def test_no_other_module_uses_private_attributes_of_optunas_objects() -> None:
    names = {
        attribute
        for kind in (Study, Trial, FrozenTrial, RDBStorage, BaseSampler, BasePruner)
        for attribute in private_names(kind)
    }
    assert {"_study_id", "_trial_id", "_cached_frozen_trial", "_storage"} <= names
    reaching = [
        (name, node.attr)
        for name, source in sources()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and node.attr in names
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]
    assert reaching == []


def test_no_other_class_overrides_private_methods_of_optunas() -> None:
    for module in ("search.samplers", "search.grid", "search.pruners", "storage.storage"):
        importlib.import_module(f"hpo.{module}")
    ours = [
        kind
        for root in (BaseSampler, BasePruner, RDBStorage)
        for kind in subclasses(root)
        if kind.__module__.startswith("hpo.")
        and f"{kind.__module__.replace('.', '/')}.py" not in INSIDES
    ]
    assert len(ours) >= 4
    for kind in ours:
        inherited = {
            name
            for base in kind.__mro__[1:]
            if base.__module__.startswith("optuna.")
            for name in private_names(base)
        }
        assert not inherited & vars(kind).keys(), kind


def test_no_other_module_writes_into_optunas_tables() -> None:
    tables = {name for name in vars(optuna_tables) if name.isupper()}
    writing = [
        (name, ast.unparse(node))
        for name, source in sources()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", None) in ("insert", "update", "delete", "upsert")
        and tables & {each.id for each in node.args if isinstance(each, ast.Name)}
    ]
    assert writing == []


@pytest.mark.newest_optuna
@pytest.mark.timeout(900)
def test_the_contract_holds_with_the_newest_optuna(tmp_path: Path) -> None:
    """Its release from the package index, with everything else as it is here."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    newest = [*pip, "--no-deps", "--target", str(tmp_path), "optuna"]
    installed = subprocess.run(newest, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"no Optuna from the package index: {installed.stderr.strip()[-300:]}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    tests = [sys.executable, "-m", "pytest", "-m", "not newest_optuna", *WITH_NEWEST]
    place = [sys.executable, "-c", "import optuna; print(optuna.__file__)"]
    found = subprocess.run(place, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert found.stdout.startswith(str(tmp_path))
    done = subprocess.run(tests, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def optuna_storage(url: str) -> RDBStorage:
    return RDBStorage(url)


def optuna_study(storage: Any) -> Study:
    return optuna.create_study(
        study_name="study", storage=storage, direction="maximize", sampler=RandomSampler(seed=0)
    )


def enqueue(study: Study) -> None:
    for value in (0.25, 0.5):
        study.enqueue_trial({"x": value})


def rows_in(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all of Optuna's tables, times and random ids aside."""
    reading = create_engine(engine.url)
    with reading.connect() as connection:
        rows = {
            table.name: [
                tuple(map(_aside, row))
                for row in connection.execute(select(table).order_by(*table.primary_key))
            ]
            for table in OPTUNA_METADATA.sorted_tables
        }
    reading.dispose()
    return rows


def _aside(value: object) -> object:
    if isinstance(value, datetime):
        return "a time"
    return UUID.sub("an id", value) if isinstance(value, str) else value


def private_names(kind: type) -> set[str]:
    """The private names of a class and its bases, and those that its methods give to `self`."""
    names = set()
    for base in kind.__mro__:
        if base.__module__.startswith("optuna."):
            source = Path(sys.modules[base.__module__].__file__ or "").read_text("utf-8")
            found = re.findall(r"\bself\.(_[a-z]\w*)", source)
            names |= {*found, *(name for name in vars(base) if re.match(r"_(?!abc_)[a-z]", name))}
    return names


def subclasses(kind: type) -> set[type]:
    return {each for child in kind.__subclasses__() for each in (child, *subclasses(child))}
