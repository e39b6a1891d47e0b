"""Stacking: a multinomial logistic regression on the members' log-probabilities (Wolpert, 1992)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from hpo.results.ensembles.honest import halves
from hpo.tasks.task import Labels, Probabilities

LEAST_PROBABILITY: Final = 1e-6
"""Probabilities are raised to it before their logarithm is taken."""

_STRENGTHS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # scikit-learn's C
_SURE: Final = 0.9


@dataclass(frozen=True, eq=False)
class Stack:
    """Logits as a linear function of the members' log-probabilities.

    Attributes:
        coefficients: (members, classes in, classes out).
        intercepts: (classes,).
    """

    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    def probabilities(self, of_members: Probabilities) -> Probabilities:
        """Of texts, (texts, classes), from the members', (members, texts, classes)."""
        members, classes, _ = self.coefficients.shape
        flat = self.coefficients.reshape(members * classes, classes)
        logits = _features(of_members) @ flat + self.intercepts
        shares = np.exp(logits - logits.max(1, keepdims=True))
        found: Probabilities = (shares / shares.sum(1, keepdims=True)).astype(np.float32)
        return found


def stack(of_members: Probabilities, labels: Labels, *, seed: int) -> Stack:
    """Fit a stack, as strongly regularised as serves best from one half of the texts to the other.

    Args:
        of_members: (members, texts, classes), of texts that no member was trained on.
        labels: Their classes, (texts,) int64.
        seed: Of the halves.
    """
    first = halves(labels, seed)
    losses = [
        sum(
            _log_loss(
                _fit(of_members[:, fitted], labels[fitted], strength), of_members, labels, fitted
            )
            for fitted in (first, ~first)
        )
        for strength in _STRENGTHS
    ]
    return _fit(of_members, labels, _STRENGTHS[int(np.argmin(losses))])


def _fit(of_members: Probabilities, labels: Labels, strength: float) -> Stack:
    members, _, classes = of_members.shape
    every_class = np.arange(classes)
    # One made-up text a class, on which all members are right, so that none is unheard of.
    right = np.full((classes, classes), (1 - _SURE) / max(classes - 1, 1), np.float32)
    np.fill_diagonal(right, _SURE)
    known = np.concatenate([of_members, np.broadcast_to(right, (members, classes, classes))], 1)
    model = LogisticRegression(C=strength, max_iter=500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what it has by then serves
        model.fit(_features(known), np.concatenate([labels, every_class]))
    coefficients, intercepts = model.coef_.T, model.intercept_
    if classes == 2:  # scikit-learn has one logit for two classes
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2], 1)
        intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
    return Stack(coefficients.reshape(members, classes, classes), intercepts)


def _log_loss(
    fitted: Stack, of_members: Probabilities, labels: Labels, seen: NDArray[np.bool_]
) -> float:
    """Summed over the texts that the stack was not fitted on."""
    shares = fitted.probabilities(of_members[:, ~seen])
    of_label = shares[np.arange(len(shares)), labels[~seen]]
    return float(-np.log(np.maximum(of_label, LEAST_PROBABILITY)).sum())


def _features(of_members: Probabilities) -> NDArray[np.float64]:
    """(texts, members * classes): log-probabilities side by side."""
    members, texts, classes = of_members.shape
    logs = np.log(np.maximum(of_members.astype(np.float64), LEAST_PROBABILITY))
    return logs.transpose(1, 0, 2).reshape(texts, members * classes)
