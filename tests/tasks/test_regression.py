"""One number a text: its metrics, and that its unit is the labels' wherever people see it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn import metrics as reference

from hpo.spec.registries import METRICS
from hpo.spec.training import TrialParams
from hpo.tasks.regression import REGRESSION
from hpo.tasks.scorer import metrics_for

SCALES = st.sampled_from([1e-3, 1.0, 1e4])


@st.composite
def numbers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    texts, scale = draw(st.integers(2, 40)), draw(SCALES)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = random.normal(size=texts) * scale + draw(st.sampled_from([0.0, -3.0]))
    predictions = labels + random.normal(size=texts) * scale
    digits = draw(st.sampled_from([0, 12]))  # with none there are ties
    return predictions.round(digits).astype(np.float32)[:, None], labels.round(digits).astype(
        np.float32
    )


@settings(deadline=None)
@given(numbers())
@pytest.mark.filterwarnings("ignore")
def test_every_metric_is_scikit_learns_or_scipys(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    predictions, labels = drawn
    found = REGRESSION.metrics(predictions, labels)
    a, b = labels.astype(float), predictions[:, 0].astype(float)
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(a, b))
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(a, b))
    if a.std():
        assert found["r2"] == pytest.approx(reference.r2_score(a, b), abs=1e-9)
    if a.std() and b.std():
        assert found["spearman"] == pytest.approx(spearmanr(a, b).statistic, abs=1e-9)


@settings(deadline=None)
@given(numbers())
def test_the_registry_has_the_same_metrics(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    found = REGRESSION.metrics(*drawn)
    assert set(found) == {*metrics_for("regression"), REGRESSION.loss_metric}
    for name in metrics_for("regression"):
        assert METRICS[name].score(*drawn) == found[name]


def test_what_is_constant_has_no_correlation_and_explains_nothing() -> None:
    found = REGRESSION.metrics(np.ones((3, 1), np.float32), np.ones(3, np.float32))
    assert (found["spearman"], found["r2"], found["rmse"]) == (0, 0, 0)


@settings(deadline=None)
@given(numbers())
def test_a_trial_learns_the_unit_of_its_labels(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    predictions, labels = drawn
    task = REGRESSION.of_trial(labels, TrialParams())
    mean, scale = task.facts["mean"], task.facts["scale"]
    assert mean == pytest.approx(labels.astype(float).mean(), rel=1e-6, abs=1e-9)
    assert scale == pytest.approx(labels.astype(float).std() or 1, rel=1e-6)
    assert REGRESSION.with_facts(task.facts) == task
    logits = torch.from_numpy((predictions - mean) / scale).float()
    told = task.probabilities(logits).numpy()
    np.testing.assert_allclose(told, predictions, rtol=1e-4, atol=1e-5 * (abs(mean) + scale))
    assert task.answers(told, ("stars",)) == told[:, 0].tolist()
    # What the trial is told of its training is comparable with what it is told of validation.
    loss = task.loss(logits, torch.from_numpy(labels), weights=None, params=TrialParams())
    found = task.metrics(told, labels)[task.loss_metric]
    assert float(loss) / len(labels) == pytest.approx(found, rel=1e-2, abs=1e-4)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, -3.0, 2000.0]), SCALES)
def test_the_plain_head_gives_the_same_numbers(seed: int, mean: float, scale: float) -> None:
    task = REGRESSION.with_facts({"mean": mean, "scale": scale})
    generator = torch.Generator().manual_seed(seed)
    head, bias = (0.1 * torch.randn(rows, generator=generator) for rows in ((1, 64), (64,)))
    normed = torch.randn(9, 64, generator=generator)
    expected = task.probabilities((normed + bias) @ head.T)
    plain_head, plain_bias = task.plain_head(head, bias)
    found = (normed + plain_bias) @ plain_head.T
    # Within the rounding of numbers as large as the mean and the scale are.
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6 * (abs(mean) + 3 * scale) * 4)
