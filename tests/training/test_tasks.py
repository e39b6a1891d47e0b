"""Another task than the usual one is one object: a trial trains, stops and goes on with it all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hpo.data.sealed import Sealed
from hpo.data.tokens import TokenizedData
from hpo.model.gpt2 import HEAD
from hpo.model.saved import save_transformers
from hpo.spec.training import TrialParams
from hpo.tasks.metrics import classification_metrics, confusion
from hpo.tasks.task import Labels, Probabilities, Task
from hpo.training.checkpoint import CheckpointFile
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.trial_context import TrialContext
from tests.training.tiny_trial import N_LAYER, finish, scores, tiny_context, tiny_data, tiny_params


@dataclass(frozen=True)
class TwoClasses(Task):
    """Two classes told apart by one logit."""

    name: str = "two_classes"
    problem_type: str = "single_label_classification"
    loss_metric: str = "log_loss"

    def outputs(self, label_names: Sequence[str]) -> int:
        return 1

    def loss(
        self, logits: Tensor, labels: Tensor, *, weights: Tensor | None, params: TrialParams
    ) -> Tensor:
        smoothing = params.label_smoothing
        wanted = labels.float() * (1 - smoothing) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(logits[:, 0], wanted, reduction="sum")

    def probabilities(self, logits: Tensor) -> Tensor:
        second = logits[:, :1].sigmoid()
        return torch.cat([1 - second, second], 1)

    def predictions(self, probabilities: Probabilities) -> Labels:
        return (probabilities[:, 1] > 0.5).astype(np.int64)

    def metrics(
        self, probabilities: Probabilities, labels: Labels, wanted: Sequence[str] = ()
    ) -> dict[str, float]:
        return classification_metrics(probabilities, labels)

    def confusion(self, probabilities: Probabilities, labels: Labels) -> NDArray[np.int64]:
        return confusion(probabilities, labels)


@dataclass(frozen=True)
class SeveralLabels(Task):
    """Each text has any of the labels, (texts, labels) float32, or none."""

    name: str = "several_labels"
    problem_type: str = "multi_label_classification"
    loss_metric: str = "log_loss"

    def outputs(self, label_names: Sequence[str]) -> int:
        return len(label_names)

    def loss(
        self, logits: Tensor, labels: Tensor, *, weights: Tensor | None, params: TrialParams
    ) -> Tensor:
        each = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return each.mean(1).sum()

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def predictions(self, probabilities: Probabilities) -> Labels:
        return (probabilities > 0.5).astype(np.float32)

    def metrics(
        self, probabilities: Probabilities, labels: Labels, wanted: Sequence[str] = ()
    ) -> dict[str, float]:
        of_label = np.where(labels > 0.5, probabilities, 1 - probabilities)
        hits = self.predictions(probabilities) == labels
        return {
            "accuracy": float(hits.mean()),
            "log_loss": float(-np.log(of_label.clip(1e-15)).mean()),
        }


def with_label_rows(data: TokenizedData) -> TokenizedData:
    """The same texts, each labelled with its class's row of the unit matrix."""
    rows: Any = np.eye(2, dtype=np.float32)
    splits = (data.train, data.validation, data.test.unsealed())
    train, validation, test = (replace(split, labels=rows[split.labels]) for split in splits)
    return replace(
        data, train=train, validation=validation, test=Sealed(test), fingerprint="label rows"
    )


def bench_of(task: Task, folder: Path, **settings: Any) -> TrialContext:
    data = tiny_data(train=300)
    if isinstance(task, SeveralLabels):
        data = with_label_rows(data)
    return tiny_context(folder, task=task, data=data, **settings)


TASKS = pytest.mark.parametrize("task", [TwoClasses(), SeveralLabels()], ids=lambda task: task.name)


@TASKS
@pytest.mark.parametrize("freeze_depth", [0, 1, N_LAYER])
def test_a_trial_learns_another_task(tmp_path: Path, task: Task, freeze_depth: int) -> None:
    trial = TrialTraining(bench_of(task, tmp_path), tiny_params(freeze_depth=freeze_depth), seed=0)
    result, told = finish(trial)
    losses = [evaluation.metrics["train/loss"] for evaluation in told]
    assert losses[-1] < losses[0]
    assert told[-1].metrics["val/loss"] == told[-1].metrics["val/log_loss"]
    assert len(trial.classifier.parameters[HEAD]) == task.outputs(("no", "yes"))
    assert result.probabilities.shape == (24, 2)
    assert result.confusion.shape == (len(result.recalls),) * 2


@TASKS
def test_a_trial_of_another_task_goes_on_bit_for_bit(tmp_path: Path, task: Task) -> None:
    context = bench_of(task, tmp_path, dropout=0.2)
    expected, told = finish(TrialTraining(context, tiny_params(), seed=0))
    file = CheckpointFile(tmp_path / "trial.safetensors", "auto")
    stopped = TrialTraining(context, tiny_params(), seed=0)
    with pytest.raises(TrialInterrupted):
        finish(stopped, checkpoint=file, should_stop=lambda: stopped.progress.step == 30)
    again = TrialTraining(context, tiny_params(), seed=0)
    assert again.resume(file)
    found, _ = finish(again)
    assert [scores(e) for e in again.history] == [scores(e) for e in told]
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_a_checkpoint_of_another_task_is_not_resumed(tmp_path: Path) -> None:
    context = bench_of(TwoClasses(), tmp_path)
    file = CheckpointFile(tmp_path / "trial.safetensors", "auto")
    stopped = TrialTraining(context, tiny_params(), seed=0)
    with pytest.raises(TrialInterrupted):
        finish(stopped, checkpoint=file, should_stop=lambda: True)
    assert not TrialTraining(
        tiny_context(tmp_path, data=context.data), tiny_params(), seed=0
    ).resume(file)


def test_transformers_is_told_what_the_task_is(tmp_path: Path) -> None:
    task = SeveralLabels()
    trial = TrialTraining(bench_of(task, tmp_path), tiny_params(epochs=1), seed=0)
    save_transformers(tmp_path / "whole", trial.classifier, task, ("no", "yes"), 12)
    config = (tmp_path / "whole" / "config.json").read_text()
    assert '"problem_type": "multi_label_classification"' in config
