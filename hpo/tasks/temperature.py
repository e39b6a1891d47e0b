"""Temperature scaling: one number by which logits are divided, so that probabilities say how sure one can be.

It imports nothing of ours, for publishing copies it beside an ensemble that is served without hpo.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LOWEST: Final = 0.05
HIGHEST: Final = 20.0
"""A temperature lies between them."""

_HALVINGS: Final = 40
# Below them a probability, or what it lacks to 1, cannot be told from 0 in fp32.
_LEAST: Final = float(np.finfo(np.float32).tiny)
_LEAST_TO_ONE: Final = 2.0**-25


def tempered(
    probabilities: NDArray[np.floating[Any]], temperature: float, *, one_class: bool
) -> NDArray[np.float32]:
    """The probabilities whose logits are so many times smaller; with 1 they are as they were.

    Args:
        probabilities: (texts, scores).
        temperature: Above 0.
        one_class: Whether each text is of one class, whose probabilities add up to 1; else each score
            is a probability by itself.
    """
    if temperature == 1:
        return probabilities.astype(np.float32, copy=False)
    logits = _logits(probabilities, one_class=one_class)
    return _probabilities(logits / temperature, one_class=one_class).astype(np.float32)


def tempered_threshold(threshold: float, temperature: float) -> float:
    """The threshold that tempered probabilities reach where others reach this one, as far as fp32 tells them apart."""
    if temperature == 1 or not 0 < threshold < 1:
        return threshold
    odds = np.log(threshold) - np.log1p(-threshold)
    return float(1 / (1 + np.exp(-odds / temperature)))


def fitted_temperature(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[Any], *, one_class: bool
) -> float:
    """The temperature at which some texts' labels are the likeliest (Guo, Pleiss, Sun and Weinberger, 2017).

    The negative log-likelihood is convex in the inverse temperature, so that halving finds its only
    minimum. Where it has none within the bounds, it is 1: answers that are all right would be made
    as sure as can be, those that are worse than none as unsure.

    Args:
        probabilities: Of texts that were not trained on, (texts, scores).
        labels: Classes (texts,), or 0 and 1 of each score, (texts, scores).
        one_class: As for `tempered`.
    """
    if not len(labels):
        return 1.0
    logits = _logits(probabilities, one_class=one_class)
    targets = np.eye(logits.shape[1])[labels] if one_class else np.asarray(labels, np.float64)

    def slope(inverse: float) -> float:
        """Of the negative log-likelihood, in the inverse temperature."""
        return float(
            ((_probabilities(inverse * logits, one_class=one_class) - targets) * logits).sum()
        )

    low, high = 1 / HIGHEST, 1 / LOWEST
    if slope(low) >= 0 or slope(high) <= 0:
        return 1.0
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    found = float(f"{1 / low:.6g}")
    losses = [_loss(logits / each, targets, one_class=one_class) for each in (found, 1.0)]
    return found if losses[0] <= losses[1] else 1.0


def _logits(probabilities: NDArray[np.floating[Any]], *, one_class: bool) -> NDArray[np.float64]:
    """Logits that give the probabilities; those of one class up to a number that all of a text have in common."""
    exact = np.asarray(probabilities, np.float64)
    logs = np.log(np.maximum(exact, _LEAST))
    return logs if one_class else logs - np.log(np.maximum(1 - exact, _LEAST_TO_ONE))


def _probabilities(logits: NDArray[np.float64], *, one_class: bool) -> NDArray[np.float64]:
    if not one_class:
        return np.asarray(np.exp(-np.logaddexp(0, -logits)))
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True))


def _loss(logits: NDArray[np.float64], targets: NDArray[np.float64], *, one_class: bool) -> float:
    """The negative log-likelihood of all texts together."""
    if not one_class:
        return float((np.logaddexp(0, logits) - targets * logits).sum())
    most = logits.max(1, keepdims=True)
    normalised = logits - most - np.log(np.exp(logits - most).sum(1, keepdims=True))
    return float(-(targets * normalised).sum())
