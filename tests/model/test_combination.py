"""Each rule against the formula that it is named after."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpo.model.combination import LEAST, Combination


def tables(members: int, texts: int, classes: int, seed: int) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    drawn = random.dirichlet(np.ones(classes), (members, texts))
    return [table.astype(np.float32) for table in drawn]


SIZES = {
    "members": st.integers(1, 5),
    "texts": st.integers(0, 4),
    "classes": st.integers(2, 4),
    "seed": st.integers(0, 9),
}


@given(**SIZES)
def test_the_mean_is_weighted_and_stays_a_distribution(
    members: int, texts: int, classes: int, seed: int
) -> None:
    stacked = tables(members, texts, classes, seed)
    weights = np.random.default_rng(seed).uniform(0.1, 9, members)
    found = Combination.mean(weights).of(stacked)
    expected = np.average(np.array(stacked, np.float64), axis=0, weights=weights)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(found.sum(1), np.ones(texts), rtol=1e-6)


def test_a_mean_of_one_is_that_one_bit_for_bit() -> None:
    [table] = tables(1, 7, 3, 0)
    np.testing.assert_array_equal(Combination.mean([0.3]).of([table]), table)
    np.testing.assert_array_equal(Combination.mean([2, 0]).of([table, table[::-1]]), table)


@given(**SIZES)
def test_samme_is_the_form_of_its_paper(members: int, texts: int, classes: int, seed: int) -> None:
    stacked = tables(members, texts, classes, seed)
    alphas = np.random.default_rng(seed).uniform(0.1, 3, members)
    found = Combination.samme(alphas).of(stacked)
    # f, whose classes add up to 0, with the paper's beta = (K - 1)^2 / K alpha, and exp(f / (K - 1)).
    f = np.zeros((texts, classes))
    for alpha, table in zip(alphas, stacked, strict=True):
        chosen = np.where(np.eye(classes, dtype=bool)[table.argmax(1)], 1, -1 / (classes - 1))
        f += (classes - 1) ** 2 / classes * alpha * chosen
    raised = np.exp(f / (classes - 1))
    np.testing.assert_allclose(found, raised / raised.sum(1, keepdims=True), rtol=1e-5)


def test_the_likeliest_class_of_samme_has_the_most_votes() -> None:
    sure, unsure = [[0.99, 0.01, 0.0]], [[0.3, 0.4, 0.3]]
    members = [np.array(table, np.float32) for table in (sure, unsure, unsure)]
    assert Combination.samme([1.0, 0.7, 0.7]).of(members).argmax(1) == 1
    assert Combination.samme([1.5, 0.7, 0.7]).of(members).argmax(1) == 0


@given(**SIZES)
def test_stacking_is_a_logistic_regression_on_logarithms(
    members: int, texts: int, classes: int, seed: int
) -> None:
    stacked = tables(members, texts, classes, seed)
    random = np.random.default_rng(seed)
    matrix, bias = random.normal(size=(members * classes, classes)), random.normal(size=classes)
    combination = Combination.stacking(matrix, bias)
    together = np.concatenate(stacked, axis=1).astype(np.float64)
    scores = np.log(np.maximum(together, LEAST)) @ matrix + bias
    expected = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(combination.of(stacked), expected, rtol=1e-5, atol=1e-7)
    assert combination.members == members


def test_stacking_with_the_identity_is_the_member_itself_even_where_it_is_certain() -> None:
    table = np.array([[1.0, 0.0], [0.25, 0.75]], np.float32)
    found = Combination.stacking(np.eye(2), np.zeros(2)).of([table])
    np.testing.assert_allclose(found, table, atol=2 * LEAST)


@pytest.mark.parametrize(
    "combination",
    [
        Combination.mean([1, 2.5]),
        Combination.samme([0.5, 1]),
        Combination.stacking(np.arange(8).reshape(4, 2), np.array([0.5, 0])),
    ],
    ids=lambda combination: combination.kind,
)
def test_it_comes_back_from_json(combination: Combination) -> None:
    assert Combination.from_json(json.loads(json.dumps(combination.as_json()))) == combination


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -0.1], [float("nan")], [float("inf"), 1]])
def test_weights_that_weigh_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights that are not"):
        Combination.mean(weights)


@pytest.mark.parametrize(
    ("rows", "columns", "bias"), [(3, 2, [0, 0]), (4, 3, [0, 0]), (0, 2, [0, 0]), (4, 2, [])]
)
def test_a_matrix_that_does_not_fit_is_refused(rows: int, columns: int, bias: list[float]) -> None:
    with pytest.raises(ValueError, match="a matrix"):
        Combination.stacking(np.ones((rows, columns)), np.array(bias))


def test_another_number_of_members_is_refused() -> None:
    with pytest.raises(ValueError, match="3 members for a combination of 2"):
        Combination.mean([1, 1]).of(tables(3, 2, 2, 0))
    with pytest.raises(ValueError, match="of the kind 'median'"):
        Combination.from_json({"kind": "median", "weights": [1], "matrix": [], "bias": []})
