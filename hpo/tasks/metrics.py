"""Metrics of a classifier on one split, as scikit-learn defines them.

They are computed from one confusion matrix: scikit-learn checks its arguments anew in every call, which
takes longer than a small trial's evaluation. The tests hold every metric against scikit-learn's own.
Any other metric is a function of its own, called where a study names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hpo.spec.study import Direction
from hpo.tasks.multi_label_metrics import at_usual_threshold
from hpo.tasks.scorer import Scorer, further_metrics

Probabilities = NDArray[np.float32]  # (texts, classes)
Labels = NDArray[np.int64]  # (texts,)

_LEAST_PROBABILITY = 1e-15


def classification_metrics(
    probabilities: Probabilities, labels: Labels, also: Iterable[str] = ()
) -> dict[str, float]:
    """Score a split.

    Args:
        probabilities: The classes' probabilities, (texts, classes).
        labels: The texts' classes, (texts,).
        also: Names of further metrics.

    Returns:
        Accuracy, balanced accuracy, macro F1, Matthews correlation, log loss, and the further metrics.

    Raises:
        KeyError: There is no such further metric.
    """
    scores = _usual_metrics(probabilities, labels)
    return scores | further_metrics(probabilities, labels, also, known=scores)


def _usual_metrics(probabilities: Probabilities, labels: Labels) -> dict[str, float]:
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


def constant_answer(counts: Sequence[int], also: Iterable[str] = ()) -> dict[str, float]:
    """The most that the same answer for every text brings in each metric.

    That is the largest class, or, for log loss and further metrics, the shares of the classes as
    probabilities.

    Args:
        counts: Texts by class.
        also: Names of further metrics.

    Returns:
        The scores by metric.
    """
    shares = np.array(counts, np.float64) / sum(counts)
    present = shares[shares > 0]
    largest = float(shares.max())
    scores = {
        "accuracy": largest,
        "balanced_accuracy": 1 / len(present),
        "f1_macro": 2 * largest / (1 + largest) / len(shares),
        "mcc": 0.0,
        "log_loss": float(-(present * np.log(present)).sum()),
    }
    labels = np.repeat(np.arange(len(counts)), counts)
    same = np.broadcast_to(shares.astype(np.float32), (len(labels), len(counts)))
    return scores | further_metrics(same, labels, also, known=scores)


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


def _usual(name: str) -> Scorer:
    return Scorer(
        lambda probabilities, labels: _usual_metrics(probabilities, labels)[name], "maximize"
    )


def _of_any_labels(name: str, direction: Direction) -> Scorer:
    """Of one label a text, (texts,), or several, (texts, labels)."""

    def score(probabilities: Probabilities, labels: NDArray[Any]) -> float:
        metrics = _usual_metrics if labels.ndim == 1 else at_usual_threshold
        return metrics(probabilities, labels)[name]

    return Scorer(score, direction, ("single_label", "multi_label"))


ACCURACY: Final = _usual("accuracy")
BALANCED_ACCURACY: Final = _usual("balanced_accuracy")
F1_MACRO: Final = _of_any_labels("f1_macro", "maximize")
MCC: Final = _usual("mcc")
LOG_LOSS: Final = _of_any_labels("log_loss", "minimize")
