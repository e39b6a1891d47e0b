from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from hpo.tasks.metrics import classification_metrics, confusion, constant_answer, recalls


@st.composite
def predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    classes, texts = draw(st.integers(2, 5)), draw(st.integers(1, 30))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = random.normal(size=(texts, classes)) * draw(st.sampled_from([0.0, 1.0, 30.0]))
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    # Some classes may not occur.
    labels = random.integers(0, draw(st.integers(1, classes)), texts)
    return shares.astype(np.float32), labels


@settings(deadline=None)
@given(predictions())
@pytest.mark.filterwarnings("ignore")
def test_every_metric_is_scikit_learns(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = drawn
    found = classification_metrics(probabilities, labels)
    predicted, classes = probabilities.argmax(1), np.arange(probabilities.shape[1])
    clipped = np.clip(probabilities.astype(np.float64), 1e-15, 1)
    clipped /= clipped.sum(1, keepdims=True)
    expected = {
        "accuracy": reference.accuracy_score(labels, predicted),
        "f1_macro": reference.f1_score(
            labels, predicted, labels=classes, average="macro", zero_division=0
        ),
        "mcc": reference.matthews_corrcoef(labels, predicted),
        "log_loss": reference.log_loss(labels, clipped, labels=classes),
        "balanced_accuracy": reference.recall_score(
            labels, predicted, labels=np.unique(labels), average="macro", zero_division=0
        ),
    }
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_confusion_matrix_has_a_row_for_every_class() -> None:
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.6, 0.4, 0]], np.float32)
    matrix = confusion(probabilities, np.array([0, 1, 1]))
    assert matrix.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert recalls(matrix).tolist() == [1.0, 0.5, 0.0]


def test_a_certain_error_costs_much_but_not_infinitely_much() -> None:
    found = classification_metrics(np.array([[1.0, 0.0]], np.float32), np.array([1]))
    assert 30 < found["log_loss"] < 40


@pytest.mark.parametrize("counts", [(5, 5), (52, 20, 8), (9, 1, 0), (1, 1, 1, 1), (30, 0)])
def test_the_constant_answer_is_what_a_constant_classifier_scores(counts: tuple[int, ...]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    shares = np.tile(np.array(counts, np.float32) / sum(counts), (len(labels), 1))
    scored = classification_metrics(shares, labels)
    assert constant_answer(counts) == pytest.approx(scored, abs=1e-6)
