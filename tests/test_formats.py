"""Each kind of thing that is kept, as release 0.1 left it, and with its number raised by one: never misread."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from hpo.digests import DIGESTS_FILE, damage_in, fast_digest, write_digests
from hpo.errors import HpoError, ModelError
from hpo.formats import (
    CHECKPOINT,
    DATABASE,
    DIGESTS,
    DOWNLOADS,
    ENSEMBLE,
    FORMATS,
    HIDDEN_STATES,
    OUTBOX,
    REJECTED,
    STATE,
    TOKENS,
    TRAINED,
    Format,
    refusal,
)
from hpo.model.saved import load_trained
from hpo.model.trial_facts import FACTS_FILE
from hpo.outbox.ledger import Ledger
from hpo.outbox.outbox import waiting_in
from hpo.outbox.rejected import rejected_in
from hpo.outbox.requeue import requeue_rejected
from hpo.runtime.early_checks import FORMAT_FILE, check_state, mark_state
from hpo.runtime.preparation import prepare
from hpo.spec.locations import Locations
from hpo.spec.study_file import read_study
from hpo.storage.schema import add_own_tables
from hpo.storage.storage import check_storage, open_storage
from hpo.training.checkpoint import CheckpointFile

ROOT = Path(__file__).resolve().parents[1]
UPGRADE = "This was written by a newer hpo: upgrade"


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A folder as release 0.1 left it, with no number on what it did not number."""
    with tarfile.open(ROOT / "tests/fixtures/release-0.1-sqlite.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "reviews"


def the_one(folder: Path, pattern: str) -> Path:
    [found] = sorted(folder.glob(pattern))[:1]
    return found


def test_every_kind_is_in_the_table_and_has_a_test() -> None:
    kinds = [DATABASE, STATE, OUTBOX, REJECTED, CHECKPOINT, TRAINED, DIGESTS, ENSEMBLE]
    assert list(FORMATS) == [*kinds, TOKENS, HIDDEN_STATES, DOWNLOADS]
    assert {kept for kept, *_ in (*REFUSED, *MADE_AGAIN)} == {
        DATABASE,
        STATE,
        OUTBOX,
        TOKENS,
        HIDDEN_STATES,
    }


@pytest.mark.parametrize("kept", FORMATS, ids=lambda kept: kept.what)
@pytest.mark.parametrize(("of", "readable"), [(0, True), (1, False), (100, False)])
def test_numbers_up_to_our_own_are_read(kept: Format, of: int, readable: bool) -> None:
    refused = refusal(kept, "there", str(kept.number + of))
    assert (refused is None) == readable
    if refused is not None:
        assert type(refused) is kept.error
        assert str(refused) == (
            f"there: found {kept.what} in format {kept.number + of}; expected format {kept.number}"
            f"{' or an earlier one' if kept.number > 1 else ''}. {UPGRADE}, or {kept.way_out}."
        )


@pytest.mark.parametrize("found", ["0", "-1", "", "one"])
def test_what_no_version_wrote_is_not_read(found: str) -> None:
    refused = refusal(DATABASE, "there", found)
    assert refused is not None
    assert refused.hint.startswith("Restore a copy")


def number_database(left: Path) -> None:
    with closing(sqlite3.connect(left / "optuna.db")) as connection, connection:
        connection.execute("CREATE TABLE hpo_format (number INTEGER NOT NULL PRIMARY KEY)")
        connection.execute(f"INSERT INTO hpo_format VALUES ({DATABASE.number + 1})")


def number_state(left: Path) -> None:
    (left / ".hpo/format").write_text(f"{STATE.number + 1}\n")


def number_outbox(left: Path) -> None:
    with closing(sqlite3.connect(the_one(left, ".hpo/outbox/*.db"))) as connection, connection:
        raised = str(OUTBOX.number + 1)
        connection.execute("UPDATE facts SET value = ? WHERE name = 'format'", (raised,))
        connection.execute("CREATE TABLE later (id INTEGER)")  # as a newer version may have


REFUSED: tuple[tuple[Format, Callable[[Path], None], str], ...] = (
    (DATABASE, number_database, "optuna.db"),
    (STATE, number_state, ".hpo/format"),
    (OUTBOX, number_outbox, ".hpo/outbox/"),
)


@pytest.mark.parametrize(
    ("kept", "number", "named"), REFUSED, ids=lambda each: getattr(each, "what", "")
)
@pytest.mark.parametrize("command", ["hpo.run", "hpo.worker"])
def test_what_a_newer_version_keeps_is_refused_with_nothing_written(
    left: Path, kept: Format, number: Callable[[Path], None], named: str, command: str
) -> None:
    number(left)
    before = contents(left)
    done = in_folder(left, command, *(["study.toml"] if command == "hpo.run" else []))
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    [line] = done.stderr.splitlines()
    assert f"in format {kept.number + 1}; expected format {kept.number}. {UPGRADE}" in line
    assert named in line
    assert contents(left) == before


def test_the_doctor_tells_of_all_that_a_newer_version_keeps(left: Path) -> None:
    number_database(left)
    number_outbox(left)
    done = in_folder(left, "hpo.doctor")
    assert done.returncode == 1
    assert f"{DATABASE.what} in format {DATABASE.number + 1}" in done.stdout
    assert f"{OUTBOX.what} in format {OUTBOX.number + 1}" in done.stdout


def in_folder(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    places = {
        "HPO_STORAGE": f"sqlite:///{folder}/optuna.db",
        "HPO_STATE": f"{folder}/.hpo",
        "HPO_CACHE": f"{folder}/cache",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        timeout=120,
    )


def contents(folder: Path) -> dict[str, str]:
    # SQLite's index of a log is no content of anything.
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }


def test_a_new_database_and_a_new_state_folder_carry_their_numbers(
    storage_url: str, tmp_path: Path
) -> None:
    with open_storage(storage_url) as storage, storage.read() as connection:
        numbers = connection.exec_driver_sql("SELECT number FROM hpo_format").scalars().all()
    assert list(numbers) == [DATABASE.number]
    mark_state(tmp_path / ".hpo")
    mark_state(tmp_path / ".hpo")
    assert (tmp_path / ".hpo/format").read_text() == f"{STATE.number}\n"
    check_state(tmp_path / ".hpo")


def test_a_database_of_either_kind_that_a_newer_version_made_is_refused(storage_url: str) -> None:
    with open_storage(storage_url) as storage:
        with storage.write() as connection:
            connection.exec_driver_sql(f"UPDATE hpo_format SET number = {DATABASE.number + 1}")
        for look in (check_storage, open_storage):
            with pytest.raises(HpoError, match=UPGRADE):
                look(storage_url)
        with storage.write() as connection:
            connection.exec_driver_sql("DROP TABLE hpo_format")
    open_storage(storage_url).close()


def test_a_database_is_not_numbered_anew(storage_url: str) -> None:
    with open_storage(storage_url) as storage:
        add_own_tables(storage.engine)
        with storage.read() as connection:
            numbers = connection.exec_driver_sql("SELECT number FROM hpo_format").scalars().all()
    assert list(numbers) == [DATABASE.number]


def test_a_checkpoint_of_a_newer_version_is_left_with_a_warning(
    left: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = the_one(left, ".hpo/studies/*/checkpoints/*.safetensors")
    old = CheckpointFile(path, "always").read()
    assert old is not None
    assert caplog.messages == []
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    assert "format" not in header
    save_file(dict(old.tensors), path, {**header, "format": str(CHECKPOINT.number + 1)})
    assert CheckpointFile(path, "always").read() is None
    assert UPGRADE in caplog.text
    assert "Its trial begins anew" in caplog.text


def test_a_kept_model_of_a_newer_version_is_refused(left: Path) -> None:
    folder = the_one(left, ".hpo/studies/*/models/trial-*")
    facts = json.loads((folder / FACTS_FILE).read_text())
    assert "format" not in facts
    load_trained(folder)
    (folder / FACTS_FILE).write_text(json.dumps({**facts, "format": TRAINED.number + 1}))
    write_digests(folder)
    with pytest.raises(ModelError, match=UPGRADE):
        load_trained(folder)


def test_digests_of_a_newer_version_vouch_for_nothing(left: Path) -> None:
    folder = the_one(left, ".hpo/studies/*/models/trial-*")
    file = folder / DIGESTS_FILE
    digests = json.loads(file.read_text())
    assert "format" not in digests
    assert damage_in(folder) is None
    file.write_text(json.dumps({**digests, "format": DIGESTS.number}))
    assert damage_in(folder) is None
    file.write_text(json.dumps({**digests, "format": DIGESTS.number + 1}))
    assert UPGRADE in str(damage_in(folder))


@pytest.mark.parametrize("number", [None, REJECTED.number, REJECTED.number + 1])
def test_a_refused_operation_of_a_newer_version_stays_where_it_is(
    left: Path, number: int | None
) -> None:
    outbox = left / ".hpo/outbox"
    with closing(sqlite3.connect(the_one(outbox, "*.db"))) as connection:
        query = "SELECT run_key, kind, body FROM operations WHERE spooled IS NULL"
        run_key, kind, body = connection.execute(query).fetchone()
    row: dict[str, Any] = {"tracking_uri": "http://127.0.0.1:9", "state_dir": str(left / ".hpo")}
    row |= {"run_key": run_key, "kind": kind, "body": body, "reason": "no room"}
    row |= {} if number is None else {"format": number}
    row["check"] = fast_digest([json.dumps(row, sort_keys=True).encode()])
    (outbox / "rejected.jsonl").write_text(json.dumps(row) + "\n")
    waited = waiting_in(left / ".hpo")
    requeue_rejected(left / ".hpo", lambda noted, _state_dir: noted.uri)
    stays = number == REJECTED.number + 1
    assert rejected_in(left / ".hpo") == stays
    assert waiting_in(left / ".hpo") == waited + (not stays)


MADE_AGAIN: tuple[tuple[Format, str, str], ...] = (
    (TOKENS, "hpo.data.tokens.TOKENS", "tokens"),
    (HIDDEN_STATES, "hpo.model.frozen_features.HIDDEN_STATES", "prefix"),
)


@pytest.mark.parametrize(("kept", "name", "folder"), MADE_AGAIN, ids=["tokens", "hidden states"])
def test_a_cache_is_used_by_its_own_version_alone(
    left: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kept: Format,
    name: str,
    folder: str,
) -> None:
    monkeypatch.chdir(left)
    caches = left / "cache" / folder
    before = contents(caches)
    fill_caches(left)
    assert contents(caches) == before  # what release 0.1 made
    monkeypatch.setattr(name, replace(kept, number=kept.number + 1))
    fill_caches(left)
    after = contents(caches)
    assert before.items() < after.items()
    assert caplog.messages == []


def fill_caches(left: Path) -> None:
    places = Locations("sqlite://", "http://127.0.0.1:9", left / ".hpo", left / "cache", 10**9)
    context = prepare(read_study(left / "study.toml"), places).context
    context.features.states(context.data.train, f"{context.data.fingerprint}:train", 2)


def test_a_number_that_a_power_cut_left_empty_refuses_nothing_and_is_written_again(
    tmp_path: Path,
) -> None:
    (tmp_path / FORMAT_FILE).touch()
    check_state(tmp_path)
    mark_state(tmp_path)
    assert (tmp_path / FORMAT_FILE).read_text() == f"{STATE.number}\n"


@pytest.mark.parametrize("damaged", ["0", "q", ""])
def test_a_damaged_number_of_an_outbox_refuses_nothing(tmp_path: Path, damaged: str) -> None:
    file = tmp_path / "left.db"
    with Ledger.open(file) as ledger:
        ledger.set_facts({"format": damaged})
    with Ledger.open(file) as ledger:
        assert ledger.waiting() == (0, 0)
