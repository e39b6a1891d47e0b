"""Messages name arguments to a program's author, whatever option the code beneath speaks of."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.api.settings import Settings
from hpo.api.wording import ARGUMENTS, in_python

ROOT = Path(__file__).resolve().parents[2]
# Commands, what only they use, and what writes the documentation and the demo's model.
OF_COMMANDS = re.compile(
    r"hpo/[^/]+\.py|hpo/execution/(checkup|dashboard|servers|study_run)\.py|hpo/demo/.*|hpo/spec/reference\.py"
)
# What has no argument of its own, or is of a command that only commands name, or of MLflow's.
BEYOND = {"--set", "--replay", "--json", "--backend-store-uri"}
OPTION = re.compile(r"--[a-z]+(?:-[a-z]+)*")


def texts_that_name_options() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "hpo").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if OF_COMMANDS.fullmatch(name) or name == "hpo/api/wording.py":
            continue
        tree = ast.parse(path.read_bytes())
        described = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and OPTION.search(text) and id(node) not in described:
                yield f"{name}:{node.lineno}", text


TEXTS = dict(texts_that_name_options())


def test_every_option_that_a_message_names_has_its_argument() -> None:
    assert len(TEXTS) > 40
    for where, text in TEXTS.items():
        for option in OPTION.findall(re.sub(r"`[^-`][^`]*`", "", text)):
            assert option in ARGUMENTS or option in BEYOND, (where, text)


def test_every_argument_is_one() -> None:
    taken = set(Settings.__annotations__) | {"data"}
    for function in (hpo.Study.__init__, hpo.Study.run, hpo.Study.report, hpo.Study.ensemble):
        taken |= set(inspect.signature(function).parameters)
    assert {argument.removesuffix("=True") for argument in ARGUMENTS.values()} <= taken


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("--text-column: found", "text_column: found"),
        ("--set training.epochs", "training.epochs"),
        ("--set training.epochs: training", "training.epochs: training"),
        ("Write e.g. --set training.epochs=2.", 'Write e.g. settings={"training.epochs": 2}.'),
        ("Leave it out, or add --set a.b=tpe.", 'Leave it out, or add settings={"a.b": "tpe"}.'),
        ("Write e.g. `--workers 2`.", "Write e.g. `workers=2`."),
        ("Perhaps `--text-column 2`?", 'Perhaps `text_column="2"`?'),
        ("Write e.g. `--enqueue '{\"a\": 3e-5}'`.", 'Write e.g. `points=[{"a": 3e-5}]`.'),
        ("Name another, or add --overwrite.", "Name another, or add overwrite=True."),
        ("`python -m hpo.doctor --flush` sends it.", "`python -m hpo.doctor --flush` sends it."),
    ],
)
def test_a_message_reads_as_a_call(said: str, read: str) -> None:
    assert in_python(said) == read


@given(st.lists(st.sampled_from([*TEXTS.values(), "`", "'", "--set", "`--data", " ", "x"])))
def test_no_text_is_too_odd_to_be_told(texts: list[str]) -> None:
    in_python(" ".join(texts))


TABLE = pd.DataFrame({"text": ["a joy", "dull"] * 20, "label": ["good", "bad"] * 20})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"text_column": "txt"}, 'Perhaps `text_column="text"`?'),
        ({"label_column": "text", "text_column": "text"}, "with text_column or label_column."),
        ({"trials": 0}, "trials: found 0"),
        ({"settings": {"training.epochs": 0}}, "training.epochs: found 0"),
        ({"name": "a/b\n"}, "name: found"),
    ],
)
def test_a_program_is_told_of_its_own_arguments(
    arguments: Settings, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(hpo.HpoError) as raised:
        hpo.Study(TABLE, **arguments).run(workers=1)
    assert words in str(raised.value)
    assert not OPTION.search(str(raised.value))


def test_an_output_that_exists_is_told_of_by_its_argument(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.touch()
    with pytest.raises(hpo.HpoError, match=r"^path: found .*, or add overwrite=True\.$"):
        hpo.Study().report(page)
