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
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import Connection, Engine, create_engine, select

from hpo.storage import optuna_rows, optuna_tables
from hpo.storage.optuna_tables import (
    OPTUNA_METADATA,
    STUDY_SYSTEM_ATTRIBUTES,
    STUDY_USER_ATTRIBUTES,
    TRIAL_SYSTEM_ATTRIBUTES,
    TRIAL_USER_ATTRIBUTES,
)
from hpo.storage.storage import Storage, open_storage
from tests.storages import new_database

ROOT = Path(__file__).resolve().parents[2]
INSIDES = {
    "hpo/search/optuna_insides.py",
    "hpo/storage/optuna_rows.py",
    "hpo/storage/optuna_tables.py",
}
WITH_NEWEST = ("tests/storage/test_optuna_rows.py", "tests/search/test_optuna_insides.py")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LONG_NOTE, SHORT_NOTE = "Ein Wort für § 5. " * 300, "kurz"
DRAWING = "drawing.svg"


@pytest.fixture(params=["sqlite", "postgres"])
def two_urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two empty databases of one kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/theirs.db", f"sqlite:///{tmp_path}/ours.db"
        return
    server = request.getfixturevalue("postgres_server")
    with ExitStack() as stack:
        yield stack.enter_context(new_database(server)), stack.enter_context(new_database(server))


Theirs = Callable[[Study, Path], None]
Ours = Callable[[Connection, int], None]
CONTRACT: dict[str, tuple[Theirs, Ours]] = {}


def ours_and(theirs: Theirs) -> Callable[[Ours], Ours]:
    """Note what Optuna does and what we do to the same end, both with a study that is there."""

    def note(ours: Ours) -> Ours:
        CONTRACT[theirs.__name__.removeprefix("optunas_")] = (theirs, ours)
        return ours

    return note


def running(connection: Connection, study_id: int) -> int:
    return optuna_rows.create_trial(connection, study_id)[0]


def optunas_study(study: Study, folder: Path) -> None: ...


@ours_and(optunas_study)
def _(connection: Connection, study_id: int) -> None: ...


def optunas_metric_names(study: Study, folder: Path) -> None:
    study.set_metric_names(["accuracy"])


@ours_and(optunas_metric_names)
def _(connection: Connection, study_id: int) -> None:
    optuna_rows.set_metric_name(connection, study_id, "accuracy")


def optunas_ask(study: Study, folder: Path) -> None:
    study.ask()
    study.ask()


@ours_and(optunas_ask)
def _(connection: Connection, study_id: int) -> None:
    assert optuna_rows.start_waiting_trial(connection, study_id) is None
    assert optuna_rows.create_trial(connection, study_id)[1] == 0
    assert optuna_rows.create_trial(connection, study_id)[1] == 1


REPORTS = {1: 0.5, 2: math.nan, 3: math.inf, 4: -math.inf}


def optunas_report(study: Study, folder: Path) -> None:
    trial = study.ask()
    for step, value in REPORTS.items():
        trial.report(value, step)


@ours_and(optunas_report)
def _(connection: Connection, study_id: int) -> None:
    trial_id = running(connection, study_id)
    for step, value in REPORTS.items():
        optuna_rows.report(connection, trial_id, step, value)
    optuna_rows.report(connection, trial_id, 9, 1.0)
    optuna_rows.forget_reports_after(connection, trial_id, 8)


def optunas_complete(study: Study, folder: Path) -> None:
    study.tell(study.ask(), 0.75)
    study.tell(study.ask(), math.inf)


@ours_and(optunas_complete)
def _(connection: Connection, study_id: int) -> None:
    for value in (0.75, math.inf):
        trial_id = running(connection, study_id)
        assert optuna_rows.tell(connection, trial_id, TrialState.COMPLETE, value)
        assert not optuna_rows.tell(connection, trial_id, TrialState.COMPLETE, 0.5)


def optunas_pruned(study: Study, folder: Path) -> None:
    for value in (0.25, math.nan):
        trial = study.ask()
        trial.report(0.5, 1)
        trial.report(value, 2)
        study.tell(trial, state=TrialState.PRUNED)
    study.tell(study.ask(), state=TrialState.PRUNED)


@ours_and(optunas_pruned)
def _(connection: Connection, study_id: int) -> None:
    for value in (0.25, math.nan):
        trial_id = running(connection, study_id)
        optuna_rows.report(connection, trial_id, 1, 0.5)
        optuna_rows.report(connection, trial_id, 2, value)
        optuna_rows.tell(connection, trial_id, TrialState.PRUNED, None)
    optuna_rows.tell(connection, running(connection, study_id), TrialState.PRUNED, None)


def optunas_fail(study: Study, folder: Path) -> None:
    study.tell(study.ask(), state=TrialState.FAIL)


@ours_and(optunas_fail)
def _(connection: Connection, study_id: int) -> None:
    optuna_rows.tell(connection, running(connection, study_id), TrialState.FAIL, None)


VALUES: tuple[Any, ...] = ("für", {"a": [1, 2.5, None, True]}, math.inf)


def optunas_attributes(study: Study, folder: Path) -> None:
    trial = study.ask()
    for number, value in enumerate(VALUES):
        study.set_user_attr(f"key {number}", value)
        trial.set_user_attr(f"key {number}", value)
        trial.storage.set_study_system_attr(study._study_id, f"key {number}", value)
        trial.storage.set_trial_system_attr(trial._trial_id, f"key {number}", value)


@ours_and(optunas_attributes)
def _(connection: Connection, study_id: int) -> None:
    trial_id = running(connection, study_id)
    for number, value in enumerate(VALUES):
        for table, owner_id in (
            (STUDY_USER_ATTRIBUTES, study_id),
            (TRIAL_USER_ATTRIBUTES, trial_id),
            (STUDY_SYSTEM_ATTRIBUTES, study_id),
            (TRIAL_SYSTEM_ATTRIBUTES, trial_id),
        ):
            optuna_rows.set_attribute(connection, table, owner_id, f"key {number}", value)


def optunas_attribute_set_again(study: Study, folder: Path) -> None:
    trial = study.ask()
    for value in VALUES:
        trial.set_user_attr("key", value)
        trial.report(0.25, 1)
    trial.report(0.5, 1)


@ours_and(optunas_attribute_set_again)
def _(connection: Connection, study_id: int) -> None:
    trial_id = running(connection, study_id)
    for value in VALUES:
        optuna_rows.set_attribute(connection, TRIAL_USER_ATTRIBUTES, trial_id, "key", value)
    # A value of the same step replaces the one before; Optuna drops it, and we go on from a checkpoint.
    optuna_rows.report(connection, trial_id, 1, 0.5)
    optuna_rows.report(connection, trial_id, 1, 0.25)


def optunas_artifacts(study: Study, folder: Path) -> None:
    store, trial = FileSystemArtifactStore(folder), study.ask()
    (folder / DRAWING).write_text("<svg/>")
    upload_artifact(artifact_store=store, file_path=str(folder / DRAWING), study_or_trial=study)
    upload_artifact(artifact_store=store, file_path=str(folder / DRAWING), study_or_trial=trial)


@ours_and(optunas_artifacts)
def _(connection: Connection, study_id: int) -> None:
    trial_id = running(connection, study_id)
    for table, owner_id in (
        (STUDY_SYSTEM_ATTRIBUTES, study_id),
        (TRIAL_SYSTEM_ATTRIBUTES, trial_id),
    ):
        first, again = (
            optuna_rows.attach_artifact(connection, table, owner_id, DRAWING, "image/svg+xml")
            for _ in range(2)
        )
        assert first == again


def optunas_notes(study: Study, folder: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    trial = study.ask()
    for body in (LONG_NOTE, SHORT_NOTE):
        dashboard.save_note(study, body)
        dashboard.save_note(trial, body)


@ours_and(optunas_notes)
def _(connection: Connection, study_id: int) -> None:
    trial_id = running(connection, study_id)
    for body in (LONG_NOTE, SHORT_NOTE):
        for about in (None, trial_id):
            optuna_rows.write_note(connection, study_id, about, body)
            assert optuna_rows.read_note(connection, study_id, about) == body


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

    class NothingShown(optuna_rows.InspectedStorage):
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
