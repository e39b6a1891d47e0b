"""Boosting with more than two classes: SAMME over the weights of training texts (Zhu et al., 2009)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Round:
    """What a member of a boosted ensemble comes to.

    Attributes:
        error: The weights of the texts that it got wrong, of all.
        alpha: Its weight in the vote; 0 where it is no better than a guess and does not count.
        weights: Of the texts for the next member, (texts,) with mean 1; None where there is to be none.
    """

    error: float
    alpha: float
    weights: NDArray[np.float64] | None


def samme_round(weights: NDArray[np.float64], wrong: NDArray[np.bool_], classes: int) -> Round:
    """The step of SAMME after a member is trained.

    A member that gets all right ends boosting, with the vote of one that erred on half a text: the paper's
    would be infinite. One that is no better than a guess ends it, too, and has none.

    Args:
        weights: With which the member was trained, (texts,).
        wrong: The training texts that it gets wrong, (texts,).
        classes: How many there are.
    """
    error = float(weights[wrong].sum() / weights.sum())
    if error >= 1 - 1 / classes:
        return Round(error, 0.0, None)
    least = 0.5 / len(weights)
    alpha = math.log(max(1 - error, least) / max(error, least)) + math.log(classes - 1)
    if error == 0:
        return Round(error, alpha, None)
    grown = weights * np.exp(alpha * wrong)
    return Round(error, alpha, grown / grown.mean())
