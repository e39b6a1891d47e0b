"""Ensembles that are chosen by validation probabilities alone: by name, members and how they are combined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.model.combination import Combination
from hpo.results.ensembles.honest import Choice
from hpo.results.ensembles.judge import Judge
from hpo.results.ensembles.selection import greedy, top
from hpo.results.ensembles.stacking import stack
from hpo.spec.ensemble_methods import EnsembleMethod
from hpo.tasks.task import Labels, Probabilities


@dataclass(frozen=True)
class Chosen:
    """An ensemble of trials.

    Attributes:
        members: Trials by their place among those that were chosen from, each once.
        combination: What becomes of their probabilities.
    """

    members: tuple[int, ...]
    combination: Combination

    def answers(self, of_trials: Probabilities) -> Probabilities:
        """The probabilities that it gives, (texts, scores), from the trials', (trials, texts, scores)."""
        return self.combination.of(list(of_trials[list(self.members)]))


def choose(
    method: EnsembleMethod,
    judge: Judge,
    of_trials: Probabilities,
    labels: Labels,
    *,
    size: int,
    seed: int,
) -> Chosen:
    """Choose an ensemble by what trials answered.

    Args:
        method: "vote", "greedy" or "stacking".
        judge: Says which answers are better.
        of_trials: (trials, texts, scores).
        labels: The texts'.
        size: Members, or rounds of the greedy choice.
        seed: Of what is drawn in stacking.
    """
    if method == "greedy":
        bag = greedy(judge, of_trials, labels, size)
        members = tuple(dict.fromkeys(bag))
        return Chosen(members, Combination.mean([bag.count(member) for member in members]))
    members = tuple(top(judge, of_trials, labels, size))
    if method == "vote":
        return Chosen(members, Combination.mean([1.0] * len(members)))
    assert method == "stacking", f"{method} is not chosen by probabilities alone"
    return Chosen(members, stack(of_trials[list(members)], labels, seed=seed))


def choice_by(
    method: EnsembleMethod,
    judge: Judge,
    of_trials: Probabilities,
    labels: Labels,
    *,
    size: int,
    seed: int,
) -> Choice:
    """The choice of `choose`, for cross-fitting."""

    def choice(texts: NDArray[np.int64]) -> Probabilities:
        known = of_trials[:, texts]
        return choose(method, judge, known, labels[texts], size=size, seed=seed).answers(of_trials)

    return choice
