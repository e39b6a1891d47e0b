"""`python -m hpo.ensemble`: what it refuses before anything slow, and an ensemble from a real study."""

from __future__ import annotations

import json

import pytest

from tests.commands.shell import TINY_STUDY, Shell


@pytest.fixture(autouse=True)
def study_file(shell: Shell) -> None:
    shell.write("tiny.toml", TINY_STUDY)


def test_a_name_nearly_right(shell: Shell) -> None:
    shell.hpo("submit", "tiny.toml", "--no-check").done()
    answer = shell.hpo("ensemble", "tinny", "--method", "vote")
    assert answer.code == 2
    assert "found no study tinny; expected one of tiny. Did you mean tiny?" in answer.err
    answer = shell.hpo("ensemble", "tiny", "--method", "vote")
    assert answer.code == 2
    assert "study tiny: found no complete trial" in answer.err


def test_no_storage_yet(shell: Shell) -> None:
    before = set(shell.contents())
    answer = shell.hpo("ensemble", "tiny", "--method", "vote")
    assert answer.code == 2
    assert "expected a study that was submitted" in answer.err
    assert set(shell.contents()) == before


@pytest.mark.parametrize(
    "options", [[], ["--method", "voting"], ["--method", "vote", "--size", "1"]]
)
def test_options_that_say_nothing(shell: Shell, options: list[str]) -> None:
    answer = shell.hpo("ensemble", "tiny", *options)
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1


@pytest.mark.slow
def test_a_study_and_its_ensemble(shell: Shell) -> None:
    shell.hpo("run", "tiny.toml", "--workers", "1").done()
    told = shell.hpo("ensemble", "tiny", "--method", "greedy", "--json").done()
    facts = json.loads(told.out)
    assert facts["method"] == "greedy"
    assert facts["times_tested"] == 2
    again = shell.hpo("run", "tiny.toml", "--workers", "1").done()
    assert "Ensemble (greedy) of trial" in again.out
    assert "models:/tiny@ensemble" in again.out
    promoted = shell.hpo("ensemble", "tiny", "--method", "vote", "--size", "2", "--promote").done()
    assert "models:/tiny@champion" in promoted.out
    assert "look 3 at them" in promoted.out
