from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpo.data.batches import epoch_batches, evaluation_batches, steps_per_epoch

lengths = st.lists(st.integers(1, 300), min_size=1, max_size=200).map(np.array)


@given(lengths, st.integers(1, 70), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_holds_each_text_once(
    lengths: np.ndarray, size: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(lengths, size, seed=seed, epoch=epoch)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert len(batches) == steps_per_epoch(len(lengths), size)
    assert sorted(map(len, batches))[1:] == [size] * (len(batches) - 1)


@given(lengths, st.integers(1, 70), st.integers(0, 5))
def test_the_order_is_that_of_the_seed_and_epoch(lengths: np.ndarray, size: int, seed: int) -> None:
    first = epoch_batches(lengths, size, seed=seed, epoch=1)
    again = epoch_batches(lengths, size, seed=seed, epoch=1)
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]


def test_epochs_and_seeds_differ() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 300)
    runs = [
        np.concatenate(epoch_batches(lengths, 8, seed=seed, epoch=epoch)).tolist()
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len({tuple(run) for run in runs}) == 4


def test_like_lengths_come_together() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 2000)

    def waste(batches: list[np.ndarray]) -> float:
        cells = sum(len(batch) * lengths[batch].max() for batch in batches)
        return 1 - lengths.sum() / cells

    shuffled = np.random.default_rng(1).permutation(2000)
    assert waste(np.array_split(shuffled, 125)) > 0.4
    assert waste(epoch_batches(lengths, 16, seed=0, epoch=0)) < 0.15


@given(lengths, st.integers(1, 2000))
def test_evaluation_batches_hold_each_text_once_and_stay_small(
    lengths: np.ndarray, most: int
) -> None:
    batches = evaluation_batches(lengths, most)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= most
