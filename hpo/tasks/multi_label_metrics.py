"""Metrics of several labels a text on one split, as scikit-learn defines them.

Where a share has nothing to be of, it is 0; a label that no text has is left out of the mean average
precision.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpo.spec.study import Direction
from hpo.tasks.scorer import Scorer
from hpo.tasks.thresholds import USUAL_THRESHOLD

_LEAST_PROBABILITY = 1e-15


def multi_label_metrics(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.float32],
    predictions: NDArray[np.float32],
) -> dict[str, float]:
    """Score a split.

    Args:
        probabilities: Of each label, (texts, labels).
        labels: 0 or 1 each, (texts, labels).
        predictions: What was answered, in the same form.

    Returns:
        F1 over all answers (micro), as the mean over labels (macro) and over texts (samples), the
        share of texts all of whose labels are right, the mean average precision, and the log loss,
        the mean over texts and labels.
    """
    true, found = labels > 0.5, predictions > 0.5
    hits, given = true & found, true.astype(np.int64) + found
    return {
        "f1_micro": float(_f1(hits.sum(), given.sum())),
        "f1_macro": float(_f1(hits.sum(0), given.sum(0)).mean()),
        "f1_samples": float(_f1(hits.sum(1), given.sum(1)).mean()),
        "subset_accuracy": float((true == found).all(1).mean()),
        "mean_average_precision": _mean_average_precision(probabilities, true),
        "log_loss": _log_loss(probabilities, true),
    }


def at_usual_threshold(
    probabilities: NDArray[np.float32], labels: NDArray[np.float32]
) -> dict[str, float]:
    """`multi_label_metrics` of the labels whose probability is one half or more."""
    predictions = (probabilities >= USUAL_THRESHOLD).astype(np.float32)
    return multi_label_metrics(probabilities, labels, predictions)


def _f1(hits: NDArray[np.int64], given: NDArray[np.int64]) -> NDArray[np.float64]:
    """Twice the hits, by the labels that are true and those that were answered, counted together."""
    scores: NDArray[np.float64] = 2 * hits / np.maximum(given, 1)
    return scores


def _mean_average_precision(probabilities: NDArray[np.float32], true: NDArray[np.bool_]) -> float:
    scores = [
        _average_precision(of_label, has_label)
        for of_label, has_label in zip(probabilities.T, true.T, strict=True)
        if has_label.any()
    ]
    return float(np.mean(scores)) if scores else 0.0


def _average_precision(of_label: NDArray[np.float32], has_label: NDArray[np.bool_]) -> float:
    order = np.argsort(-of_label, kind="stable")
    falling = of_label[order]
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))  # of equal probabilities
    hits = np.cumsum(has_label[order])[ends]
    gained = np.diff(hits, prepend=0) / hits[-1]
    return float((gained * hits / (ends + 1)).sum())


def _log_loss(probabilities: NDArray[np.float32], true: NDArray[np.bool_]) -> float:
    shares = probabilities.astype(np.float64)
    of_truth = np.where(true, shares, 1 - shares)
    return float(-np.log(np.clip(of_truth, _LEAST_PROBABILITY, 1)).mean())


def _of_labels(name: str, direction: Direction = "maximize") -> Scorer:
    return Scorer(
        lambda probabilities, labels: at_usual_threshold(probabilities, labels)[name],
        direction,
        ("multi_label",),
    )


F1_MICRO: Final = _of_labels("f1_micro")
F1_SAMPLES: Final = _of_labels("f1_samples")
SUBSET_ACCURACY: Final = _of_labels("subset_accuracy")
MEAN_AVERAGE_PRECISION: Final = _of_labels("mean_average_precision")
