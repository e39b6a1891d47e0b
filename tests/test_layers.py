"""The map holds: who may import whom, one door per dependency, and commands that answer at once."""

from __future__ import annotations

import ast
import graphlib
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

from hpo.spec.registries import COMMANDS

ROOT = Path(__file__).resolve().parents[1]

COMMAND_MODULES = {COMMANDS[command].__module__ for command in COMMANDS.ours}

# From the ground up; a module imports only from its own layer and those before it.
LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "hpo.errors",
        "hpo.demo",
        "hpo.atomic",
        "hpo.closing",
        "hpo.digests",
        "hpo.documents",
        "hpo.formats",
        "hpo.postgres_greeting",
        "hpo.printable",
        "hpo.redaction",
        "hpo.version",
        "hpo.waiting",
        "hpo.wrapping",
    ),
    ("hpo.spec",),
    ("hpo.data",),
    ("hpo.tasks",),
    ("hpo.model",),
    ("hpo.training",),
    ("hpo.outbox",),
    ("hpo.tracking",),
    ("hpo.search",),
    ("hpo.storage",),
    ("hpo.studies",),
    ("hpo.leases",),
    ("hpo.results",),
    ("hpo.runtime",),
    ("hpo.execution",),
    (
        "hpo.completion",
        "hpo.help",
        "hpo.links",
        "hpo.log_level",
        "hpo.model_option",
        "hpo.moving",
        "hpo.options",
        "hpo.quiet",
        "hpo.replaying",
        "hpo.study_state",
        "hpo.terminal",
    ),
    ("hpo.api",),
    (*sorted(COMMAND_MODULES), "hpo.__main__"),
)
HEIGHT = {part: height for height, layer in enumerate(LAYERS) for part in layer}

# Names of GPT-2's own parts, as they stand in its checkpoints.
INNER_NAMES = re.compile(r"\b(c_attn|c_proj|c_fc|ln_1|ln_2|ln_f|wte|wpe)\b|\btransformer\.h\b")
STORAGE_MAKERS = {
    "create_engine",
    "engine_from_config",
    "create_async_engine",
    "RDBStorage",
    "get_storage",
    "JournalStorage",
    "InMemoryStorage",
    "GrpcStorageProxy",
    "run_grpc_proxy_server",
}
HEAVY = re.findall(
    r"\w+",
    "datasets mlflow numpy optuna pandas pydantic rich scipy sklearn sqlalchemy torch transformers",
)


@cache
def sources() -> dict[Path, ast.Module]:
    files = sorted((ROOT / "hpo").rglob("*.py"))
    return {path.relative_to(ROOT): ast.parse(path.read_bytes()) for path in files}


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def part_of(module: str) -> str:
    """The layer's part that a module belongs to: `hpo.spec.study` to `hpo.spec`.

    A package's `__main__` hands over to a command, and is one, wherever it lies.
    """
    if module.endswith(".__main__"):
        return "hpo.__main__"
    return ".".join(module.split(".")[:2])


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that is imported anywhere in a file, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written out in full"
            assert node.module
            if node.module == "hpo":
                yield from ((f"hpo.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module, node.lineno


def files_that_import(package: str) -> set[str]:
    return {
        path.as_posix()
        for path, tree in sources().items()
        if any(name == package or name.startswith(f"{package}.") for name, _ in imports(tree))
    }


def test_every_module_has_its_layer() -> None:
    parts = {part_of(module_name(path)) for path in sources()} - {"hpo"}
    assert parts == HEIGHT.keys()


def test_a_module_imports_only_from_its_own_layer_and_those_below() -> None:
    against = []
    for path, tree in sources().items():
        importer = part_of(module_name(path))
        for imported, line in imports(tree):
            if part_of(imported) in HEIGHT and importer in HEIGHT:
                same_part = part_of(imported) == importer
                if HEIGHT[part_of(imported)] > HEIGHT[importer] and not same_part:
                    against.append(f"{path}:{line} imports {imported}")
    assert not against, "\n".join(against)


def test_no_module_imports_itself_by_way_of_others() -> None:
    modules = {module_name(path): tree for path, tree in sources().items()}
    imported = {
        module: {
            found
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for found in modules_named_by(node, modules)
        }
        for module, tree in modules.items()
    }
    graphlib.TopologicalSorter(imported).prepare()  # raises CycleError, which names the circle


def modules_named_by(node: ast.Import | ast.ImportFrom, known: Collection[str]) -> Iterator[str]:
    """Those of our modules that an import brings in; a package's own file where it takes a name of it."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield from {alias.name} & set(known)
        elif f"{node.module}.{alias.name}" in known:
            yield f"{node.module}.{alias.name}"
        elif node.module in known:
            yield node.module


LONGEST_FILE = 350
# Tables of cases, and the grammar of the demo's reviews, which are read one entry at a time.
TABLES = {"hpo/demo/grammar.py"}


def test_no_file_is_too_long_for_one_sitting() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): path.read_bytes().count(b"\n")
        for folder in ("hpo", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    }
    long = {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE}
    tables = {
        path for path in long if path in TABLES or path.startswith("tests/commands/bad_inputs/")
    }
    assert long.keys() <= tables, long


def test_commands_do_not_import_each_other() -> None:
    for path, tree in sources().items():
        if path.name == "__main__.py":
            continue
        others = COMMAND_MODULES - {module_name(path)}
        assert not others & {name for name, _ in imports(tree)}, path


@pytest.mark.parametrize("ground", ["hpo.printable", "hpo.errors", "hpo.demo"])
def test_the_ground_imports_nothing_of_ours(ground: str) -> None:
    for path, tree in sources().items():
        if part_of(module_name(path)) == ground:
            ours = {part_of(name) for name, _ in imports(tree) if name.startswith("hpo")}
            # An error is told in one line and without secrets, so that errors stand on what sees to that.
            below = {"hpo.printable", "hpo.redaction"} if ground == "hpo.errors" else set()
            assert ours <= {ground, *below}, path


def test_a_trial_knows_nothing_of_studies_storages_and_processes() -> None:
    for path, tree in sources().items():
        if part_of(module_name(path)) == "hpo.training":
            outside = {name.partition(".")[0] for name, _ in imports(tree)}
            assert not outside & {"optuna", "mlflow", "sqlalchemy", "multiprocessing"}, path


def test_only_tracking_knows_mlflow() -> None:
    assert {Path(path).parent.as_posix() for path in files_that_import("mlflow")} == {
        "hpo/tracking"
    }


def test_only_one_module_knows_the_datasets_library() -> None:
    assert files_that_import("datasets") == {"hpo/data/hub.py"}


def test_only_the_command_layer_draws() -> None:
    assert files_that_import("rich") == {"hpo/terminal.py"}


def test_only_one_module_opens_storages() -> None:
    makers = {
        path.as_posix()
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", None)) in STORAGE_MAKERS
    }
    # The outbox's ledger is a file of its own, which no storage knows.
    assert makers == {"hpo/storage/storage.py", "hpo/outbox/ledger.py"}


def test_only_one_module_parses_documents_whose_depth_nobody_knows() -> None:
    parsing = {
        path.as_posix()
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("json.load", "json.loads", "tomllib.load", "tomllib.loads")
        # What was written out a moment ago, for its plain form, is our own.
        and "dump" not in ast.unparse(node.args[0])
    }
    # A model is served where our package is not.
    assert parsing == {"hpo/documents.py", "hpo/tracking/served_classifier.py"}


def test_only_one_module_knows_the_inner_names_of_gpt2() -> None:
    knowing = set()
    for path, tree in sources().items():
        words = [
            getattr(node, field)
            for node in ast.walk(tree)
            for field in ("id", "attr", "arg", "name", "value")
            if isinstance(getattr(node, field, None), str)
        ]
        if any(INNER_NAMES.search(word) for word in words):
            knowing.add(path.as_posix())
    assert knowing == {"hpo/model/gpt2.py"}


def test_only_the_place_that_chooses_a_family_knows_gpt2() -> None:
    assert files_that_import("hpo.model.gpt2") == {"hpo/model/families.py"}
    naming = {
        path.as_posix()
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value == "score.weight"
    }
    assert naming == {"hpo/model/gpt2.py"}


def modules_loaded_by(*arguments: str) -> set[str]:
    """The top-level packages that a Python process imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    names = re.findall(r"^import time:.*\|\s*(\S+)$", done.stderr, re.MULTILINE)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("command", [f"hpo.{command}" for command in COMMANDS.ours] + ["hpo"])
def test_help_needs_no_heavy_library(command: str) -> None:
    assert not modules_loaded_by("-m", command, "--help") & set(HEAVY)


@pytest.mark.parametrize("module", ["hpo", "hpo.errors", "hpo.options", "hpo.terminal"])
def test_what_commands_begin_with_loads_no_heavy_library(module: str) -> None:
    assert not modules_loaded_by("-c", f"import {module}") & set(HEAVY)


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("hpo.spec.study_file", {"torch", "optuna", "mlflow", "transformers", "numpy"}),
        ("hpo.outbox.outbox", {"torch", "optuna", "mlflow", "transformers"}),
        ("hpo.tasks.metrics", {"torch", "optuna", "mlflow", "transformers", "sklearn"}),
        ("hpo.tracking", {"torch", "optuna", "mlflow", "transformers"}),
        ("hpo.data.dataset", {"torch", "optuna", "mlflow", "transformers", "datasets"}),
        ("hpo.runtime.events", {"torch", "optuna", "mlflow", "transformers"}),
    ],
)
def test_a_layer_loads_a_heavy_library_only_once_it_is_needed(
    module: str, without: set[str]
) -> None:
    assert not modules_loaded_by("-c", f"import {module}") & without


def test_the_time_that_help_takes_is_measured(record_property: pytest.RecordProperty) -> None:
    """Shown by `pytest -rP`; not held to a limit, for the machine may be busy with other things."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "hpo.run", "--help"],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "80"},
            capture_output=True,
            check=True,
            timeout=60,
        )
        seconds.append(time.perf_counter() - started)
    median = statistics.median(seconds)
    record_property("help_seconds", round(median, 3))
    print(f"--help: {median:.3f} s, the median of {len(seconds)}")
