"""A trial with any head and loss learns, stops and goes on bit for bit; what is not asked for costs nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpo.data.sealed import Sealed
from hpo.data.tokens import TokenizedData
from hpo.model.gpt2 import HEAD
from hpo.tasks.multi_label import MULTI_LABEL
from hpo.tasks.regression import REGRESSION
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.tasks.task import Task
from hpo.training.checkpoint import CheckpointFile
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.trial_context import TrialContext
from tests.training.tiny_trial import N_LAYER, finish, scores, tiny_context, tiny_data, tiny_params


@dataclass(frozen=True)
class Kind:
    """A task, the trial's options, and the rows of its head."""

    task: Task
    rows: int
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """One that fits the task."""
        return "rmse" if self.task is REGRESSION else "log_loss"

    def labelled(self, data: TokenizedData) -> TokenizedData:
        """The same texts with labels of the task: the class's unit vector, or a number that it gives."""
        if self.task is SINGLE_LABEL:
            return data
        of_class: Any = np.eye(2, dtype=np.float32)
        if self.task is REGRESSION:
            of_class = np.array([1000, 1020], np.float32)
        train, validation, test = (
            replace(split, labels=of_class[split.labels])
            for split in (data.train, data.validation, data.test.unsealed())
        )
        return replace(data, train=train, validation=validation, test=Sealed(test))


BALANCED = {"class_weight": "balanced"}
KINDS = {
    "dropped head": Kind(SINGLE_LABEL, 2, {"head_dropout": 0.3}),
    "balanced": Kind(SINGLE_LABEL, 2, BALANCED),
    "focal": Kind(SINGLE_LABEL, 2, {"focal_gamma": 2.0, "label_smoothing": 0.1}),
    "sigmoid": Kind(SINGLE_LABEL, 1, {"head": "sigmoid", "head_dropout": 0.2, **BALANCED}),
    "focal sigmoid": Kind(SINGLE_LABEL, 1, {"head": "sigmoid", "focal_gamma": 1.5}),
    "labels": Kind(MULTI_LABEL, 2, {"head_dropout": 0.1}),
    "balanced labels": Kind(MULTI_LABEL, 2, {"focal_gamma": 0.5, **BALANCED}),
    "numbers": Kind(REGRESSION, 1, {"head_dropout": 0.1}),
}
OF_EVERY_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def context_of(kind: Kind, folder: Path, *, train: int = 42, **options: Any) -> TrialContext:
    data = kind.labelled(tiny_data(train=train))
    return tiny_context(folder, task=kind.task, data=data, metric=kind.metric, **options)


@OF_EVERY_KIND
def test_it_learns(tmp_path: Path, kind: Kind) -> None:
    trial = TrialTraining(
        context_of(kind, tmp_path, train=300), tiny_params(epochs=3, **kind.params), seed=0
    )
    result, told = finish(trial)
    losses = [evaluation.metrics["train/loss"] for evaluation in told]
    assert losses[-1] < losses[0]
    assert told[-1].metrics["val/loss"] < told[0].metrics["val/loss"]
    assert len(trial.classifier.parameters[HEAD]) == kind.rows
    assert result.confusion.shape == (len(result.recalls),) * 2
    if kind.task is REGRESSION:
        assert result.value < 10  # the deviation of the labels
        assert 990 < result.probabilities.min() < result.probabilities.max() < 1030


@OF_EVERY_KIND
@pytest.mark.parametrize("freeze_depth", [0, N_LAYER])
def test_it_goes_on_bit_for_bit(tmp_path: Path, kind: Kind, freeze_depth: int) -> None:
    context = context_of(kind, tmp_path, dropout=0.2)
    params = tiny_params(freeze_depth=freeze_depth, **kind.params)
    expected, told = finish(TrialTraining(context, params, seed=0))
    file = CheckpointFile(tmp_path / "trial.safetensors", "auto")
    stopped = TrialTraining(context, params, seed=0)
    with pytest.raises(TrialInterrupted):
        finish(stopped, checkpoint=file, should_stop=lambda: stopped.progress.step == 5)
    again = TrialTraining(context, params, seed=0)
    assert again.resume(file)
    found, _ = finish(again)
    assert [scores(e) for e in again.history] == [scores(e) for e in told]
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


@pytest.mark.parametrize("freeze_depth", [0, N_LAYER])
def test_a_dropped_head_is_another_trial(tmp_path: Path, freeze_depth: int) -> None:
    context = tiny_context(tmp_path)
    plain, dropped = (
        TrialTraining(context, tiny_params(freeze_depth=freeze_depth, head_dropout=p), seed=0)
        for p in (0.0, 0.5)
    )
    first, second = (trial.validation_inputs.batch(np.arange(5)) for trial in (plain, dropped))
    with torch.no_grad():
        without = plain.classifier.logits(first.inputs, first.layout, plain.dropout)
        with_it = dropped.classifier.logits(second.inputs, second.layout, dropped.dropout)
    assert (without != with_it).any()
    assert finish(plain)[0].value != finish(dropped)[0].value


def test_thresholds_are_tuned_at_the_end_and_count_for_nothing_on_the_way(tmp_path: Path) -> None:
    kind = KINDS["labels"]
    trial = TrialTraining(context_of(kind, tmp_path), tiny_params(epochs=1), seed=0)
    result, _ = finish(trial)
    labels = trial.validation_inputs.labels
    at_one_half = MULTI_LABEL.metrics(result.probabilities, labels)
    assert result.best.metrics["val/f1_macro"] == at_one_half["f1_macro"]
    tuned = trial.tuned_task.metrics(result.probabilities, labels)
    assert tuned["f1_macro"] >= at_one_half["f1_macro"]
    assert len(trial.tuned_task.facts["thresholds"]) == 2


def test_balanced_weights_are_those_of_the_trials_own_texts(tmp_path: Path) -> None:
    trial = TrialTraining(tiny_context(tmp_path), tiny_params(class_weight="balanced"), seed=0)
    labels = trial.train_inputs.labels
    weights = trial.train_inputs.batch(np.arange(len(labels))).weights
    assert weights is not None
    for label in (0, 1):
        assert float(weights[labels == label].sum()) == pytest.approx(len(labels) / 2)
