"""A label's threshold is the one that gives it the best F1 on the texts that it was fitted to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from hpo.tasks.multi_label import MULTI_LABEL
from hpo.tasks.thresholds import best_thresholds


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 25), st.sampled_from([3, 50]))
def test_no_other_threshold_gives_a_better_f1(seed: int, texts: int, distinct: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = (random.integers(0, distinct + 1, (texts, 3)) / distinct).astype(np.float32)
    labels = (random.random((texts, 3)) < 0.4).astype(np.float32)
    found = best_thresholds(probabilities, labels)
    for label, threshold in enumerate(found):
        column, wanted = probabilities[:, label].astype(np.float64), labels[:, label]

        def score(at: float, column: np.ndarray = column, wanted: np.ndarray = wanted) -> float:
            return float(f1_score(wanted, column >= at, zero_division=0))

        best = max(score(at) for at in [0.5, *column])
        assert score(threshold) == pytest.approx(best)
        assert 0 <= threshold <= 1


def test_a_threshold_is_one_half_where_no_other_is_better() -> None:
    probabilities = np.array([[0.9, 0.2, 0.3], [0.1, 0.4, 0.1]], np.float32)
    labels = np.array([[1, 0, 1], [0, 0, 0]], np.float32)
    thresholds = best_thresholds(probabilities, labels)
    assert thresholds[:2] == (0.5, 0.5)
    assert thresholds[2] == pytest.approx(0.2)


def test_answers_follow_the_thresholds_which_are_facts_of_the_task() -> None:
    probabilities = np.array([[0.9, 0.2], [0.1, 0.6]], np.float32)
    labels = np.array([[1, 1], [0, 1]], np.float32)
    assert MULTI_LABEL.answers(probabilities, ("a", "b")) == [["a"], ["b"]]
    tuned = MULTI_LABEL.tuned(probabilities, labels)
    assert tuned.answers(probabilities, ("a", "b")) == [["a", "b"], ["b"]]
    assert tuned.metrics(probabilities, labels)["subset_accuracy"] == 1
    assert MULTI_LABEL.metrics(probabilities, labels)["subset_accuracy"] == 0.5
    assert MULTI_LABEL.with_facts(tuned.facts) == tuned
    assert tuned.config["thresholds"] == [pytest.approx(0.5), pytest.approx(0.1)]
