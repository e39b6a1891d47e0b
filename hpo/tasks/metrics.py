"""Metrics of a classifier on one split, as scikit-learn defines them.

They are computed from one confusion matrix: scikit-learn checks its arguments anew in every call, which
takes longer than a small trial's evaluation. The tests hold every metric against scikit-learn's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]  # (texts, classes)
Labels = NDArray[np.int64]  # (texts,)

_LEAST_PROBABILITY = 1e-15


def classification_metrics(probabilities: Probabilities, labels: Labels) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro F1, Matthews correlation and log loss."""
    matrix = confusion(probabilities, labels)
    counts = matrix.astype(np.float64)  # whose products do not overflow
    hits, given, found = np.diag(counts), counts.sum(0), counts.sum(1)
    texts = len(labels)
    # After Gorodkin, 2004; 0 where all texts are, or are said to be, of one class.
    spread = (texts**2 - given @ given) * (texts**2 - found @ found)
    covariance = texts * hits.sum() - given @ found
    return {
        "accuracy": float(hits.sum() / texts),
        "balanced_accuracy": float(recalls(matrix)[found > 0].mean()),
        "f1_macro": float((2 * hits / np.maximum(given + found, 1)).mean()),
        "mcc": float(covariance / np.sqrt(spread)) if spread else 0.0,
        "log_loss": _log_loss(probabilities, labels),
    }


def constant_answer(counts: Sequence[int]) -> dict[str, float]:
    """The most that the same answer for every text brings in each metric. counts: texts by class.

    That is the largest class, or, for the log loss, the shares of the classes as probabilities.
    """
    shares = np.array(counts, np.float64) / sum(counts)
    present = shares[shares > 0]
    largest = float(shares.max())
    return {
        "accuracy": largest,
        "balanced_accuracy": 1 / len(present),
        "f1_macro": 2 * largest / (1 + largest) / len(shares),
        "mcc": 0.0,
        "log_loss": float(-(present * np.log(present)).sum()),
    }


def confusion(probabilities: Probabilities, labels: Labels) -> NDArray[np.int64]:
    """(classes, classes): texts of the row's class that were given the column's."""
    classes = probabilities.shape[1]
    cells = np.bincount(labels * classes + probabilities.argmax(1), minlength=classes**2)
    return cells.reshape(classes, classes)


def recalls(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each class's recall, (classes,), from a confusion matrix; 0 for a class without texts."""
    shares: NDArray[np.float64] = np.diag(matrix) / np.maximum(matrix.sum(1), 1)
    return shares


def _log_loss(probabilities: Probabilities, labels: Labels) -> float:
    shares = np.clip(probabilities.astype(np.float64), _LEAST_PROBABILITY, 1)
    of_label = shares[np.arange(len(labels)), labels] / shares.sum(1)
    return float(-np.log(of_label).mean())
