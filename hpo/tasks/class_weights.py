"""Balanced weights: texts of rare classes count for more, in the formula of scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo.tasks.task import Weights


def balanced(classes: NDArray[np.int64]) -> Weights:
    """n / (classes that have texts * texts of the class) for each of n texts; 1 in the mean.

    After King and Zeng, 2001.

    Args:
        classes: The texts', (texts,).
    """
    counts = np.bincount(classes)
    of_class = len(classes) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    weights: Weights = of_class[classes].astype(np.float32)
    return weights


def balanced_labels(labels: NDArray[np.float32]) -> Weights:
    """The same for each label by itself, whose two classes are the texts with it and those without.

    Args:
        labels: 0 or 1 each, (texts, labels).

    Returns:
        (texts, labels).
    """
    return np.stack([balanced(column.astype(np.int64)) for column in labels.T], axis=1)
