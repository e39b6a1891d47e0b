"""Means of weights, and which trials go into them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hpo.results.ensembles.bootstrap import bootstrap
from hpo.results.ensembles.judge import Judge, mean_of
from hpo.results.ensembles.soup import greedy_soup, mean_weights
from hpo.tasks.single_label import SINGLE_LABEL
from tests.results.ensembles.answers import some_answers


def test_the_mean_of_the_same_weights_is_these_bit_for_bit() -> None:
    weights = {"head": torch.randn(3, 5), "bias": torch.randn(7)}
    found = mean_weights([weights] * 3)
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())


def test_each_weight_is_the_mean_of_the_trials() -> None:
    found = mean_weights([{"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([3.0, 6.0])}])
    assert torch.equal(found["a"], torch.tensor([2.0, 4.0]))


def test_a_trial_that_makes_the_soup_worse_stays_out() -> None:
    answers, labels = some_answers(7, trials=4)
    answers[2] = 1 - answers[0]
    answers[2] /= answers[2].sum(-1, keepdims=True)
    judge = Judge(SINGLE_LABEL, "log_loss")

    def cook(members: tuple[int, ...]) -> NDArray[np.float32]:
        return mean_of(answers, list(members))

    soup = greedy_soup(judge, cook, (0, 2, 1, 3), labels, np.arange(60))
    assert soup[0] == 0
    assert 2 not in soup
    best = judge.rank(answers[0], labels)
    assert judge.rank(cook(soup), labels) >= best


def test_a_bootstrap_is_drawn_with_replacement_and_the_same_again() -> None:
    drawn = bootstrap(1000, seed=3, member=0)
    assert np.array_equal(drawn, bootstrap(1000, seed=3, member=0))
    assert not np.array_equal(drawn, bootstrap(1000, seed=3, member=1))
    assert 0.6 < len(np.unique(drawn)) / 1000 < 0.67  # 1 - 1/e
