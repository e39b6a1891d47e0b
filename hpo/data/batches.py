"""Which texts make a batch: like lengths together, in an order that seed and epoch determine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Lengths are sorted within this many batches: enough to be alike, few enough to stay a shuffle.
_BATCHES_A_POOL = 8


def epoch_batches(
    lengths: NDArray[np.int64],
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    among: NDArray[np.int64] | None = None,
) -> list[NDArray[np.int64]]:
    """An epoch's batches of text indices; each text once, the last batch perhaps smaller.

    Which of these come together depends on their places in `among` and on their lengths alone.

    Args:
        lengths: (texts,) in tokens.
        epoch: Counted from 0.
        among: Indices of the texts that take part, all by default.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths) if among is None else among)
    batches = []
    for start in range(0, len(order), batch_size * _BATCHES_A_POOL):
        pool = order[start : start + batch_size * _BATCHES_A_POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[at : at + batch_size] for at in range(0, len(pool), batch_size)]
    return [batches[index] for index in random.permutation(len(batches))]


def steps_per_epoch(texts: int, batch_size: int) -> int:
    """How many batches `epoch_batches` makes."""
    return -(-texts // batch_size)


def evaluation_batches(lengths: NDArray[np.int64], most_tokens: int) -> list[NDArray[np.int64]]:
    """Batches for a pass without gradients: by length, each of about `most_tokens` when padded."""
    order = np.argsort(lengths, kind="stable")
    batches, start = [], 0
    for end in range(1, len(order) + 1):
        full = end == len(order) or (end + 1 - start) * lengths[order[end]] > most_tokens
        if full:
            batches.append(order[start:end])
            start = end
    return batches
