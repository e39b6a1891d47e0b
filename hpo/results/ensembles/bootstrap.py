"""Bagging: bootstraps of the training texts (Breiman, 1996)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bootstrap(texts: int, *, seed: int, member: int) -> NDArray[np.int64]:
    """As many texts as there are, drawn with replacement.

    Args:
        texts: How many there are.
        seed: The study's.
        member: Which of the bootstraps, from 0.

    Returns:
        (texts,) indices in ascending order, one as often as it was drawn.
    """
    random = np.random.default_rng((seed, member))
    return np.sort(random.integers(0, texts, texts))
