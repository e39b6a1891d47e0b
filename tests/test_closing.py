from __future__ import annotations

import pytest

from hpo.closing import Closing


class Door(Closing):
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_it_is_closed_once_however_the_block_ends() -> None:
    with Door() as door:
        assert not door.closed
    assert door.closed == 1
    with pytest.raises(KeyError), Door() as door:
        raise KeyError
    assert door.closed == 1
