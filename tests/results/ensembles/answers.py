"""Made-up probabilities of trials, and the labels that they are about."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def some_answers(
    seed: int, trials: int = 6, texts: int = 60, classes: int = 3
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities, (trials, texts, classes), of trials that are right more often than not; and labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, texts)
    logits = random.normal(0, 1, (trials, texts, classes))
    logits[:, np.arange(texts), labels] += random.uniform(0, 2, (trials, 1))
    shares = np.exp(logits)
    return (shares / shares.sum(-1, keepdims=True)).astype(np.float32), labels
