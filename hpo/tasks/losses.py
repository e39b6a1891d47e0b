"""Losses of logits, summed over the texts of a batch: cross-entropies, smoothed, weighed, focal.

The focal loss (Lin et al., 2017) counts each part of a cross-entropy for (1 - p)^gamma, where p is
the probability of what that part wants: the better a text is told already, the less it counts.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_LEAST_DOUBT = torch.finfo(torch.float32).eps  # below it powers under 1 have no finite slope


def cross_entropy(
    logits: Tensor, classes: Tensor, weights: Tensor | None, *, smoothing: float, gamma: float
) -> Tensor:
    """The cross-entropy of a softmax, with the smoothing of Szegedy et al., 2016.

    Args:
        logits: (texts, classes).
        classes: The texts', (texts,) int64.
        weights: (texts,); None: 1 each.
        smoothing: The mass that is spread over all classes.
        gamma: Of the focal loss; 0: plain cross-entropy.
    """
    if gamma:
        of_each = _focal_of_classes(logits, classes, smoothing, gamma)
        return (of_each if weights is None else weights * of_each).sum()
    if weights is None:
        return functional.cross_entropy(logits, classes, reduction="sum", label_smoothing=smoothing)
    of_each = functional.cross_entropy(logits, classes, reduction="none", label_smoothing=smoothing)
    return (weights * of_each).sum()


def binary_cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor | None, *, smoothing: float, gamma: float
) -> Tensor:
    """The cross-entropy of sigmoids: the mean over a text's outputs, as transformers has it.

    Args:
        logits: (texts, outputs).
        targets: 0 or 1 each, (texts, outputs) fp32.
        weights: (texts,), or (texts, outputs); None: 1 each.
        smoothing: The mass that is spread over both answers.
        gamma: Of the focal loss; 0: plain cross-entropy.
    """
    if smoothing:
        targets = targets * (1 - smoothing) + smoothing / 2
    of_each = (
        _focal_of_outputs(logits, targets, gamma)
        if gamma
        else functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    )
    if weights is not None:
        of_each = of_each * (weights[:, None] if weights.ndim == 1 else weights)
    return of_each.mean(1).sum()


def squared_error(values: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """The squared error of numbers, (texts,), with weights (texts,); None: 1 each."""
    of_each = (values - targets).square()
    return (of_each if weights is None else weights * of_each).sum()


def _focal_of_classes(logits: Tensor, classes: Tensor, smoothing: float, gamma: float) -> Tensor:
    logs = logits.log_softmax(-1)
    parts = (1 - logs.exp()).clamp_min(_LEAST_DOUBT) ** gamma * logs
    of_each = functional.nll_loss(parts, classes, reduction="none")
    if smoothing:
        of_each = (1 - smoothing) * of_each - smoothing * parts.mean(1)
    return of_each


def _focal_of_outputs(logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    # Minus the logarithms of the probabilities of 1 and of 0, which the other one's doubt is a power of.
    one, zero = functional.softplus(-logits), functional.softplus(logits)
    return targets * (-gamma * zero).exp() * one + (1 - targets) * (-gamma * one).exp() * zero
