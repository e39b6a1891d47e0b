"""Scores of a choice on texts that it was not made by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpo.results.ensembles.honest import best_single, compare, cross_fitted, halves
from hpo.results.ensembles.judge import Judge
from hpo.tasks.single_label import SINGLE_LABEL
from tests.results.ensembles.answers import some_answers

LABELS = st.lists(st.integers(0, 4), min_size=2, max_size=60)


@given(labels=LABELS, seed=st.integers(0, 1000))
@settings(deadline=None)
def test_halves_are_alike(labels: list[int], seed: int) -> None:
    classes = np.array(labels)
    first = halves(classes, seed)
    assert np.array_equal(first, halves(classes, seed))
    assert abs(first.sum() - (~first).sum()) <= 1
    for one in set(labels):
        assert abs((classes[first] == one).sum() - (classes[~first] == one).sum()) <= 1


@given(seed=st.integers(0, 1000))
def test_halves_of_values_and_of_several_labels(seed: int) -> None:
    random = np.random.default_rng(seed)
    assert halves(random.normal(0, 1, 21).astype(np.float32), seed).sum() in (10, 11)
    several = random.integers(0, 2, (40, 3)).astype(np.float32)
    first = halves(several, seed)
    rarest = several[:, 2]  # by which the rows are in order first
    assert abs(rarest[first].sum() - rarest[~first].sum()) <= 1


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_no_text_is_answered_by_a_choice_that_knew_its_label(seed: int) -> None:
    answers, labels = some_answers(seed)
    seen: list[NDArray[np.int64]] = []

    def choice(texts: NDArray[np.int64]) -> NDArray[np.float32]:
        seen.append(texts)
        marked = np.zeros_like(answers[0])
        marked[texts] = 1
        return marked

    assert not cross_fitted(choice, labels, seed).any()
    assert sorted(np.concatenate(seen)) == list(range(60))


def test_chance_gets_no_gain_from_being_chosen() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 400)
    ones = random.random((50, 400)).astype(np.float32)
    answers = np.stack([ones, 1 - ones], -1)
    judge = Judge(SINGLE_LABEL, "accuracy")
    choice = best_single(judge, answers, labels)
    assert judge.score(choice(np.arange(400)), labels) > 0.54  # of its own choosing
    assert judge.score(cross_fitted(choice, labels, 0), labels) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_a_better_answer_gains_whatever_the_metrics_direction(metric: str) -> None:
    answers, labels = some_answers(5, texts=300)
    right = np.eye(3, dtype=np.float32)[labels] * 0.97 + 0.01
    found = compare(Judge(SINGLE_LABEL, metric), answers[0], right, labels, 0)
    assert found.gain > 0
    assert found.interval[0] > 0
    assert found.gain == pytest.approx(abs(found.ensemble - found.single))
    same = compare(Judge(SINGLE_LABEL, metric), answers[0], answers[0], labels, 0)
    assert (same.gain, same.interval) == (0, (0, 0))
