"""Classification with one label a text: a softmax over the classes, trained by cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hpo.spec.training import TrialParams
from hpo.tasks.metrics import classification_metrics, confusion
from hpo.tasks.task import Labels, Probabilities, Task, Weights


@dataclass(frozen=True)
class SingleLabel:
    """Each text is of one of the classes. Labels are class indices, (texts,) int64."""

    name: str = "single_label"
    problem_type: str = "single_label_classification"
    loss_metric: str = "log_loss"

    def outputs(self, label_names: Sequence[str]) -> int:
        """One logit for each class."""
        return len(label_names)

    def weights(self, labels: Labels, params: TrialParams) -> Weights | None:
        """None: all texts count alike."""
        return None

    def loss(
        self, logits: Tensor, labels: Tensor, *, weights: Tensor | None, params: TrialParams
    ) -> Tensor:
        """Cross-entropy, summed; with the smoothing of Szegedy et al., 2016."""
        smoothing = params.label_smoothing
        if weights is None:
            return functional.cross_entropy(
                logits, labels, reduction="sum", label_smoothing=smoothing
            )
        of_each = functional.cross_entropy(
            logits, labels, reduction="none", label_smoothing=smoothing
        )
        return (weights * of_each).sum()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Class probabilities, (texts, classes), which add up to 1."""
        return logits.softmax(-1)

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


SINGLE_LABEL: Final[Task] = SingleLabel()
