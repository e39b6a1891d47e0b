"""Reliability and its error follow a plain formula, and a temperature is told with both."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.results.calibration import (
    BINS,
    Calibration,
    calibration_of,
    expected_error,
    temperature_for,
)
from hpo.tasks.multi_label import MULTI_LABEL
from hpo.tasks.regression import REGRESSION
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.tasks.temperature import tempered


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(2, 5))
def test_the_error_is_that_of_a_plain_formula(seed: int, texts: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(classes, 0.3), texts).astype(np.float32)
    labels = random.integers(0, classes, texts)
    found = calibration_of(SINGLE_LABEL, probabilities, labels)
    assert found is not None
    expected = 0.0
    for number in range(BINS):
        low, high = number / BINS, (number + 1) / BINS
        sure = [float(row.max()) for row in probabilities]
        inside = [
            text
            for text in range(texts)
            if low <= sure[text] < high or (high == 1 and sure[text] >= 1)
        ]
        if inside:
            right = np.mean([probabilities[text].argmax() == labels[text] for text in inside])
            confident = np.mean([sure[text] for text in inside])
            expected += len(inside) / texts * abs(right - confident)
    assert found.error_before == found.error_after == pytest.approx(expected, abs=1e-6)
    assert sum(each.count for each in found.after) == texts
    assert Calibration.from_json(json.loads(json.dumps(asdict(found)))) == found


def test_each_label_of_several_is_an_answer_of_its_own() -> None:
    probabilities = np.array([[0.9, 0.01], [0.9, 0.01]], np.float32)
    labels = np.array([[1, 0], [0, 0]], np.float32)
    found = calibration_of(MULTI_LABEL, probabilities, labels)
    assert found is not None
    assert [(each.count, each.accuracy) for each in found.after] == [(2, 0.0), (2, 0.5)]
    assert found.error_after == pytest.approx((0.01 + 0.4) / 2)


def test_it_is_told_before_and_after_the_temperature() -> None:
    random = np.random.default_rng(1)
    exact = random.dirichlet(np.full(3, 0.5), 3_000)
    labels = np.array([random.choice(3, p=row) for row in exact])
    too_sure = tempered(exact, 0.4, one_class=True)
    temperature = temperature_for(SINGLE_LABEL, too_sure, labels)
    assert temperature == pytest.approx(2.5, rel=0.1)
    served = tempered(too_sure, temperature, one_class=True)
    found = calibration_of(SINGLE_LABEL.tempered(temperature), served, labels)
    raw = calibration_of(SINGLE_LABEL, too_sure, labels)
    assert found is not None
    assert raw is not None
    assert found.error_before == pytest.approx(raw.error_after, abs=1e-4)
    assert found.error_after < 0.5 * found.error_before
    assert "without temperature 2." in found.in_words()


def test_numbers_have_no_calibration() -> None:
    numbers, labels = np.array([[1.5]], np.float32), np.array([1.0], np.float32)
    assert calibration_of(REGRESSION, numbers, labels) is None
    assert temperature_for(REGRESSION, numbers, labels) == 1
    assert expected_error(()) == 0
