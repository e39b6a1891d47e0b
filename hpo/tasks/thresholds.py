"""Thresholds of sigmoid outputs, one a label, fitted to the texts of a split."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

USUAL_THRESHOLD: Final = 0.5


def best_thresholds(
    probabilities: NDArray[np.float32], labels: NDArray[np.float32]
) -> tuple[float, ...]:
    """The threshold of each label that gives it the best F1; after Fan and Lin, 2007, without folds.

    It lies halfway between two probabilities, and of the equally good ones is the nearest to one
    half; for a label that no text has it is one half.

    Args:
        probabilities: (texts, labels).
        labels: 0 or 1 each, (texts, labels).
    """
    columns = zip(probabilities.T.astype(np.float64), labels.T, strict=True)
    return tuple(_best_threshold(column, has_label > 0.5) for column, has_label in columns)


def _best_threshold(probabilities: NDArray[np.float64], has_label: NDArray[np.bool_]) -> float:
    if not has_label.any():
        return USUAL_THRESHOLD
    order = np.argsort(-probabilities, kind="stable")
    falling, hits = probabilities[order], np.cumsum(has_label[order])
    given = np.arange(1, len(order) + 1)
    scores = 2 * hits / (given + has_label.sum())
    next_lower = np.append(falling[1:], 0.0)
    # A threshold takes all texts of one probability, or none.
    scores[:-1][falling[1:] == falling[:-1]] = -1
    halfway = (falling + next_lower) / 2
    usual = probabilities >= USUAL_THRESHOLD
    of_usual = 2 * (usual & has_label).sum() / (usual.sum() + has_label.sum())
    if of_usual >= scores.max():
        return USUAL_THRESHOLD
    best = np.flatnonzero(scores == scores.max())
    return float(halfway[best[np.abs(halfway[best] - USUAL_THRESHOLD).argmin()]])
