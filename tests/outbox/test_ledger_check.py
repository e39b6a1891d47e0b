from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hpo.outbox.ledger_check import DamagedLedger, committed_frames, open_checked
from hpo.outbox.outbox import Outbox, abandoned
from hpo.outbox.records import SetTags
from tests.outbox.operations import EVERY_KIND, RUN, URI


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The file of a dead owner with operations that wait."""
    with Outbox.create(tmp_path, URI) as outbox:
        for operation in EVERY_KIND:
            outbox.append(operation)
    return outbox.ledger.path


def change(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


def test_a_file_that_is_as_it_was_written_is_opened(left: Path) -> None:
    with open_checked(left) as ledger:
        assert ledger.waiting()[0] == len(EVERY_KIND)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DELETE FROM operations WHERE id = 3", "operations that are missing"),
        ("DELETE FROM operations WHERE id = (SELECT max(id) FROM operations)", "missing"),
        ("DELETE FROM facts WHERE name = 'tracking_uri'", "no server"),
        ("UPDATE facts SET value = 'http://b' WHERE name = 'tracking_uri'", "another server"),
        ("CREATE TABLE another (x)", "tables that are not its own"),
    ],
)
def test_what_was_changed_since_is_damage(left: Path, statement: str, found: str) -> None:
    change(left, statement)
    with pytest.raises(DamagedLedger, match=found):
        open_checked(left)


def test_a_damaged_file_is_set_aside_and_told_of(
    left: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    change(left, "DELETE FROM operations WHERE id = 3")
    assert list(abandoned(tmp_path)) == []
    assert left.with_suffix(".damaged").exists()
    assert not left.exists()
    assert "what it held for MLflow is lost" in caplog.text


def test_frames_are_counted_up_to_the_last_commit(tmp_path: Path) -> None:
    assert committed_frames(tmp_path / "none-wal") == 0
    with Outbox.create(tmp_path, URI) as outbox:
        log = outbox.ledger.path.with_name(outbox.ledger.path.name + "-wal")
        before = committed_frames(log)
        outbox.append(SetTags(RUN, {"a": "b"}))
        assert committed_frames(log) > before > 0
