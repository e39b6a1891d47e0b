"""Metrics of numbers on one split, as scikit-learn and SciPy define them; 0 where those have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpo.spec.study import Direction
from hpo.tasks.scorer import Scorer

Numbers = NDArray[np.float64]  # (texts,)


def regression_metrics(
    predictions: NDArray[np.float32], labels: NDArray[np.float32]
) -> dict[str, float]:
    """Score a split.

    Args:
        predictions: (texts, 1).
        labels: (texts,), in the same unit.

    Returns:
        The root of the mean squared error and the mean absolute error, in that unit, Spearman's rank
        correlation, and the share of the variance that is explained.
    """
    found, true = predictions[:, 0].astype(np.float64), labels.astype(np.float64)
    return {name: metric(found, true) for name, metric in _METRICS.items()}


def _rmse(found: Numbers, true: Numbers) -> float:
    return float(np.sqrt(np.square(found - true).mean()))


def _mae(found: Numbers, true: Numbers) -> float:
    return float(np.abs(found - true).mean())


def _spearman(found: Numbers, true: Numbers) -> float:
    a, b = (_ranks(values) - (len(values) + 1) / 2 for values in (found, true))
    spread = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / spread) if spread else 0.0


def _r2(found: Numbers, true: Numbers) -> float:
    spread = np.square(true - true.mean()).sum()
    return float(1 - np.square(found - true).sum() / spread) if spread else 0.0


def _ranks(values: Numbers) -> Numbers:
    """From 1; equal values have the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: Numbers = np.cumsum(counts) - (counts - 1) / 2
    return means[places]


_METRICS: Final = {"rmse": _rmse, "mae": _mae, "spearman": _spearman, "r2": _r2}


def _of_numbers(metric: Callable[[Numbers, Numbers], float], direction: Direction) -> Scorer:
    def score(predictions: NDArray[np.float32], labels: NDArray[np.float32]) -> float:
        return metric(predictions[:, 0].astype(np.float64), labels.astype(np.float64))

    return Scorer(score, direction, ("regression",))


RMSE: Final = _of_numbers(_rmse, "minimize")
MAE: Final = _of_numbers(_mae, "minimize")
SPEARMAN: Final = _of_numbers(_spearman, "maximize")
R2: Final = _of_numbers(_r2, "maximize")
