"""Classification with one label a text: a softmax over the classes, or for two classes one sigmoid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.spec.training import TrialParams
from hpo.tasks.class_weights import balanced
from hpo.tasks.losses import binary_cross_entropy, cross_entropy
from hpo.tasks.metrics import classification_metrics, confusion
from hpo.tasks.task import Labels, Probabilities, Task, Weights, cooled_head


@dataclass(frozen=True)
class SingleLabel(Task):
    """Each text is of one of the classes. Labels are class indices, (texts,) int64.

    Attributes:
        temperature: What logits are divided by; 1 while a trial trains.
    """

    name: str = "single_label"
    problem_type: str = "single_label_classification"
    loss_metric: str = "log_loss"
    temperature: float = 1.0

    @property
    def facts(self) -> Mapping[str, Any]:
        """The temperature, unless it is 1."""
        return {} if self.temperature == 1 else {"temperature": self.temperature}

    def with_facts(self, facts: Mapping[str, Any]) -> Task:
        """With the temperature that is told of."""
        return replace(self, temperature=float(facts.get("temperature", 1.0)))

    def tempered(self, temperature: float) -> Task:
        """With this temperature, which leaves the likeliest class what it is."""
        return replace(self, temperature=temperature)

    def of_trial(self, labels: Labels, params: TrialParams) -> Task:
        """With the trial's head."""
        return _HEADS[params.head]

    def outputs(self, label_names: Sequence[str]) -> int:
        """One logit for each class."""
        return len(label_names)

    def weights(self, labels: Labels, params: TrialParams) -> Weights | None:
        """(texts,) where classes are balanced."""
        return balanced(labels) if params.class_weight == "balanced" else None

    def loss(
        self, logits: Tensor, labels: Tensor, *, weights: Tensor | None, params: TrialParams
    ) -> Tensor:
        """Cross-entropy, summed."""
        smoothing, gamma = params.label_smoothing, params.focal_gamma
        return cross_entropy(logits, labels, weights, smoothing=smoothing, gamma=gamma)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Class probabilities, (texts, classes), which add up to 1."""
        return (logits if self.temperature == 1 else logits / self.temperature).softmax(-1)

    def predictions(self, probabilities: Probabilities) -> Labels:
        """The likeliest class of each text, (texts,) int64."""
        likeliest: Labels = probabilities.argmax(1)
        return likeliest

    def metrics(
        self, probabilities: Probabilities, labels: Labels, wanted: Sequence[str] = ()
    ) -> dict[str, float]:
        """Those of `classification_metrics`."""
        return classification_metrics(probabilities, labels, wanted)

    def confusion(self, probabilities: Probabilities, labels: Labels) -> NDArray[np.int64]:
        """(classes, classes): texts of the row's class that were given the column's."""
        return confusion(probabilities, labels)


@dataclass(frozen=True)
class SingleLabelSigmoid(SingleLabel):
    """The same with two classes and one logit: that of the second against the first."""

    name: str = "single_label_sigmoid"

    def outputs(self, label_names: Sequence[str]) -> int:
        """One logit, whatever the two classes are."""
        return 1

    def loss(
        self, logits: Tensor, labels: Tensor, *, weights: Tensor | None, params: TrialParams
    ) -> Tensor:
        """Binary cross-entropy, summed."""
        targets = labels[:, None].to(logits.dtype)
        smoothing, gamma = params.label_smoothing, params.focal_gamma
        return binary_cross_entropy(logits, targets, weights, smoothing=smoothing, gamma=gamma)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Class probabilities, (texts, 2), which add up to 1."""
        cooled = logits if self.temperature == 1 else logits / self.temperature
        return torch.cat([-cooled, cooled], 1).sigmoid()

    def plain_head(self, head: Tensor, norm_bias: Tensor) -> tuple[Tensor, Tensor]:
        """Two rows, the first of zeros: the softmax of 0 and z is the sigmoid of z, with both names."""
        cooled = cooled_head(head, self.temperature)
        return torch.cat([torch.zeros_like(cooled), cooled]), norm_bias


SINGLE_LABEL: Final[Task] = SingleLabel()
SINGLE_LABEL_SIGMOID: Final[Task] = SingleLabelSigmoid()

_HEADS: Final = {"softmax": SINGLE_LABEL, "sigmoid": SINGLE_LABEL_SIGMOID}
