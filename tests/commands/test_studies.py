"""`hpo.studies`: studies listed, shown, exported and deleted, from a real storage and a local MLflow."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from hpo.storage.storage import open_storage
from hpo.studies.registration import submit
from tests.commands.bad_inputs.case import Case
from tests.commands.shell import HEAVY, TINY_STUDY, Shell, refusing
from tests.commands.stores import embedded_uri
from tests.commands.told import told_of
from tests.storages import SpecFactory
from tests.studies.finished import finish_one
from tests.tracking.reading import client, runs


@pytest.fixture
def stored(shell: Shell, make_spec: SpecFactory) -> Shell:
    """A storage with a study of two finished trials, and one that nobody has begun."""
    with open_storage(f"sqlite:///{shell.folder}/optuna.db") as storage:
        submit(storage, make_spec("first", study__trials=3))
        finish_one(storage, "first")
        finish_one(storage, "first")
        submit(storage, make_spec("second"))
    return shell


def test_where_there_is_nothing_nothing_is_made(shell: Shell) -> None:
    answer = shell.hpo("studies").done()
    assert (answer.out, answer.err) == ("", "No study in sqlite:///optuna.db.\n")
    assert json.loads(shell.hpo("studies", "--json").done().out) == []
    assert shell.listing() == set()


def test_studies_are_listed_with_what_they_came_to(stored: Shell, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    light = f"{refusing(tmp_path / 'light', HEAVY)}:{root}"
    before = stored.listing()
    lines = stored.hpo("studies", PYTHONPATH=light).done().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["first", "2/3"], ["second", "0/50"]]
    assert "accuracy 0.5000 (trial 0)" in lines[1]
    assert "no complete trial" in lines[2]
    first, second = json.loads(stored.hpo("studies", "list", "--json").done().out)
    assert (first["finished"], first["trials"], first["best_value"]) == (2, 3, 0.5)
    assert (second["best_value"], second["metric"], second["bytes"]) == (None, "accuracy", 0)
    assert first["last_active"] > first["created"]
    assert stored.listing() == before


def test_one_study_is_shown_with_its_best_trial(stored: Shell) -> None:
    said = stored.hpo("studies", "show", "first").done().out
    assert "best         accuracy 0.5000 (trial 0)\n" in said
    shown = json.loads(stored.hpo("studies", "show", "first", "--json").done().out)
    assert shown["best_params"].keys() == {"learning_rate", "batch_size", "epochs"}
    assert shown["settings"]["study"]["name"] == "first"


def test_trials_are_exported_as_csv_and_json(stored: Shell) -> None:
    table = stored.hpo("studies", "export", "first").done().out
    rows = list(csv.DictReader(table.splitlines()))
    assert [(row["number"], row["state"], row["value"]) for row in rows] == [
        *(("0", "COMPLETE", "0.5"), ("1", "COMPLETE", "0.5"))
    ]
    document = json.loads(stored.hpo("studies", "export", "first", "--json").done().out)
    assert [str(each["params"]["learning_rate"]) for each in document] == [
        row["params.learning_rate"] for row in rows
    ]
    stored.write("trials.csv", "an earlier file")
    stored.hpo("studies", "export", "first", "--output=trials.csv", "--overwrite").done()
    assert (stored.folder / "trials.csv").read_text() == table
    stored.hpo("studies", "export", "first", "--output=trials.json").done()
    assert json.loads((stored.folder / "trials.json").read_text()) == document
    empty = stored.hpo("studies", "export", "second").done().out
    assert empty == "number,state,value\n"


@pytest.mark.slow
def test_a_study_is_deleted_wherever_it_is(shell: Shell) -> None:
    shell.write("tiny.toml", TINY_STUDY)
    shell.hpo("run", "tiny.toml", "--trials=1", "--workers=1", "--quiet").done()
    uri = embedded_uri(shell)
    before = shell.hpo("studies", "--json").done().out
    told = shell.hpo("studies", "delete", "tiny", "--dry-run").done()
    assert "1 registered version (tiny 1)" in told.err
    assert shell.hpo("studies", "--json").done().out == before
    assert len(runs(uri, "tiny")) == 2
    refused = shell.hpo("studies", "delete", "tiny")
    assert (refused.code, "no terminal to ask on" in refused.err) == (2, True)
    gone = json.loads(shell.hpo("studies", "delete", "tiny", "--yes", "--json").done().out)
    assert gone["deleted"]
    assert gone["bytes"] > 0
    assert len(gone["mlflow_runs"]) == 2
    assert gone["model_versions"] == ["models:/tiny/1"]
    assert json.loads(shell.hpo("studies", "--json").done().out) == []
    assert client(uri).get_experiment_by_name("tiny") is None
    assert not client(uri).search_registered_models()
    assert not list((shell.folder / ".hpo" / "studies").iterdir())
    assert not list((shell.folder / ".hpo" / "dashboard").iterdir())
    assert not list((shell.folder / "mlruns").rglob("*.safetensors"))


UNKNOWN = (
    "sqlite:///optuna.db: found no study frist; expected one of first, second. Did you mean first?"
)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("show frist", UNKNOWN),
        ("export frist", UNKNOWN),
        ("delete frist --yes", UNKNOWN),
        ("delete frist --dry-run --json", UNKNOWN),
        ("rename frist third", UNKNOWN),
        ("rename first second", "sqlite:///optuna.db: found a study second; expected a name that …"),
        ("rename first first", "NEW: found first, which is its name; expected another. …"),
        ("rename first a/b", "NEW: found 'a/b', with / or :, …; expected a name of letters, …"),
        ("rename first ...", "NEW: found '...', only dots and spaces; expected …"),
        ("rename first", "hpo.studies rename: found the following arguments are required: NEW; …"),
        ("rename first third", "tracking server sqlite:///mlflow.db: found no runs of the finished …"),
        ("rename first third --tracking-uri http://127.0.0.1:9", "tracking server http://127.0.0.1:9: …"),
        ("shwo first", "hpo.studies: found argument ACTION: invalid choice: 'shwo' …"),
        ("show", "hpo.studies show: found the following arguments are required: STUDY; …"),
        ("show ''", "STUDY: found an empty value; expected a value. …"),
        ("list first", "hpo.studies: found 'first', one argument too many; …"),
        ("show first --yes", "--yes: found an unknown option; …"),
        ("delete first", "hpo.studies delete: found no terminal to ask on; expected --yes, …"),
        ("delete first --yes --tracking-uri http://127.0.0.1:9", "tracking server http://127.0.0.1:9: …"),
        ("delete first --yes --tracking-uri file:mlruns", "tracking URI …: found a folder …"),
        ("export first --overwrite", "--overwrite: found no --output with it; …"),
        ("export first --output trials.txt", "--output: found trials.txt; expected the path of …"),
        ("export first --output no/trials.csv", "--output: found no folder no; …"),
        ("export first --output taken.csv", "--output: found taken.csv, which exists; …"),
        ("export first --output folder.csv --overwrite", "--output: found a folder; …"),
        ("export first --output trials.csv --json", "--json: found it beside trials.csv; …"),
        ("list --storage sqlite:///taken.csv", "sqlite:///taken.csv: found …"),
    ],
)  # fmt: skip
def test_bad_input_is_told_and_nothing_changed(stored: Shell, line: str, says: str) -> None:
    files = {"taken.csv": "an earlier file, which is no database", "folder.csv": None}
    told_of(Case(line, line, says, files, command="studies"), stored)
