from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from hpo.spec.registries import METRICS
from hpo.tasks.multi_label import MULTI_LABEL
from hpo.tasks.scorer import metrics_for


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    texts, labels = draw(st.integers(1, 30)), draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    digits = draw(st.sampled_from([1, 7]))  # with one there are many equal probabilities
    probabilities = (
        random.random((texts, labels)).round(digits).clip(1e-3, 1 - 1e-3).astype(np.float32)
    )
    share = draw(st.sampled_from([0.0, 0.2, 0.7]))
    return probabilities, (random.random((texts, labels)) < share).astype(np.float32)


@settings(deadline=None)
@given(answers())
@pytest.mark.filterwarnings("ignore")
def test_every_metric_is_scikit_learns(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = drawn
    found = MULTI_LABEL.metrics(probabilities, labels)
    predicted = probabilities >= 0.5
    present = labels.any(0)
    expected = {
        f"f1_{kind}": reference.f1_score(labels, predicted, average=kind, zero_division=0)
        if labels.shape[1] > 1
        else None
        for kind in ("micro", "macro", "samples")
    }
    expected["subset_accuracy"] = reference.accuracy_score(labels, predicted)
    expected["mean_average_precision"] = (
        np.mean(
            [
                reference.average_precision_score(labels[:, label], probabilities[:, label])
                for label in np.flatnonzero(present)
            ]
        )
        if present.any()
        else 0.0
    )
    expected["log_loss"] = np.mean(
        [
            reference.log_loss(
                labels[:, label], probabilities[:, label].astype(float), labels=[0, 1]
            )
            for label in range(labels.shape[1])
        ]
    )
    for name, score in expected.items():
        if score is not None:
            assert found[name] == pytest.approx(score, abs=1e-6), name


@settings(deadline=None)
@given(answers())
def test_the_registry_has_the_same_metrics(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    found = MULTI_LABEL.metrics(*drawn)
    assert set(found) == set(metrics_for("multi_label"))
    for name, score in found.items():
        assert METRICS[name].score(*drawn) == score
