"""`hpo.studies rename`: a study that was searched, confirmed and promoted goes on under another name, all the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.shell import TINY_STUDY, Shell
from tests.commands.stores import embedded_uri, facts
from tests.tracking.reading import client, runs

pytestmark = pytest.mark.slow

CONFIRMED = TINY_STUDY.replace("seeds = 0", "seeds = 1\ntop = 1")
RUN = ("run", "tiny.toml", "--name=better", "--workers=1", "--quiet")


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Shell:
    """A finished study of two trials and a training that confirms the best, under its new name."""
    shell = Shell(tmp_path_factory.mktemp("renamed"), {"HPO_CACHE": str(cache)})
    shell.write("tiny.toml", CONFIRMED)
    shell.hpo("run", "tiny.toml", "--trials=2", "--workers=1", "--quiet").done()
    told = json.loads(shell.hpo("studies", "rename", "tiny", "better", "--json").done().out)
    assert (told["study"], told["formerly"], told["registered_model"]) == ("better", "tiny", "tiny")
    assert told["mlflow_runs"] == 5
    return shell


def test_a_finished_study_answers_and_goes_on_with_its_runs_and_its_model(renamed: Shell) -> None:
    uri = embedded_uri(renamed)
    before = {run.info.run_id for run in runs(uri, "better")}
    assert len(before) == 5
    answer = renamed.hpo(*RUN, "--trials=2").done()
    assert "Champion: models:/tiny@champion" in answer.out
    assert {run.info.run_id for run in runs(uri, "better")} == before
    renamed.hpo(*RUN, "--trials=3").done()
    assert facts(renamed, uri, "better").finished == 3
    assert before < {run.info.run_id for run in runs(uri, "better")}
    assert client(uri).get_experiment_by_name("tiny") is None
    assert [model.name for model in client(uri).search_registered_models()] == ["tiny"]


def test_whoever_asks_for_it_by_its_new_name_is_answered(renamed: Shell) -> None:
    replayed = renamed.hpo("run", "--replay=better#0").done()
    assert "Trial 0 of better: all" in replayed.out
    renamed.hpo("report", "better").done()
    renamed.hpo("predict", "--model=models:/tiny@champion", "A joy").done()
    examined = renamed.hpo("doctor").done()
    assert "nothing waits" in examined.out
    assert "no study tiny" in renamed.hpo("studies", "show", "tiny").err


def test_deleted_at_last_it_leaves_nothing(renamed: Shell) -> None:
    renamed.hpo("studies", "delete", "better", "--yes").done()
    assert json.loads(renamed.hpo("studies", "--json").done().out) == []
    uri = embedded_uri(renamed)
    assert client(uri).get_experiment_by_name("better") is None
    assert not client(uri).search_registered_models()
    assert not list((renamed.folder / ".hpo" / "studies").iterdir())
