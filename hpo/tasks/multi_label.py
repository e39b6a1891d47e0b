"""Classification with any number of labels a text: a sigmoid for each, with a threshold of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from torch import Tensor

from hpo.spec.training import TrialParams
from hpo.tasks.class_weights import balanced_labels
from hpo.tasks.losses import binary_cross_entropy
from hpo.tasks.multi_label_metrics import multi_label_metrics
from hpo.tasks.scorer import further_metrics
from hpo.tasks.task import Labels, Probabilities, Task, Weights
from hpo.tasks.thresholds import USUAL_THRESHOLD, best_thresholds


@dataclass(frozen=True)
class MultiLabel(Task):
    """Each text has any of the labels, or none. Labels are 0 or 1 each, (texts, labels) float32.

    Attributes:
        thresholds: The least probability at which a text is given each label, or empty: one half.
            While a trial trains it is one half, so that its score owes nothing to thresholds that
            were fitted to the texts that it is measured on; they are tuned once, at its end.
    """

    name: str = "multi_label"
    problem_type: str = "multi_label_classification"
    loss_metric: str = "log_loss"
    thresholds: tuple[float, ...] = ()

    @property
    def facts(self) -> Mapping[str, Any]:
        """The thresholds, in the order of the labels."""
        return {"thresholds": list(self.thresholds)}

    def with_facts(self, facts: Mapping[str, Any]) -> Task:
        """With the thresholds that are told of."""
        return replace(self, thresholds=tuple(map(float, facts.get("thresholds", ()))))

    def tuned(self, probabilities: Probabilities, labels: Labels) -> Task:
        """With the threshold of each label that gives the best F1 on these texts."""
        return replace(self, thresholds=best_thresholds(probabilities, labels))

    def outputs(self, label_names: Sequence[str]) -> int:
        """One logit for each label."""
        return len(label_names)

    def weights(self, labels: Labels, params: TrialParams) -> Weights | None:
        """(texts, labels) where classes are balanced, each label by itself."""
        return balanced_labels(labels) if params.class_weight == "balanced" else None

    def loss(
        self, logits: Tensor, labels: Tensor, *, weights: Tensor | None, params: TrialParams
    ) -> Tensor:
        """Binary cross-entropy, the mean over the labels, summed over the texts."""
        smoothing, gamma = params.label_smoothing, params.focal_gamma
        return binary_cross_entropy(logits, labels, weights, smoothing=smoothing, gamma=gamma)

    def probabilities(self, logits: Tensor) -> Tensor:
        """The probability of each label by itself, (texts, labels)."""
        return logits.sigmoid()

    def predictions(self, probabilities: Probabilities) -> Labels:
        """1 for each label that reaches its threshold, else 0, (texts, labels) float32."""
        least = np.array(self.thresholds or USUAL_THRESHOLD, np.float64)
        reached: Labels = (probabilities >= least).astype(np.float32)
        return reached

    def answers(self, probabilities: Probabilities, label_names: Sequence[str]) -> list[Any]:
        """The names of each text's labels, a list each."""
        rows = self.predictions(probabilities)
        return [[name for name, has in zip(label_names, row, strict=True) if has] for row in rows]

    def metrics(
        self, probabilities: Probabilities, labels: Labels, wanted: Sequence[str] = ()
    ) -> dict[str, float]:
        """Those of `multi_label_metrics`."""
        scores = multi_label_metrics(probabilities, labels, self.predictions(probabilities))
        return scores | further_metrics(probabilities, labels, wanted, known=scores)

    @property
    def config(self) -> Mapping[str, Any]:
        """The thresholds, which transformers does not read and our pyfunc does."""
        return self.facts


MULTI_LABEL: Final[Task] = MultiLabel()
