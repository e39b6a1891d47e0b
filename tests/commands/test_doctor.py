"""`hpo.doctor` on places that are well and on places that are not."""

from __future__ import annotations

import pytest

from hpo.outbox.outbox import Outbox
from hpo.outbox.records import EndRun, OpenRun, RunRef
from tests.commands.shell import TINY_STUDY, Shell

pytestmark = pytest.mark.slow

NO_HUB = {"HF_ENDPOINT": "http://127.0.0.1:1"}


def test_an_empty_folder_is_well_and_stays_empty(shell: Shell) -> None:
    answer = shell.hpo("doctor", **NO_HUB).done()
    for words in (
        "ok    software: Python 3",
        "ok    device: ",
        "note  storage: sqlite:///optuna.db does not exist yet; the first run makes it",
        "ok    tracking: sqlite:///mlflow.db",
        "ok    outbox: nothing waits for MLflow",
        "ok    cache: ",
        "ok    disk here: ",
        "note  hub: not reachable; local models and data work without it",
    ):
        assert any(line.startswith(words) for line in answer.out.splitlines()), answer.out
    assert shell.listing() == set()


def test_a_storage_is_told_of_with_its_studies(shell: Shell) -> None:
    shell.write("tiny.toml", TINY_STUDY)
    shell.hpo("submit", "tiny.toml", "--no-check").done()
    answer = shell.hpo("doctor", "--flush", **NO_HUB).done()
    assert "ok    flush: 0 operations sent from 0 outboxes, 0 still wait" in answer.out
    assert "ok    storage: sqlite:///optuna.db, 1 studies, 0 of them done" in answer.out


def test_what_mlflow_refused_is_told_and_sent_again(shell: Shell) -> None:
    run = RunRef("tiny", "trial:tiny:u:0:1")
    outbox = Outbox.create(shell.folder / ".hpo", f"sqlite:///{shell.folder}/mlflow.db")
    outbox.append(OpenRun(run, "trial-0000", 1), EndRun(run, "FINISHED", 2))
    for row in outbox.ledger.head(2):
        outbox.ledger.reject(row, "BAD_REQUEST: QueuePool limit reached")
    outbox.close(remove=True)
    told = shell.hpo("doctor", **NO_HUB).done()
    assert "note  outbox: MLflow refused 2 operations" in told.out
    answer = shell.hpo("doctor", "--flush", **NO_HUB).done()
    assert "ok    flush: 2 operations sent from 1 outboxes, 0 still wait" in answer.out
    assert "ok    outbox: nothing waits for MLflow" in answer.out
    assert list((shell.folder / ".hpo" / "outbox").iterdir()) == []


def test_every_fault_is_told_with_what_to_do(shell: Shell) -> None:
    shell.write("notes.txt", "some notes, which nobody would want to lose\n")
    answer = shell.hpo(
        "doctor",
        *("--storage", "mysql://me:secret@host/studies"),
        *("--tracking-uri", "http://127.0.0.1:1"),
        HPO_STATE="/proc/state",
        HPO_CACHE="notes.txt",
        **NO_HUB,
    )
    assert answer.code == 1
    assert answer.err == ""
    faults = [line for line in answer.out.splitlines() if line.startswith("FAIL")]
    mends = [line for line in answer.out.splitlines() if line.startswith("      ")]
    assert [line.split(":")[0] for line in faults] == [
        "FAIL  storage",
        "FAIL  tracking",
        "FAIL  disk here",
        "FAIL  disk of the cache",
    ]
    assert len(mends) >= len(faults)
    assert "secret" not in answer.out
    assert shell.listing() == {"notes.txt"}
