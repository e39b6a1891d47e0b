from __future__ import annotations

import logging
from pathlib import Path

import pytest

from hpo.errors import TrackingError
from hpo.outbox.outbox import Outbox
from hpo.outbox.records import EndRun, LogArtifact, LogModel
from tests.outbox.operations import RUN, URI


def test_a_full_outbox_takes_no_more_files_but_still_ends_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(b"x" * 400_000)
    with Outbox.create(tmp_path, "http://me:secret@127.0.0.1:9", limit_bytes=1_000_000) as outbox:
        for _ in range(2):
            spooled = outbox.spool.add_folder(folder)
            outbox.append(LogModel(RUN, "op", spooled.path, "m", {}), spooled=spooled)
        assert caplog.text.count("wait in") == 1
        with pytest.raises(TrackingError, match="no more than") as caught:
            outbox.spool.add_folder(folder)
        assert "secret" not in str(caught.value) + caplog.text
        outbox.append(EndRun(RUN, "FINISHED", 1))
        assert outbox.waiting == 3
    with (
        Outbox.create(tmp_path, URI, limit_bytes=1_000_000) as second,
        pytest.raises(TrackingError, match="no more than"),
    ):
        second.spool.add_folder(folder)


def test_what_arrived_makes_room(tmp_path: Path) -> None:
    weights = b"x" * 700_000
    with Outbox.create(tmp_path, URI, limit_bytes=1_000_000) as outbox:
        spooled = outbox.spool.add_file(weights, "weights")
        outbox.append(LogArtifact(RUN, spooled.path), spooled=spooled)
        with pytest.raises(TrackingError, match="no more than"):
            outbox.spool.add_file(weights, "weights")
        [row] = outbox.ledger.head(10)
        outbox.arrived(1, outbox.ledger.done([row.id]))
        outbox.spool.discard(spooled.path)
        assert outbox.waiting == 0
        outbox.spool.add_file(weights, "weights")
