"""Stacking: a multinomial logistic regression on the members' log-probabilities (Wolpert, 1992)."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpo.model.combination import LEAST, Combination
from hpo.results.ensembles.honest import halves
from hpo.tasks.task import Labels, Probabilities

_STRENGTHS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # scikit-learn's C
_SURE: Final = 0.9


def stack(of_members: Probabilities, labels: Labels, *, seed: int) -> Combination:
    """Fit a stack, as strongly regularised as serves best from one half of the texts to the other.

    Args:
        of_members: (members, texts, classes), of texts that no member was trained on.
        labels: Their classes, (texts,) int64.
        seed: Of the halves.
    """
    first = halves(labels, seed)
    losses = [
        sum(_loss_on_the_rest(of_members, labels, half, strength) for half in (first, ~first))
        for strength in _STRENGTHS
    ]
    return _fit(of_members, labels, _STRENGTHS[int(np.argmin(losses))])


def _fit(of_members: Probabilities, labels: Labels, strength: float) -> Combination:
    # Here, for it takes seconds to import, and few studies are stacked.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    members, _, classes = of_members.shape
    # One made-up text a class, on which all members are right, so that none is unheard of.
    right = np.full((classes, classes), (1 - _SURE) / max(classes - 1, 1), np.float32)
    np.fill_diagonal(right, _SURE)
    made_up = np.broadcast_to(right, (members, classes, classes))
    model = LogisticRegression(C=strength, max_iter=500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what it has by then serves
        model.fit(
            _features(np.concatenate([of_members, made_up], 1)),
            np.concatenate([labels, np.arange(classes)]),
        )
    matrix, bias = model.coef_.T, model.intercept_
    if classes == 2:  # scikit-learn has one logit for two classes
        matrix = np.concatenate([-matrix / 2, matrix / 2], 1)
        bias = np.concatenate([-bias / 2, bias / 2])
    return Combination.stacking(matrix, bias)


def _loss_on_the_rest(
    of_members: Probabilities, labels: Labels, fitted: NDArray[np.bool_], strength: float
) -> float:
    """The summed log loss on the texts that a stack was not fitted on."""
    stacked = _fit(of_members[:, fitted], labels[fitted], strength)
    shares = stacked.of(list(of_members[:, ~fitted]))
    of_label = shares[np.arange(len(shares)), labels[~fitted]]
    return float(-np.log(np.maximum(of_label, LEAST)).sum())


def _features(of_members: Probabilities) -> NDArray[np.float64]:
    """(texts, members * classes): log-probabilities side by side."""
    return np.concatenate(list(np.log(np.maximum(of_members.astype(np.float64), LEAST))), axis=1)
