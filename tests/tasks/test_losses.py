"""Every loss is PyTorch's, scikit-learn's, or the formula of its paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from torch import Tensor
from torch.nn import functional

from hpo.spec.training import TrialParams
from hpo.tasks import task_named
from hpo.tasks.class_weights import balanced, balanced_labels
from hpo.tasks.multi_label import MULTI_LABEL
from hpo.tasks.regression import REGRESSION
from hpo.tasks.single_label import SINGLE_LABEL, SINGLE_LABEL_SIGMOID
from hpo.tasks.task import Task


@dataclass(frozen=True)
class Drawn:
    """Logits of a few texts, with classes, with labels and with weights."""

    logits: Tensor
    classes: Tensor
    labels: Tensor
    weights: Tensor


@st.composite
def texts(draw: st.DrawFn, outputs: int | None = None) -> Drawn:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, outputs = draw(st.integers(1, 20)), outputs or draw(st.integers(2, 5))
    logits = random.normal(size=(count, outputs)) * draw(st.sampled_from([0.0, 1.0, 8.0, 60.0]))
    return Drawn(
        torch.from_numpy(logits.astype(np.float32)),
        torch.from_numpy(random.integers(0, outputs, count)),
        torch.from_numpy(random.integers(0, 2, (count, outputs)).astype(np.float32)),
        torch.from_numpy(random.uniform(0, 3, count).astype(np.float32)),
    )


SMOOTHINGS = st.sampled_from([0.0, 0.1, 0.5])
GAMMAS = st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0])


def loss(task: Task, logits: Tensor, labels: Tensor, weights: Any = None, **params: Any) -> Tensor:
    return task.loss(logits, labels, weights=weights, params=TrialParams(**params))


def close(found: Tensor, expected: Any) -> None:
    torch.testing.assert_close(
        found.double(), torch.as_tensor(expected).double(), rtol=2e-5, atol=2e-5
    )


def focal(logs: Tensor, wanted: Tensor, gamma: float) -> Tensor:
    """Lin et al., 2017, equation 4, for each part of a cross-entropy, from logarithms in fp64."""
    return -wanted * (1 - logs.exp()) ** gamma * logs


@settings(deadline=None)
@given(texts())
def test_a_softmax_that_is_asked_for_nothing_is_trained_by_the_very_same_loss(drawn: Drawn) -> None:
    found = loss(SINGLE_LABEL, drawn.logits, drawn.classes)
    expected = functional.cross_entropy(drawn.logits, drawn.classes, reduction="sum")
    assert torch.equal(found, expected)


@settings(deadline=None)
@given(texts(), SMOOTHINGS, GAMMAS)
def test_the_loss_of_a_softmax(drawn: Drawn, smoothing: float, gamma: float) -> None:
    logits, classes = drawn.logits, drawn.classes
    count = logits.shape[1]
    wanted = functional.one_hot(classes, count) * (1 - smoothing) + smoothing / count
    of_each = focal(logits.double().log_softmax(-1), wanted, gamma).sum(1)
    options = {"label_smoothing": smoothing, "focal_gamma": gamma}
    close(loss(SINGLE_LABEL, logits, classes, **options), of_each.sum())
    weighed = loss(SINGLE_LABEL, logits, classes, drawn.weights, **options)
    close(weighed, (of_each * drawn.weights).sum())


@settings(deadline=None)
@given(texts(), SMOOTHINGS, GAMMAS)
def test_the_loss_of_sigmoids(drawn: Drawn, smoothing: float, gamma: float) -> None:
    logits = drawn.logits
    wanted = drawn.labels * (1 - smoothing) + smoothing / 2
    one, zero = (functional.logsigmoid(sign * logits.double()) for sign in (1, -1))
    parts = focal(one, wanted, gamma) + focal(zero, 1 - wanted, gamma)
    options = {"label_smoothing": smoothing, "focal_gamma": gamma}
    close(loss(MULTI_LABEL, logits, drawn.labels, **options), parts.mean(1).sum())
    weighed = loss(MULTI_LABEL, logits, drawn.labels, drawn.weights, **options)
    close(weighed, (parts.mean(1) * drawn.weights).sum())
    of_labels = drawn.weights[:, None] * torch.rand(logits.shape)
    weighed = loss(MULTI_LABEL, logits, drawn.labels, of_labels, **options)
    close(weighed, (parts * of_labels).mean(1).sum())


@settings(deadline=None)
@given(texts(outputs=1), SMOOTHINGS, GAMMAS)
def test_one_logit_for_two_classes_is_a_softmax_over_it_and_zero(
    drawn: Drawn, smoothing: float, gamma: float
) -> None:
    labels = drawn.labels[:, 0].long()
    both = torch.cat([torch.zeros_like(drawn.logits), drawn.logits], 1)
    options = {"label_smoothing": smoothing, "focal_gamma": gamma}
    for weights in (None, drawn.weights):
        found = loss(SINGLE_LABEL_SIGMOID, drawn.logits, labels, weights, **options)
        close(found, loss(SINGLE_LABEL, both, labels, weights, **options))
    close(SINGLE_LABEL_SIGMOID.probabilities(drawn.logits), both.softmax(-1))


@settings(deadline=None)
@given(texts(), st.sampled_from(["single_label", "single_label_sigmoid", "multi_label"]), GAMMAS)
def test_gradients_are_finite_however_sure_a_model_is(
    drawn: Drawn, name: str, gamma: float
) -> None:
    task = task_named(name)
    logits = (drawn.logits * 1e3).requires_grad_()
    labels = drawn.labels if name == "multi_label" else drawn.classes
    used = logits[:, :1] if name == "single_label_sigmoid" else logits
    labels = labels.clamp(max=1) if name == "single_label_sigmoid" else labels
    found = loss(task, used, labels, focal_gamma=gamma)
    found.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert found.isfinite()
    assert logits.grad.isfinite().all()


@settings(deadline=None)
@given(texts())
@pytest.mark.filterwarnings("ignore")
def test_balanced_weights_are_scikit_learns(drawn: Drawn) -> None:
    classes, labels = drawn.classes.numpy(), drawn.labels.numpy()
    present = np.unique(classes)
    of_class = compute_class_weight("balanced", classes=present, y=classes)
    found = SINGLE_LABEL.weights(classes, TrialParams(class_weight="balanced"))
    assert found is not None
    np.testing.assert_allclose(found, of_class[np.searchsorted(present, classes)], rtol=1e-6)
    assert found.mean() == pytest.approx(1, rel=1e-5)
    found = MULTI_LABEL.weights(labels, TrialParams(class_weight="balanced"))
    expected = [compute_sample_weight("balanced", column) for column in labels.T]
    np.testing.assert_allclose(found, np.stack(expected, 1), rtol=1e-6)


def test_texts_count_alike_unless_asked() -> None:
    for name in ("single_label", "single_label_sigmoid", "multi_label", "regression"):
        assert task_named(name).weights(np.array([0, 1, 1]), TrialParams()) is None
    assert balanced(np.array([2, 2, 2])).tolist() == [1, 1, 1]
    assert balanced_labels(np.zeros((3, 1), np.float32)).tolist() == [[1], [1], [1]]


@settings(deadline=None)
@given(texts())
def test_a_weighed_loss_is_scikit_learns(drawn: Drawn) -> None:
    logits, classes, weights = drawn.logits.clamp(-15, 15), drawn.classes, drawn.weights
    shares = logits.double().softmax(-1).numpy()
    labels = np.arange(logits.shape[1])
    expected = log_loss(
        classes, shares, sample_weight=weights.numpy(), labels=labels, normalize=False
    )
    close(loss(SINGLE_LABEL, logits, classes, weights), expected)


@settings(deadline=None)
@given(texts(outputs=1), st.sampled_from([0.0, -7.5, 2000.0]), st.sampled_from([1e-3, 1.0, 1e3]))
def test_the_loss_of_a_regression_is_in_units_of_the_deviation(
    drawn: Drawn, mean: float, scale: float
) -> None:
    task = REGRESSION.with_facts({"mean": mean, "scale": scale})
    numbers = drawn.logits[:, 0].flip(0) * scale + mean
    expected = mean_squared_error(
        (numbers.double().numpy() - mean) / scale,
        drawn.logits[:, 0].double().numpy(),
        sample_weight=(drawn.weights + 0.01).numpy(),
    )
    found = loss(task, drawn.logits, numbers, drawn.weights + 0.01)
    close(found / (drawn.weights + 0.01).sum(), expected)
    plain = loss(task, drawn.logits, numbers)
    close(loss(task, drawn.logits, numbers, torch.ones(len(numbers))), plain)
