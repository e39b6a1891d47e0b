"""Regression: one number a text, by least squares, in the units of the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from torch import Tensor

from hpo.spec.training import TrialParams
from hpo.tasks.losses import squared_error
from hpo.tasks.regression_metrics import regression_metrics
from hpo.tasks.scorer import further_metrics
from hpo.tasks.task import Labels, Probabilities, Task


@dataclass(frozen=True)
class Regression(Task):
    """Each text has a number. Labels are these numbers, (texts,) float32.

    The head has no bias and starts near 0, and steps are as large as the learning rate says, whatever
    the unit is: so it learns numbers of mean 0 and deviation 1. Those of the training labels are
    undone in everything that leaves this object, and in the plain head.

    Attributes:
        mean: Of the training labels.
        scale: Their standard deviation, or 1 where they are all equal.
    """

    name: str = "regression"
    problem_type: str = "regression"
    loss_metric: str = "standardized_mse"
    mean: float = 0.0
    scale: float = 1.0

    @property
    def facts(self) -> Mapping[str, Any]:
        """Mean and scale."""
        return {"mean": self.mean, "scale": self.scale}

    def with_facts(self, facts: Mapping[str, Any]) -> Task:
        """With the mean and scale that are told of."""
        return replace(self, mean=float(facts["mean"]), scale=float(facts["scale"]))

    def of_trial(self, labels: Labels, params: TrialParams) -> Task:
        """With the mean and scale of the training labels."""
        numbers = labels.astype(np.float64)
        return replace(self, mean=float(numbers.mean()), scale=float(numbers.std()) or 1.0)

    def outputs(self, label_names: Sequence[str]) -> int:
        """One number."""
        return 1

    def loss(
        self, logits: Tensor, labels: Tensor, *, weights: Tensor | None, params: TrialParams
    ) -> Tensor:
        """The squared error in units of the scale, summed over the texts."""
        return squared_error(logits[:, 0], (labels - self.mean) / self.scale, weights)

    def probabilities(self, logits: Tensor) -> Tensor:
        """The numbers, (texts, 1), in the units of the labels."""
        return logits * self.scale + self.mean

    def predictions(self, probabilities: Probabilities) -> Labels:
        """The numbers, (texts,) float32."""
        numbers: Labels = probabilities[:, 0]
        return numbers

    def answers(self, probabilities: Probabilities, label_names: Sequence[str]) -> list[Any]:
        """A float each."""
        numbers: list[Any] = self.predictions(probabilities).tolist()
        return numbers

    def metrics(
        self, probabilities: Probabilities, labels: Labels, wanted: Sequence[str] = ()
    ) -> dict[str, float]:
        """Those of `regression_metrics`, and the mean squared error in units of the scale."""
        scores = regression_metrics(probabilities, labels)
        scores["standardized_mse"] = (scores["rmse"] / self.scale) ** 2
        return scores | further_metrics(probabilities, labels, wanted, known=scores)

    def plain_head(self, head: Tensor, norm_bias: Tensor) -> tuple[Tensor, Tensor]:
        """A head that gives numbers in the units of the labels.

        It is the scale times larger. The mean goes into the norm's bias, along the head, for a head
        of transformers has no bias of its own. Both are computed in fp64 and rounded once.
        """
        scaled = head.double() * self.scale
        shift = self.mean * scaled[0] / scaled.square().sum()
        return scaled.to(head.dtype), (norm_bias.double() + shift).to(norm_bias.dtype)


REGRESSION: Final[Task] = Regression()
