"""Weights of texts: what they do to the loss, and that a trial with them stops and goes on exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hpo.spec.training import TrialParams
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.training.checkpoint import CheckpointFile
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.trial_data import StoredTexts, TrialData
from tests.training.tiny_trial import N_LAYER, finish, scores, tiny_context, tiny_params

TEXTS = 42
WEIGHTS = np.random.default_rng(0).uniform(0, 2, TEXTS).astype(np.float32)


@pytest.mark.parametrize("freeze_depth", [0, 1, N_LAYER])
def test_a_batch_carries_the_weights_of_its_texts(tmp_path: Path, freeze_depth: int) -> None:
    chosen = np.array([7, 3, 20, 11])
    texts = TrialData(StoredTexts("train", chosen), weights=WEIGHTS[chosen])
    trial = TrialTraining(
        tiny_context(tmp_path), tiny_params(freeze_depth=freeze_depth), seed=0, texts=texts
    )
    found = trial.train_inputs.batch(np.array([20, 3])).weights
    assert found is not None
    assert found.tolist() == WEIGHTS[[20, 3]].tolist()
    assert trial.validation_inputs.batch(np.array([0])).weights is None


def test_a_weighted_loss_is_the_sum_of_the_texts_losses_times_their_weights() -> None:
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    weights, params = torch.rand(5), TrialParams(label_smoothing=0.2)
    of_each = [
        SINGLE_LABEL.loss(logits[i : i + 1], labels[i : i + 1], weights=None, params=params)
        for i in range(5)
    ]
    found = SINGLE_LABEL.loss(logits, labels, weights=weights, params=params)
    torch.testing.assert_close(found, (torch.stack(of_each) * weights).sum())


def test_a_text_that_weighs_nothing_teaches_nothing(tmp_path: Path) -> None:
    texts = TrialData(weights=np.zeros(TEXTS, np.float32))
    params = tiny_params(weight_decay=0.0)
    trial = TrialTraining(tiny_context(tmp_path), params, seed=0, texts=texts)
    before = trial.classifier.snapshot()
    finish(trial)
    for name, weight in trial.classifier.parameters.items():
        assert torch.equal(weight, before[name]), name


def test_a_trial_with_weights_goes_on_bit_for_bit(tmp_path: Path) -> None:
    context, texts = tiny_context(tmp_path, dropout=0.2), TrialData(weights=WEIGHTS)
    expected, told = finish(TrialTraining(context, tiny_params(), seed=0, texts=texts))
    file = CheckpointFile(tmp_path / "trial.safetensors", "auto")
    stopped = TrialTraining(context, tiny_params(), seed=0, texts=texts)
    with pytest.raises(TrialInterrupted):
        finish(stopped, checkpoint=file, should_stop=lambda: stopped.progress.step == 5)
    assert not TrialTraining(context, tiny_params(), seed=0).resume(file)
    again = TrialTraining(context, tiny_params(), seed=0, texts=texts)
    assert again.resume(file)
    found, _ = finish(again)
    assert [scores(e) for e in again.history] == [scores(e) for e in told]
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
