"""A logistic regression over the members' probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from hpo.results.ensembles.stacking import stack
from hpo.tasks.metrics import classification_metrics
from tests.results.ensembles.answers import some_answers


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_probabilities_add_up_to_one(classes: int) -> None:
    answers, labels = some_answers(1, classes=classes)
    found = stack(answers, labels, seed=0).of(list(answers))
    assert found.shape == (60, classes)
    assert found.sum(1) == pytest.approx(np.ones(60), abs=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_it_learns_which_member_to_trust(classes: int) -> None:
    answers, labels = some_answers(2, trials=2, texts=1000, classes=classes)
    random = np.random.default_rng(0)
    answers[1] = answers[1][random.permutation(1000)]  # knows nothing of the text
    fitted = stack(answers[:, :500], labels[:500], seed=0)
    rest = labels[500:]
    found = classification_metrics(fitted.of(list(answers[:, 500:])), rest)
    mean = classification_metrics(answers[:, 500:].mean(0), rest)
    assert found["log_loss"] < mean["log_loss"]


@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_what_scikit_learn_fits(classes: int) -> None:
    answers, labels = some_answers(3, trials=2, texts=400, classes=classes)
    fitted = stack(answers, labels, seed=0)
    flat = np.log(answers).transpose(1, 0, 2).reshape(400, -1)
    fits = [LogisticRegression(C=c, max_iter=500).fit(flat, labels) for c in (0.001, 1.0)]
    low, high = (np.abs(fit.predict_proba(flat) - fitted.of(list(answers))) for fit in fits)
    assert min(low.max(), high.max()) < 0.2  # it is regularised between the two


def test_a_class_without_texts_gets_little() -> None:
    answers, labels = some_answers(4, classes=4)
    answers, labels = answers[:, labels != 3], labels[labels != 3]
    found = stack(answers, labels, seed=0).of(list(answers))
    assert found.shape[1] == 4
    assert found[:, 3].mean() < 0.1
