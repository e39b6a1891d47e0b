from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import TrackingError
from hpo.outbox.outbox import Outbox
from tests.outbox.operations import URI


def test_files_are_copied_so_that_the_original_may_go(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "w.bin").write_bytes(b"1234")
    with Outbox.create(tmp_path, URI) as outbox:
        file = outbox.spool.add_file(b"hello", "report.html")
        copied = outbox.spool.add_folder(folder)
        moved = outbox.spool.add_folder(folder, move=True)
        assert not folder.exists()
        assert (outbox.spool.path / file.path).read_text() == "hello"
        assert (outbox.spool.path / file.path).name == "report.html"
        for tree in (copied, moved):
            assert (outbox.spool.path / tree.path / "deep" / "w.bin").read_bytes() == b"1234"
        assert (file.bytes, copied.bytes, moved.bytes) == (5, 4, 4)
        with pytest.raises(TrackingError, match="no folder there"):
            outbox.spool.add_folder(folder)
