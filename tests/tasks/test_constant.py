from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hpo.spec.study import direction_of
from hpo.tasks.constant import same_answer
from hpo.tasks.metrics import constant_answer
from hpo.tasks.multi_label import MULTI_LABEL
from hpo.tasks.regression import REGRESSION
from hpo.tasks.single_label import SINGLE_LABEL


def test_of_classes_it_is_that_of_their_counts() -> None:
    labels = np.array([0, 0, 0, 2])
    assert same_answer(SINGLE_LABEL, labels, ("a", "b", "c")) == constant_answer([3, 0, 1])


@pytest.mark.parametrize("seed", range(5))
def test_of_several_labels_no_set_brings_much_more(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = (random.random((80, 4)) < random.uniform(0.1, 0.7, 4)).astype(np.float32)
    found = same_answer(MULTI_LABEL, labels, ("a", "b", "c", "d"))
    for bits in product((0.0, 1.0), repeat=4):
        answer = np.broadcast_to(np.array(bits, np.float32), labels.shape)
        for name, score in MULTI_LABEL.metrics(answer, labels).items():
            if direction_of(name) == "maximize":
                assert score <= found[name] + 0.02
            else:
                assert score >= found[name] - 1e-6


def test_of_numbers_it_is_the_mean_and_the_median() -> None:
    labels = np.array([1, 1, 1, 9], np.float32)
    found = same_answer(REGRESSION, labels, ("stars",))
    assert found["rmse"] == pytest.approx(labels.std())
    assert found["mae"] == pytest.approx(2)
    assert found["spearman"] == 0
    assert found["r2"] == pytest.approx(0)
