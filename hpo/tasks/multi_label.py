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
from hpo.tasks.temperature import tempered_threshold
from hpo.tasks.thresholds import USUAL_THRESHOLD, best_thresholds


@dataclass(frozen=True)
class MultiLabel(Task):
    """Each text has any of the labels, or none. Labels are 0 or 1 each, (texts, labels) float32.

    Attributes:
        thresholds: The least probability at which a text is given each label, or empty: one half.
            While a trial trains it is one half, so that its score owes nothing to thresholds that
            were fitted to the texts that it is measured on; they are tuned once, at its end.
        temperature: What logits are divided by; 1 while a trial trains. The thresholds are of the
            probabilities that come of it.
    """

    name: str = "multi_label"
    problem_type: str = "multi_label_classification"
    loss_metric: str = "log_loss"
    thresholds: tuple[float, ...] = ()
    temperature: float = 1.0

    @property
    def facts(self) -> Mapping[str, Any]:
        """The thresholds, in the order of the labels, and the temperature, unless it is 1."""
        cooled = {} if self.temperature == 1 else {"temperature": self.temperature}
        return {"thresholds": list(self.thresholds), **cooled}

    def with_facts(self, facts: Mapping[str, Any]) -> Task:
        """With the thresholds and the temperature that are told of."""
        thresholds = tuple(map(float, facts.get("thresholds", ())))
        return replace(
            self, thresholds=thresholds, temperature=float(facts.get("temperature", 1.0))
        )

    def tempered(self, temperature: float) -> Task:
        """With this temperature, and thresholds that the same texts reach."""
        moved = (
            tempered_threshold(each, temperature / self.temperature) for each in self.thresholds
        )
        return replace(self, thresholds=tuple(moved), temperature=temperature)

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
        return (logits if self.temperature == 1 else logits / self.temperature).sigmoid()

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
        """The thresholds, which transformers does not read and our pyfunc does, and the temperature."""
        return {"thresholds": list(self.thresholds), **super().config}


MULTI_LABEL: Final[Task] = MultiLabel()
