"""The recipes for contributors, carried out: a package made of them alone, used by the plain commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hpo.demo.grammar import demo_splits
from hpo.spec import registries
from hpo.spec.registry import Registry
from tests.commands.shell import Shell, clean_environment

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "contributing.md"
EXECUTE = """
from hpo.execution.executor import Executor, Job
from hpo.execution.machine_resources import WorkerResources
from hpo.spec.locations import Locations
from my_hpo.executor import Commands

executor: Executor = Commands(1)
jobs = [Job("mine", Locations.of(), WorkerResources(1)) for _ in range(executor.size)]
print("met" if executor.run(jobs, print, lambda: False) else "stopped")
executor.close()
"""


def blocks(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def install(folder: Path) -> None:
    """Write the package of the page as pip would leave it."""
    project = tomllib.loads(blocks("ini")[0])["project"]
    facts = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, members in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in members.items())]
    (facts / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for code in blocks("python"):
        path = folder / code.partition("\n")[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(code, encoding="utf-8")


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A folder with the page's study and some data, where the package is installed."""
    folder = tmp_path_factory.mktemp("mine")
    install(folder / "site")
    rows = [{"text": each.text, "label": each.label} for each in demo_splits()["train"][:80]]
    (folder / "reviews.rows").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "mine.toml").write_text(blocks("ini")[1], encoding="utf-8")
    cache = str(folder / "cache")
    return Shell(folder, {"PYTHONPATH": f"{folder / 'site'}:{ROOT}", "HPO_CACHE": cache})


def test_the_page_has_a_recipe_for_every_registry() -> None:
    groups = {each.group for each in vars(registries).values() if isinstance(each, Registry)}
    assert tomllib.loads(blocks("ini")[0])["project"]["entry-points"].keys() == groups


def test_what_is_added_is_listed_behind_ours(mine: Shell) -> None:
    listed = mine.hpo("", "--help").done().out
    assert "\n  names    list the names of a storage's studies\n" in listed
    refused = mine.hpo("run", "mine.toml", "--set", "training.optimizer=sing")
    assert refused.code == 2
    assert "found 'sing'; expected one of adamw, sgd, " in refused.err
    assert ", schedule_free_adamw, sign. Did you mean sign?" in refused.err


@pytest.mark.slow
def test_a_study_of_recipes_alone_is_searched_by_workers_of_every_kind(mine: Shell) -> None:
    done = mine.hpo("run", "mine.toml", "--workers", "2", "--json", "--quiet").done()
    summary = json.loads(done.out)
    assert summary["trials"]["finished"] == 2
    assert summary["metric"] == "brier"
    values = [entry["value"] for entry in summary["leaderboard"]]
    assert values == sorted(values)
    assert 0 < summary["champion"]["test"]["metrics"]["brier"] < 2
    assert 0.4 < summary["champion"]["baseline"]["brier"] <= 0.5
    assert mine.hpo("", "names").done().out == "mine\n"

    mine.hpo("submit", "mine.toml", "--trials", "3").done()
    executed = subprocess.run(
        [sys.executable, "-c", EXECUTE],
        cwd=mine.folder,
        env={**clean_environment(), **mine.environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert executed.stdout.endswith("met\n"), executed.stderr
    again = mine.hpo("run", "mine.toml", "--trials", "3", "--json", "--quiet").done()
    assert json.loads(again.out)["trials"]["finished"] == 3
