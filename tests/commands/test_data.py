"""`python -m hpo.data`, as a person types it."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from hpo.data_command import _Progress
from hpo.spec.registries import COMMANDS
from tests.commands.bad_inputs.data import GOOD_CSV
from tests.commands.shell import Answer, Shell

UNBALANCED = "v1;v2\n" + "".join(
    f"{'ham' if number % 8 else 'spam'};message {number}\n" for number in range(160)
)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "data.md"


class Typed:
    """The command in this process, in an empty folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
        self.shell = Shell(folder)
        self._patch, self._capsys = monkeypatch, capsys
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HPO_CACHE", str(folder / "cache"))

    def __call__(self, *arguments: str) -> Answer:
        self._patch.setattr(sys, "argv", ["hpo.data", *arguments])
        code = COMMANDS["data"]()
        said = self._capsys.readouterr()
        return Answer(code, said.out, said.err, 0.0)


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Typed:
    return Typed(tmp_path, monkeypatch, capsys)


def next_of(answer: Answer) -> list[str]:
    """The arguments of the command that it says to type next."""
    line = answer.done().out.splitlines()[-1]
    assert line.startswith("Next       python -m hpo.run")
    return shlex.split(line)[4:]


def parsed_by_run(arguments: Sequence[str]) -> None:
    """Raises where hpo.run would not take them."""
    from hpo.options import OneLineParser, add_study_options, read_spec

    parser = OneLineParser(prog="hpo.run", description="")
    add_study_options(parser)
    read_spec(parser.parse_args(arguments))


def test_the_document_shows_what_the_command_says(look: Typed) -> None:
    answer = look().done()
    example = DOCUMENT.read_text(encoding="utf-8").partition("$ python -m hpo.data\n")[2]
    assert example.partition("```")[0] == answer.out
    assert len(answer.out.splitlines()) <= 24
    assert look.shell.listing() == set()


@pytest.mark.slow
def test_the_same_is_said_by_the_module_and_the_package(shell: Shell) -> None:
    shell.write("my.csv", GOOD_CSV)
    answers = [shell.hpo("data", "my.csv").done(), shell.hpo("", "data", "my.csv").done()]
    assert answers[0].out == answers[1].out
    assert shell.listing() == {"my.csv"}


def test_what_to_type_next_reads_the_data_in_the_same_way(look: Typed) -> None:
    look.shell.write("my spam.csv", UNBALANCED)
    options = [
        "--text-column",
        "v2",
        "--label-column",
        "v1",
        "--set",
        "data.validation_fraction=0.2",
    ]
    found = next_of(look("my spam.csv", *options))
    assert found == shlex.split(
        "--data 'my spam.csv' --text-column v2 --label-column v1 --model gpt2 "
        "--set data.validation_fraction=0.2 --set study.metric=f1_macro --trials 20"
    )
    parsed_by_run(found)


def test_a_metric_that_is_replaced_is_named_once(look: Typed) -> None:
    look.shell.write("my.csv", GOOD_CSV)
    found = next_of(look("my.csv", "--set", "study.metric=rmse"))
    assert [each for each in found if "metric" in each] == ["study.metric=accuracy"]


def test_a_study_is_looked_at_by_its_name_or_file_and_a_path_of_its_name_is_data(
    look: Typed,
) -> None:
    assert next_of(look("multilabel-example")) == ["multilabel-example"]
    look.shell.write("mine.toml", '[data]\nsource = "sst2"\n')
    look.shell.write("sst2/train.csv", GOOD_CSV)
    assert next_of(look("mine.toml")) == ["mine.toml", "--model", "gpt2"]
    assert next_of(look("sst2"))[:2] == ["--data", "sst2"]
    assert next_of(look("multilabel-example", "--data", "demo"))[0] == "multilabel-example"


def test_programs_get_all_of_it(look: Typed) -> None:
    look.shell.write("my.csv", GOOD_CSV)
    answer = look("my.csv", "--json").done()
    found = json.loads(answer.out)
    assert found["files"]["train"] == {
        "place": "my.csv",
        "written": "csv, commas, UTF-8",
        "rows": 40,
        "empty": 0,
    }
    assert found["classes"] == ["bad", "good"]
    assert found["texts"] == {"train": 32, "validation": 4, "test": 4}
    assert found["next"].startswith("python -m hpo.run --data my.csv")
    assert found["metric"] == "accuracy"
    assert set(found["floors"]["words"]) == {"accuracy", "f1_macro"}


@pytest.mark.slow
def test_it_goes_on_in_whatever_encoding_the_terminal_has(shell: Shell) -> None:
    shell.write("my.csv", GOOD_CSV.replace("good", "很好"))
    answer = shell.hpo("data", "my.csv", PYTHONIOENCODING="ascii").done()
    assert "########" in answer.out
    assert "\\u5f88\\u597d" in answer.out


def test_progress_is_told_only_of_what_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with _Progress() as quick:
        quick.at("reading")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("hpo.data_command._SILENT_SECONDS", 0.01)
    said = ""
    with _Progress() as slow:
        slow.at("reading\n")
        until = time.monotonic() + 60
        while not said and time.monotonic() < until:
            said += capsys.readouterr().err
        slow.at("counting")
    assert said + capsys.readouterr().err == "reading\\n …\ncounting …\n"
