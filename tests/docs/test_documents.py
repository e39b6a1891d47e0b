"""The documents say what is so: tables are current, links lead somewhere, examples work."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from hpo.search.plugins import accepted_options
from hpo.search.pruners import make_pruner
from hpo.search.samplers import make_sampler
from hpo.spec import registries
from hpo.spec.reference import DOCUMENTS, PRUNERS, SAMPLERS, filled, study_keys
from hpo.spec.registries import COMMANDS
from hpo.spec.space import FloatRange, IntRange
from hpo.spec.study import PrunerChoice, SamplerChoice
from hpo.spec.study_file import known_studies, read_study

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
VALUES = {"int": 3, "int | None": 3, "float": 0.5, "float | None": 0.5, "bool": True}


def blocks(path: Path, language: str) -> list[str]:
    """The fenced examples of a language in a page."""
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def examples(language: str) -> list[pytest.ParameterSet]:
    return [
        pytest.param(block, id=f"{page.name}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page, language), start=1)
    ]


@cache
def help_of(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", command, "--help"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_the_generated_tables_are_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert filled(text) == text, "`make docs` writes them anew"


def test_the_readme_lists_every_key_of_a_study_file() -> None:
    text = README.read_text(encoding="utf-8")
    assert all(f"| `{key.section}.{key.name}` |" in text for key in study_keys())


def test_every_key_of_a_study_file_says_what_it_means() -> None:
    assert all(key.meaning and key.kind and key.default for key in study_keys())


def test_an_unknown_marker_is_told() -> None:
    with pytest.raises(ValueError, match="no block is called 'nothing'"):
        filled("<!-- begin nothing -->\n<!-- end nothing -->")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    targets = [match["target"] for match in LINK.finditer(text)]
    local = [target.partition("#")[0] for target in targets if "://" not in target]
    missing = [target for target in local if target and not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("example", examples("toml"))
def test_a_study_file_in_the_documents_can_be_read(example: str, tmp_path: Path) -> None:
    path = tmp_path / "example.toml"
    path.write_text(example, encoding="utf-8")
    assert read_study(path)


@pytest.mark.parametrize("example", examples("python"))
def test_python_in_the_documents_parses(example: str) -> None:
    assert ast.parse(example).body


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_documents_exist_with_their_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for command, rest in re.findall(r"python3? -m (hpo\.\w+)((?: [^`\n|]*)?)", text):
        if command.removeprefix("hpo.") not in COMMANDS.ours:
            continue
        for option in re.findall(r"(?<!\S)--[a-z-]+", rest):
            assert option in help_of(command), f"{command} {option}"


def test_the_readme_tells_of_every_command() -> None:
    text = README.read_text(encoding="utf-8")
    assert all(f"`python -m hpo.{command}" in text for command in COMMANDS.ours)


@pytest.mark.parametrize("command", ["hpo", *(f"hpo.{command}" for command in COMMANDS.ours)])
def test_every_command_explains_itself(command: str) -> None:
    assert help_of(command).startswith("usage: ")


def test_the_readme_tells_of_every_environment_variable() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "hpo").rglob("*.py"))
    read_in_code = set(re.findall(r'"(HPO_[A-Z_]+)"', code))
    assert read_in_code
    assert set(re.findall(r"\bHPO_[A-Z_]+\b", README.read_text(encoding="utf-8"))) >= read_in_code


def test_the_readme_names_the_studies_that_there_are() -> None:
    text = README.read_text(encoding="utf-8")
    packaged = {path.stem for path in (ROOT / "studies").glob("*.toml")}
    assert packaged <= set(known_studies())
    assert all(f"`{name}`" in text for name in packaged)


def test_the_readme_begins_with_the_two_commands() -> None:
    first = blocks(README, "sh")[0].splitlines()
    assert [line.split("#")[0].strip() for line in first] == ["make run", "make test"]


def test_the_plain_lines_of_the_readme_do_what_make_does() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = blocks(README, "sh")[1].splitlines()
    assert lines[0].endswith("-m venv .venv")
    for lock in ("torch-cpu.lock", "torch-cuda.lock", "requirements.lock"):
        assert any(f"install --no-deps -r {lock}" in line for line in lines)
        assert f"install -qq --no-deps -r {lock}" in makefile
    assert any("--no-deps --editable ." in line for line in lines)
    assert "install -qq --no-deps --editable ." in makefile


def test_every_sampler_and_pruner_is_described() -> None:
    assert set(SAMPLERS) == set(registries.SAMPLERS.ours)
    assert set(PRUNERS) == set(registries.PRUNERS.ours)


@pytest.mark.parametrize("name", registries.SAMPLERS.ours)
def test_the_options_of_a_sampler_are_those_that_it_takes(name: str) -> None:
    from optuna import samplers

    facts = SAMPLERS[name]
    if name == "grid":
        assert facts.options == ()
        return
    optunas = getattr(samplers, facts.optuna_class)
    assert set(facts.options) == accepted_options(optunas, registries.SAMPLERS[name].ours).keys()
    space = {"learning_rate": FloatRange(1e-5, 1e-3, log=True), "epochs": IntRange(1, 3)}
    assert make_sampler(SamplerChoice(name=name), space, seed=0)


@pytest.mark.parametrize("name", registries.PRUNERS.ours)
def test_the_options_of_a_pruner_are_those_that_it_takes(name: str) -> None:
    from optuna import pruners

    facts = PRUNERS[name]
    accepted = accepted_options(getattr(pruners, facts.optuna_class), {"max_resource"})
    if name in ("hyperband", "successive_halving"):
        accepted |= {"n_startup_trials": "int", "min_resource": "int"}
    if name == "patient":
        accepted |= {"wrapped": "str"}
    assert set(facts.options) == accepted.keys()
    given = {option: VALUES[kind] for option, kind in accepted.items() if kind in VALUES}
    choice = PrunerChoice.model_validate({"name": name, **given})
    assert make_pruner(choice, max_resource=20, evaluations_per_epoch=4)


@pytest.mark.slow
def test_your_own_data_takes_five_lines(tmp_path: Path) -> None:
    """The example of the README, with the embedded model in place of one from the hub."""
    example = next(block for block in blocks(README, "sh") if "reviews.csv" in block).splitlines()
    assert len(example) == 5
    table = example[1:-1]
    command = example[-1].removeprefix("$ python -m ").split()
    command[command.index("gpt2")] = "demo"
    command[command.index("--trials") + 1] = "1"
    rows = [f"{n} {row}" for n in range(40) for row in table[1:]]
    (tmp_path / "reviews.csv").write_text("\n".join([table[0], *rows]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", *command, "--workers", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HPO_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Champion: models:/reviews-demo@champion" in done.stdout
