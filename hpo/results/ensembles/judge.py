"""How good probabilities are by a study's metric, and which of two are better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpo.spec.study import Metric, direction_of
from hpo.tasks.task import Labels, Probabilities, Task


@dataclass(frozen=True)
class Judge:
    """A study's metric on probabilities.

    Attributes:
        task: What the texts are asked.
        metric: The study's.
    """

    task: Task
    metric: Metric

    @property
    def sign(self) -> int:
        """1 where more of the metric is better, else -1."""
        return 1 if direction_of(self.metric) == "maximize" else -1

    def score(self, probabilities: Probabilities, labels: Labels) -> float:
        """The metric of one split's probabilities, (texts, scores)."""
        return self.task.metrics(probabilities, labels, [self.metric])[self.metric]

    def rank(self, probabilities: Probabilities, labels: Labels) -> tuple[float, float]:
        """What orders probabilities, better ones higher: the metric and, of equals, the lower loss.

        On few texts accuracy does not tell most candidates apart.
        """
        scores = self.task.metrics(probabilities, labels, [self.metric])
        return self.sign * scores[self.metric], -scores[self.task.loss_metric]

    def best_first(self, of_trials: Probabilities, labels: Labels) -> list[int]:
        """Trials by their rank; of equals the earlier.

        Args:
            of_trials: (trials, texts, scores).
            labels: The texts'.
        """
        ranks = [self.rank(each, labels) for each in of_trials]
        return sorted(range(len(ranks)), key=lambda trial: ranks[trial], reverse=True)


def mean_of(of_trials: Probabilities, members: list[int]) -> Probabilities:
    """The mean of the members' probabilities, one that is named twice counted twice: (texts, scores)."""
    mean: Probabilities = of_trials[members].mean(0, dtype=np.float64).astype(np.float32)
    return mean
