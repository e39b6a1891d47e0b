"""Which trials vote together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.results.ensembles.judge import Judge, mean_of
from hpo.results.ensembles.selection import greedy, top
from hpo.tasks.single_label import SINGLE_LABEL
from tests.results.ensembles.answers import some_answers

SEEDS = st.integers(0, 10_000)
METRICS = st.sampled_from(["accuracy", "f1_macro", "log_loss"])


@given(seed=SEEDS, metric=METRICS, size=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_a_greedy_bag_is_never_worse_than_the_best_trial(seed: int, metric: str, size: int) -> None:
    answers, labels = some_answers(seed, texts=30)
    judge = Judge(SINGLE_LABEL, metric)
    bag = greedy(judge, answers, labels, size)
    [best] = top(judge, answers, labels, 1)
    assert 1 <= len(bag) <= size
    assert judge.rank(mean_of(answers, bag), labels) >= judge.rank(answers[best], labels)


@given(seed=SEEDS, size=st.integers(2, 8))
@settings(max_examples=20, deadline=None)
def test_each_round_adds_what_serves_the_bag_best(seed: int, size: int) -> None:
    answers, labels = some_answers(seed, texts=30)
    judge = Judge(SINGLE_LABEL, "log_loss")
    bag = greedy(judge, answers, labels, size)
    for count in range(1, len(bag)):
        added = judge.rank(mean_of(answers, bag[: count + 1]), labels)
        others = [judge.rank(mean_of(answers, [*bag[:count], t]), labels) for t in range(6)]
        assert added == max(others)


@given(seed=SEEDS, metric=METRICS)
@settings(max_examples=20, deadline=None)
def test_the_top_are_in_the_order_of_the_metric(seed: int, metric: str) -> None:
    answers, labels = some_answers(seed)
    judge = Judge(SINGLE_LABEL, metric)
    scores = [judge.sign * judge.score(answers[t], labels) for t in top(judge, answers, labels, 99)]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == len(answers)


def test_a_trial_that_is_named_twice_counts_twice() -> None:
    answers, _ = some_answers(0)
    expected = (2 * answers[1].astype(np.float64) + answers[4]) / 3
    assert mean_of(answers, [1, 4, 1]) == pytest.approx(expected, abs=1e-7)
