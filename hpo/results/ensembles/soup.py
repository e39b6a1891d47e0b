"""Weight soups: the mean of trained weights as one model (Wortsman et al., 2022)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.results.ensembles.judge import Judge
from hpo.tasks.task import Labels, Probabilities

Cook = Callable[[tuple[int, ...]], Probabilities]
"""The probabilities, (texts, scores), that the soup of these trials gives all validation texts."""


def mean_weights(of_trials: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each weight over the trials, in the number format that they have.

    Args:
        of_trials: Weights by name, the same names and shapes in all.
    """
    first = of_trials[0]
    return {
        name: torch.stack([each[name].double() for each in of_trials]).mean(0).to(tensor.dtype)
        for name, tensor in first.items()
    }


def greedy_soup(
    judge: Judge, cook: Cook, best_first: Sequence[int], labels: Labels, texts: NDArray[np.int64]
) -> tuple[int, ...]:
    """Add trials to the soup, the best first, and leave out those with which it is worse.

    Args:
        judge: Says which are better.
        cook: Gives the probabilities of a soup.
        best_first: The trials that may go in.
        labels: Those of all validation texts.
        texts: Indices of the texts by which it is judged.

    Returns:
        The trials of the soup, the best first.
    """
    soup: tuple[int, ...] = ()
    best: tuple[float, float] | None = None
    for trial in best_first:
        rank = judge.rank(cook((*soup, trial))[texts], labels[texts])
        if best is None or rank >= best:
            soup, best = (*soup, trial), rank
    return soup
