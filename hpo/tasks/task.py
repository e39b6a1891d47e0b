"""The protocol of a task: all that training, evaluation, saving and export need to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hpo.spec.training import TrialParams

if TYPE_CHECKING:
    from torch import Tensor  # which a metric's direction, looked up early, does without

Labels = NDArray[Any]
"""One row a text: classes (texts,) int64, several labels (texts, labels) float32, numbers (texts,)."""

Probabilities = NDArray[np.float32]
"""(texts, scores): what `Task.probabilities` makes of logits."""

TEMPERATURE_IN_HEAD: Final = "temperature_in_head"
"""In the configuration of a plain model: what the rows of its head have been divided by."""

Weights = NDArray[np.float32]
"""What each text counts for in the loss, (texts,), or each of its outputs, (texts, outputs)."""


class Task(Protocol):
    """What the texts are asked, from the logits on.

    To add a task, write one file with a subclass of this and enter an object of it in
    `hpo.tasks.TASKS`. What has a body here is right for most tasks.
    """

    @property
    def name(self) -> str:
        """Its name in `TASKS`, which saved classifiers and checkpoints keep."""

    @property
    def problem_type(self) -> str:
        """What transformers calls it in a model's configuration."""

    @property
    def loss_metric(self) -> str:
        """The metric, among `metrics`, that is comparable with the training loss."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What it has learnt from data, as JSON, which saved classifiers keep beside its name."""
        return {}

    def with_facts(self, facts: Mapping[str, Any]) -> Task:
        """The task that has learnt what `facts` told."""
        return self

    def of_trial(self, labels: Labels, params: TrialParams) -> Task:
        """The task as one trial trains it.

        Args:
            labels: Of the trial's training texts.
            params: The trial's.
        """
        return self

    def tuned(self, probabilities: Probabilities, labels: Labels) -> Task:
        """The task as a finished trial answers it, which may learn how from the validation texts.

        Args:
            probabilities: The trial's of these texts, (texts, scores).
            labels: Theirs.
        """
        return self

    @property
    def temperature(self) -> float:
        """What logits are divided by before they become probabilities."""
        return 1.0

    def tempered(self, temperature: float) -> Task:
        """The task whose probabilities are of so many times smaller logits, and whose answers are the same.

        It is the task itself where there are no probabilities.
        """
        return self

    def outputs(self, label_names: Sequence[str]) -> int:
        """How many logits a text gets, which need not be as many as there are labels."""

    def weights(self, labels: Labels, params: TrialParams) -> Weights | None:
        """What each text of a training split counts for; None where all count alike.

        Args:
            labels: Theirs.
            params: The trial's; `class_weight` is what is read of them.

        Returns:
            (texts,) float32, or a weight for each output, (texts, outputs) float32.
        """
        return None

    def loss(
        self, logits: Tensor, labels: Tensor, *, weights: Tensor | None, params: TrialParams
    ) -> Tensor:
        """The loss of a batch, summed over its texts.

        It is recorded in CUDA graphs, so nothing in it may read a tensor back from the device.

        Args:
            logits: (texts, outputs) fp32.
            labels: Those of the same texts, on the same device.
            weights: What each text counts for, as `weights` has them; None: 1 each.
            params: The trial's; `label_smoothing` and whatever else the task reads of them.

        Returns:
            A scalar with a gradient.
        """

    def probabilities(self, logits: Tensor) -> Tensor:
        """What people are told of each text, (texts, scores) fp32, from logits (texts, outputs)."""

    def predictions(self, probabilities: Probabilities) -> Labels:
        """The answer to each text, in the form of the labels."""

    def answers(self, probabilities: Probabilities, label_names: Sequence[str]) -> list[Any]:
        """The answer to each text, as people read it: the name of its label unless the task has others."""
        return [label_names[index] for index in self.predictions(probabilities)]

    def metrics(
        self, probabilities: Probabilities, labels: Labels, wanted: Sequence[str] = ()
    ) -> dict[str, float]:
        """Metrics by name over the texts of a split.

        Args:
            probabilities: What `probabilities` made of their logits.
            labels: Theirs.
            wanted: Names of further metrics, which are not computed unless asked for.

        Returns:
            `loss_metric` among them.
        """

    def confusion(self, probabilities: Probabilities, labels: Labels) -> NDArray[np.int64]:
        """(classes, classes): texts of the row's class that were given the column's.

        Empty, (0, 0), where a text is not of exactly one class.
        """
        return np.empty((0, 0), np.int64)

    def plain_head(self, head: Tensor, norm_bias: Tensor) -> tuple[Tensor, Tensor]:
        """The head for a plain transformers model, whose logits are then read without this task.

        Args:
            head: As it was trained, (outputs, width).
            norm_bias: The bias of the norm before it, (width,).

        Returns:
            A head with a row for each label name, and a norm bias.
        """
        return cooled_head(head, self.temperature), norm_bias

    @property
    def config(self) -> Mapping[str, Any]:
        """What a plain transformers model keeps of it in its configuration, besides its problem type."""
        return {TEMPERATURE_IN_HEAD: self.temperature} if self.temperature != 1 else {}


def cooled_head(head: Tensor, temperature: float) -> Tensor:
    """The head whose logits are those of `head` divided by a temperature; computed in fp64, rounded once."""
    return head if temperature == 1 else (head.double() / temperature).to(head.dtype)


def tuned_facts(task: Task, probabilities: Probabilities, labels: Labels) -> dict[str, Any]:
    """What `task.tuned` learns that the task does not know yet, as JSON.

    Args:
        task: What the texts are asked.
        probabilities: Of some texts that nobody was trained on, (texts, scores).
        labels: Theirs.
    """
    known, learnt = task.facts, task.tuned(probabilities, labels).facts
    return {name: fact for name, fact in learnt.items() if fact != known.get(name)}
