from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import TrackingError
from hpo.outbox.outbox import Outbox, abandoned
from hpo.outbox.records import SetTags
from tests.outbox.operations import RUN, URI


def test_a_state_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="outbox folder"):
        Outbox.create(tmp_path / "file", URI)


def test_the_outbox_of_a_living_owner_is_left_alone(tmp_path: Path) -> None:
    with Outbox.create(tmp_path, URI) as outbox:
        outbox.append(SetTags(RUN, {}))
        assert list(abandoned(tmp_path)) == []
    for left in abandoned(tmp_path):
        left.close(remove=True)
    assert list((tmp_path / "outbox").iterdir()) == []
