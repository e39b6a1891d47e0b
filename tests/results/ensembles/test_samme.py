"""SAMME against its paper and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_classification
from sklearn.ensemble import AdaBoostClassifier
from sklearn.tree import DecisionTreeClassifier

from hpo.results.ensembles.samme import samme_round


@given(
    wrong=st.lists(st.booleans(), min_size=4, max_size=50),
    classes=st.integers(2, 6),
    seed=st.integers(0, 1000),
)
@settings(deadline=None)
def test_a_round_follows_the_paper(wrong: list[bool], classes: int, seed: int) -> None:
    weights = np.random.default_rng(seed).uniform(0.1, 2, len(wrong))
    missed = np.array(wrong)
    found = samme_round(weights, missed, classes)
    error = weights[missed].sum() / weights.sum()
    assert found.error == pytest.approx(error)
    if error >= 1 - 1 / classes:
        assert (found.alpha, found.weights) == (0, None)
    elif error == 0:
        assert found.weights is None
        assert math.isfinite(found.alpha)
    else:
        assert found.alpha > 0
        assert found.weights is not None
        assert found.weights.mean() == pytest.approx(1)
        if error > 0.5 / len(wrong):
            assert found.alpha == pytest.approx(math.log((1 - error) / error * (classes - 1)))
            # With the new weights the member is a guess: its error is that of K - 1 in K texts.
            again = found.weights[missed].sum() / found.weights.sum()
            assert again == pytest.approx(1 - 1 / classes)


def test_rounds_are_scikit_learns() -> None:
    texts, labels = make_classification(
        300, n_features=8, n_informative=5, n_classes=4, random_state=0
    )
    learner = DecisionTreeClassifier(max_depth=2, random_state=0)
    boosted = AdaBoostClassifier(learner, n_estimators=6, random_state=0).fit(texts, labels)
    weights = np.ones(300)
    for number, member in enumerate(boosted.estimators_):
        fitted = DecisionTreeClassifier(max_depth=2, random_state=member.random_state)
        fitted.fit(texts, labels, sample_weight=weights / 300)
        wrong = fitted.predict(texts) != labels
        found = samme_round(weights, wrong, 4)
        assert found.error == pytest.approx(boosted.estimator_errors_[number])
        assert found.alpha == pytest.approx(boosted.estimator_weights_[number])
        assert found.weights is not None
        weights = found.weights
