"""The usual task: PyTorch's cross-entropy, its softmax, and the likeliest class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from hpo.spec.training import TrialParams
from hpo.tasks import TASKS, task_named
from hpo.tasks.single_label import SINGLE_LABEL


def test_every_task_is_found_by_its_own_name() -> None:
    assert [task_named(name).name for name in TASKS.ours] == list(TASKS.ours)
    assert task_named("single_label") is SINGLE_LABEL
    with pytest.raises(KeyError, match="nothing"):
        task_named("nothing")


def test_the_loss_is_the_sum_over_texts_of_the_cross_entropy() -> None:
    logits, labels = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]]), torch.tensor([0, 2])
    loss = SINGLE_LABEL.loss(logits, labels, weights=None, params=TrialParams())
    torch.testing.assert_close(loss, 2 * functional.cross_entropy(logits, labels))
    smoothed = SINGLE_LABEL.loss(
        logits, labels, weights=None, params=TrialParams(label_smoothing=0.3)
    )
    spread = -logits.log_softmax(-1).mean(1).sum()
    torch.testing.assert_close(smoothed, 0.7 * loss + 0.3 * spread)


def test_probabilities_add_up_to_one_and_the_likeliest_class_is_the_answer() -> None:
    probabilities = SINGLE_LABEL.probabilities(torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]]))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2))
    assert SINGLE_LABEL.predictions(probabilities.numpy()).tolist() == [0, 1]


def test_the_metrics_hold_the_one_that_the_training_loss_is_compared_with() -> None:
    found = SINGLE_LABEL.metrics(np.full((1, 2), 0.5, np.float32), np.zeros(1, np.int64))
    assert found[SINGLE_LABEL.loss_metric] == pytest.approx(np.log(2))
