from __future__ import annotations

import numpy as np
import pytest
import torch

from hpo.training.micro_batches import BatchTooLarge, MicroBatches, is_out_of_memory

TEXTS = np.arange(10)


class Memory:
    """Fits `room` texts, and notes what it was given."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.seen: list[int] = []
        self.cleared = 0

    def accumulate(self, texts: np.ndarray, of: int) -> torch.Tensor:
        assert of == len(TEXTS)
        if len(texts) > self.room:
            raise torch.OutOfMemoryError("out of memory")
        self.seen += texts.tolist()
        return torch.tensor(float(len(texts)))

    def clear(self) -> None:
        self.seen = []
        self.cleared += 1


@pytest.mark.parametrize(("room", "size", "failures"), [(10, None, 0), (5, 5, 1), (4, 2, 2)])
def test_it_halves_until_it_fits_and_every_text_goes_in_once(
    room: int, size: int | None, failures: int
) -> None:
    memory, batches = Memory(room), MicroBatches()
    total = batches.run(TEXTS, memory.accumulate, clear=memory.clear)
    assert float(total) == 10
    assert memory.seen == TEXTS.tolist()
    assert batches.size == size
    assert memory.cleared == failures


def test_the_size_that_worked_is_remembered() -> None:
    batches = MicroBatches()
    batches.run(TEXTS, Memory(3).accumulate, clear=lambda: None)
    again = Memory(3)
    MicroBatches(batches.size).run(TEXTS, again.accumulate, clear=again.clear)
    assert again.cleared == 0


def test_of_two_sizes_the_smaller_holds() -> None:
    batches = MicroBatches(4)
    for size, expected in ((None, 4), (8, 4), (2, 2)):
        batches.learn(size)
        assert batches.size == expected
    fresh = MicroBatches()
    fresh.learn(3)
    assert fresh.size == 3


def test_one_text_too_many_is_too_large() -> None:
    with pytest.raises(BatchTooLarge, match="one text"):
        MicroBatches().run(TEXTS, Memory(0).accumulate, clear=lambda: None)


def test_another_error_comes_through() -> None:
    def broken(_: np.ndarray, __: int) -> torch.Tensor:
        raise RuntimeError("size mismatch")

    with pytest.raises(RuntimeError, match="size mismatch"):
        MicroBatches().run(TEXTS, broken, clear=lambda: None)


def test_pytorchs_own_error_on_a_cpu_is_known() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**55)
    assert is_out_of_memory(raised.value)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
