"""Honest scores of what is chosen on validation texts: chosen on one half, scored on the other, and in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpo.results.ensembles.judge import Judge
from hpo.tasks.task import Labels, Probabilities

Choice = Callable[[NDArray[np.int64]], Probabilities]
"""Chooses by the texts with these indices alone, and gives the choice's probabilities of all texts."""

_RESAMPLES: Final = 500


@dataclass(frozen=True)
class Comparison:
    """An ensemble and the best single trial, each chosen on one half of the texts and scored on the other.

    Attributes:
        texts: How many validation texts there are.
        single: The metric of the best single trial.
        ensemble: The metric of the ensemble.
        gain: How much better the ensemble is; below 0, how much worse it is.
        interval: Of the gain, 95 %, over bootstraps of the texts (Efron, 1979).
    """

    texts: int
    single: float
    ensemble: float
    gain: float
    interval: tuple[float, float]


def halves(labels: Labels, seed: int) -> NDArray[np.bool_]:
    """Two halves that are alike in their labels: of each class one has as many texts as the other, or one more.

    Args:
        labels: (texts,) classes or values, or (texts, labels).
        seed: Of which texts of the same label come where.

    Returns:
        (texts,) True for the texts of the first half.
    """
    random = np.random.default_rng(seed)
    columns = labels.reshape(len(labels), -1).T
    in_order = np.lexsort([random.random(len(labels)), *columns])
    first = np.zeros(len(labels), np.bool_)
    first[in_order[random.integers(2) :: 2]] = True
    return first


def cross_fitted(choice: Choice, labels: Labels, seed: int) -> Probabilities:
    """Probabilities of all texts, each by what was chosen on the half in which it is not.

    Args:
        choice: What is to be judged.
        labels: The texts', two at least.
        seed: Of the halves.

    Returns:
        (texts, scores).
    """
    first = halves(labels, seed)
    of_second, of_first = (choice(np.flatnonzero(half)) for half in (first, ~first))
    found: Probabilities = np.where(first[:, None], of_first, of_second)
    return found


def compare(
    judge: Judge, single: Probabilities, ensemble: Probabilities, labels: Labels, seed: int
) -> Comparison:
    """Compare two ways to answer the same texts.

    Args:
        judge: The metric.
        single: Cross-fitted probabilities of the best single trial, (texts, scores).
        ensemble: Those of the ensemble.
        labels: The texts'.
        seed: Of the bootstraps.
    """
    random, texts, gains = np.random.default_rng(seed), len(labels), []
    for _ in range(_RESAMPLES):
        drawn = random.integers(0, texts, texts)
        scores = [judge.score(each[drawn], labels[drawn]) for each in (ensemble, single)]
        gains.append(judge.sign * (scores[0] - scores[1]))
    of_single, of_ensemble = judge.score(single, labels), judge.score(ensemble, labels)
    return Comparison(
        texts=texts,
        single=of_single,
        ensemble=of_ensemble,
        gain=judge.sign * (of_ensemble - of_single),
        interval=(float(np.quantile(gains, 0.025)), float(np.quantile(gains, 0.975))),
    )


def best_single(judge: Judge, of_trials: Probabilities, labels: Labels) -> Choice:
    """The choice of one trial out of all, (trials, texts, scores)."""

    def choice(texts: NDArray[np.int64]) -> Probabilities:
        best: Probabilities = of_trials[judge.best_first(of_trials[:, texts], labels[texts])[0]]
        return best

    return choice
