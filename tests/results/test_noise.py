from __future__ import annotations

import numpy as np
import pytest

from hpo.results.baseline import Baseline, baseline_of_classes
from hpo.results.noise import (
    Noise,
    near_best_in_words,
    noise_of,
    standard_error,
    why_no_importances,
)
from hpo.spec.study import Metric, direction_of
from hpo.tasks.metrics import classification_metrics, constant_answer
from hpo.tasks.multi_label import MULTI_LABEL
from hpo.tasks.regression import REGRESSION
from hpo.tasks.scorer import metrics_for

METRICS: tuple[Metric, ...] = metrics_for("single_label")


def validation(counts: tuple[int, ...], metric: Metric = "accuracy") -> Baseline:
    return baseline_of_classes(counts, (), [metric])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("counts", [(250, 250), (400, 80, 15, 5)])
@pytest.mark.parametrize("skill", [0.0, 1.0, 3.0])
def test_the_standard_error_is_about_that_of_other_texts_or_more(
    metric: Metric, counts: tuple[int, ...], skill: float
) -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    scores = []
    for _ in range(200):
        logits = random.normal(size=(len(labels), len(counts)))
        logits[np.arange(len(labels)), labels] += skill
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        scores.append(classification_metrics(shares.astype(np.float32), labels)[metric])
    told = standard_error(metric, float(np.mean(scores)), counts, sum(counts))
    assert 0.8 * np.std(scores) < told < 6 * np.std(scores)


@pytest.mark.parametrize("metric", metrics_for("multi_label"))
@pytest.mark.parametrize("skill", [0.5, 1.5])
def test_that_of_several_labels_a_text_is_so_too(metric: Metric, skill: float) -> None:
    random = np.random.default_rng(0)
    scores, shares = [], np.array([0.5, 0.3, 0.1, 0.05])
    for _ in range(200):
        labels = (random.random((500, 4)) < shares).astype(np.float32)
        logits = random.normal(size=labels.shape) + skill * (2 * labels - 1)
        found = (1 / (1 + np.exp(-logits))).astype(np.float32)
        scores.append(MULTI_LABEL.metrics(found, labels)[metric])
    counts = (500 * shares).astype(int).tolist()
    told = standard_error(metric, float(np.mean(scores)), counts, 500)
    assert told is not None
    assert 0.6 * np.std(scores) < told < 6 * np.std(scores)


@pytest.mark.parametrize("metric", metrics_for("regression"))
@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_that_of_numbers_is_so_too(metric: Metric, spread: float) -> None:
    random = np.random.default_rng(0)
    scores = []
    for _ in range(200):
        labels = random.normal(size=500).astype(np.float32)
        found = labels + random.normal(0, spread, 500).astype(np.float32)
        scores.append(REGRESSION.metrics(found[:, None], labels)[metric])
    told = standard_error(metric, float(np.mean(scores)), (500,), 500)
    assert told is not None
    assert 0.6 * np.std(scores) < told < 6 * np.std(scores)


def test_even_a_perfect_score_is_not_certain() -> None:
    assert 0 < standard_error("accuracy", 1.0, (50, 50), 100) < 0.02


@pytest.mark.parametrize("metric", METRICS)
def test_a_study_at_chance_explains_nothing(metric: Metric) -> None:
    counts = (52, 48)
    sign = 1 if direction_of(metric) == "maximize" else -1
    random = np.random.default_rng(0)
    constant, error = constant_answer(counts)[metric], 0.04
    values = constant + sign * np.sort(random.normal(0, error, 40))[::-1]
    assert why_no_importances(values.tolist(), metric, validation(counts, metric)) == (
        "no trial is clearly better than the same answer for every text"
    )


def test_trials_that_differ_by_less_than_chance_explain_nothing() -> None:
    even = validation((250, 250))
    alike = [0.92 - 0.001 * i for i in range(20)]
    said = why_no_importances(alike, "accuracy", even)
    assert said == "the trials differ by no more than chance (standard error 0.012)"
    apart = [0.92 - 0.01 * i for i in range(20)]
    assert why_no_importances(apart, "accuracy", even) is None
    assert why_no_importances([0.92] * 20, "accuracy", None) == "all trials have the same score"
    assert why_no_importances(alike, "accuracy", None) is None


@pytest.mark.parametrize("trials", [0, 1, 9])
def test_a_few_trials_explain_nothing(trials: int) -> None:
    values = [0.9 - 0.05 * i for i in range(trials)]
    said = why_no_importances(values, "accuracy", validation((250, 250)))
    assert said is not None
    assert "too few to tell (10 or more)" in said


@pytest.mark.parametrize(("metric", "sign"), [("accuracy", 1), ("log_loss", -1)])
def test_trials_near_the_best_are_counted_without_it(metric: Metric, sign: int) -> None:
    values = [0.7, 0.7 - sign * 0.01, 0.7 - sign * 0.02, 0.7 - sign * 0.3]
    noise = noise_of(values, metric, validation((250, 250), metric))
    assert noise is not None
    assert noise.near_best == 2
    assert 0.02 < noise.standard_error < 0.06
    assert noise_of([], metric, validation((250, 250), metric)) is None


@pytest.mark.parametrize(
    ("near", "complete", "said"),
    [
        (11, 19, "11 of the other 18 complete trials lie within"),
        (1, 19, "1 of the other 18 complete trials lies within"),
        (18, 19, "All 18 other complete trials lie within"),
        (1, 2, "The other complete trial lies within"),
    ],
)
def test_near_ties_are_said_in_a_line(near: int, complete: int, said: str) -> None:
    words = near_best_in_words(Noise(0.0106, near), complete)
    assert words == f"{said} one standard error (0.011) of the best."
