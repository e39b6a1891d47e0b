"""A temperature changes how sure answers are, and never what they are; the fitted one suits its texts best."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from hpo.tasks.multi_label import MULTI_LABEL
from hpo.tasks.regression import REGRESSION
from hpo.tasks.single_label import SINGLE_LABEL, SINGLE_LABEL_SIGMOID
from hpo.tasks.task import Task
from hpo.tasks.temperature import (
    HIGHEST,
    LOWEST,
    fitted_temperature,
    tempered,
    tempered_threshold,
)

TEMPERATURES = st.floats(LOWEST, HIGHEST)
SEEDS = st.integers(0, 2**32)


def texts_of(
    seed: int, texts: int, *, one_class: bool, scale: float = 3.0
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Probabilities of three scores a text, and labels that have something to do with them."""
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.normal(0, scale, (texts, 3)).astype(np.float32))
    probabilities = logits.softmax(1) if one_class else logits.sigmoid()
    noisy = logits.numpy() + random.normal(0, scale, (texts, 3))
    return probabilities.numpy(), noisy.argmax(1) if one_class else (noisy > 0).astype(np.float32)


def loss_of(probabilities: NDArray[np.float32], labels: NDArray[Any], *, one_class: bool) -> float:
    """The negative log-likelihood as scikit-learn has it."""
    exact = probabilities.astype(np.float64)
    if one_class:
        return float(log_loss(labels, exact / exact.sum(1, keepdims=True), labels=[0, 1, 2]))
    return float(log_loss(labels.ravel(), exact.ravel(), labels=[0, 1]))


@settings(deadline=None)
@given(SEEDS, TEMPERATURES, st.booleans())
def test_order_and_answers_stay(seed: int, temperature: float, one_class: bool) -> None:
    probabilities, _ = texts_of(seed, 20, one_class=one_class)
    found = tempered(probabilities, temperature, one_class=one_class)
    assert found.dtype == np.float32
    assert ((found >= 0) & (found <= 1)).all()
    order = np.argsort(probabilities, 1, kind="stable")
    assert (np.diff(np.take_along_axis(found, order, 1)) >= 0).all()
    if one_class:
        np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
        assert (found[np.arange(20), probabilities.argmax(1)] == found.max(1)).all()
    else:
        assert ((found > 0.5) == (probabilities > 0.5))[abs(probabilities - 0.5) > 1e-5].all()


@settings(deadline=None)
@given(SEEDS, st.floats(0.5, 4), st.booleans())
def test_it_is_the_logits_divided(seed: int, temperature: float, one_class: bool) -> None:
    logits = torch.from_numpy(np.random.default_rng(seed).normal(0, 2, (9, 3)).astype(np.float32))
    task = SINGLE_LABEL if one_class else MULTI_LABEL
    expected = task.tempered(temperature).probabilities(logits).numpy()
    found = tempered(task.probabilities(logits).numpy(), temperature, one_class=one_class)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    back = tempered(found, 1 / temperature, one_class=one_class)
    np.testing.assert_allclose(back, task.probabilities(logits).numpy(), rtol=1e-3, atol=1e-5)


@settings(deadline=None)
@given(SEEDS, st.integers(0, 40), st.floats(0.1, 30), st.booleans())
def test_no_other_temperature_suits_the_texts_better(
    seed: int, texts: int, scale: float, one_class: bool
) -> None:
    probabilities, labels = texts_of(seed, texts, one_class=one_class, scale=scale)
    found = fitted_temperature(probabilities, labels, one_class=one_class)
    assert LOWEST <= found <= HIGHEST
    if not texts:
        return

    def loss(logarithm: float) -> float:
        at = tempered(probabilities, float(np.exp(logarithm)), one_class=one_class)
        return loss_of(np.clip(at, 1e-30, 1), labels, one_class=one_class)

    assert loss(np.log(found)) <= loss(0.0) * (1 + 1e-6) + 1e-9
    best = minimize_scalar(
        loss, bounds=(np.log(LOWEST) + 0.1, np.log(HIGHEST) - 0.1), method="bounded"
    )
    if found != 1:
        assert loss(np.log(found)) <= best.fun * (1 + 1e-4) + 1e-6


def test_what_was_made_too_sure_is_found_out() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (20_000, 4))
    right = tempered(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), 1.0, one_class=True)
    labels = np.array([random.choice(4, p=row / row.sum()) for row in right.astype(np.float64)])
    too_sure = tempered(right, 1 / 2.5, one_class=True)
    assert fitted_temperature(too_sure, labels, one_class=True) == pytest.approx(2.5, rel=0.03)
    assert fitted_temperature(right, labels, one_class=True) == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("one_class", [True, False])
def test_texts_that_are_all_right_or_all_wrong_say_nothing(one_class: bool) -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    right = np.array([0, 1]) if one_class else np.eye(2, dtype=np.float32)
    wrong = 1 - right
    certain = np.eye(2, dtype=np.float32)
    for given_, labels in (
        (probabilities, right),
        (probabilities, wrong),
        (certain, right),
        (certain, wrong),
    ):
        assert fitted_temperature(given_, labels, one_class=one_class) == 1


@settings(deadline=None)
@given(SEEDS, TEMPERATURES)
def test_tempered_thresholds_are_reached_by_the_same_texts(seed: int, temperature: float) -> None:
    probabilities, labels = texts_of(seed, 30, one_class=False, scale=2.0)
    task = MULTI_LABEL.tuned(probabilities, labels)
    moved, cooled = (
        tempered(probabilities, temperature, one_class=False),
        task.tempered(temperature),
    )
    limits = np.array(cooled.facts["thresholds"])
    clear = abs(moved - limits) > 1e-6  # nearer ones may round to either side
    assert (cooled.predictions(moved) == task.predictions(probabilities))[clear].all()
    assert tempered_threshold(0.5, temperature) == pytest.approx(0.5)
    assert (tempered_threshold(0.0, temperature), tempered_threshold(1.0, temperature)) == (0, 1)


@pytest.mark.parametrize("task", [SINGLE_LABEL, SINGLE_LABEL_SIGMOID, MULTI_LABEL])
def test_a_task_keeps_its_temperature_among_its_facts(task: Task) -> None:
    cooled = task.tempered(1.7)
    assert cooled.temperature == task.with_facts(cooled.facts).temperature == 1.7
    assert task.with_facts({}) == task
    assert task.tempered(1.0).facts == task.facts
    assert task.tempered(1.0).config == task.config


def test_numbers_have_no_temperature() -> None:
    assert REGRESSION.tempered(2.0) is REGRESSION
    assert REGRESSION.temperature == 1
