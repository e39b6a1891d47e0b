"""What is made of the best trials' trainings with new seeds: means, errors, optimism, and who can be told apart."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hpo.results.confirmed import Confirmation, Confirmed, paired_p_value, ranking
from hpo.spec.study import Direction

SCORES = st.floats(0.0, 1.0, allow_nan=False).map(lambda score: round(score, 3))
SEEDS = 3


def confirmed(number: int, found: float, *values: float | None) -> Confirmed:
    return Confirmed(number, found, values)


def candidates(values: st.SearchStrategy[float | None]) -> st.SearchStrategy[list[Confirmed]]:
    row = st.tuples(SCORES, st.tuples(*[values] * SEEDS))
    return st.lists(row, min_size=1, max_size=5).map(
        lambda rows: [Confirmed(number, *each) for number, each in enumerate(rows)]
    )


@given(candidates(st.none() | SCORES), st.sampled_from(["maximize", "minimize"]))
def test_the_champion_has_the_best_mean_and_all_is_told_again_from_json(
    tried: list[Confirmed], direction: Direction
) -> None:
    found = ranking(tried, direction)
    means = [each.mean for each in tried if each.runs]
    if found.champion is None:
        assert not means
    else:
        best = max(means) if direction == "maximize" else min(means)
        assert found.champion.mean == pytest.approx(best)
    assert len(found.ranked) + len(found.failed) == len(tried)
    assert Confirmation.from_json(json.loads(json.dumps(found.as_json()))) == found
    assert all(line[-1] in ".)" for line in found.in_words("accuracy"))


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=8))
def test_the_paired_test_is_students(pairs: list[tuple[float, float]]) -> None:
    first, second = map(list, zip(*pairs, strict=True))
    gaps = np.subtract(first, second)
    if np.ptp(gaps) > 1e-9:
        expected = stats.ttest_rel(first, second).pvalue
        assert paired_p_value(first, second) == pytest.approx(expected, rel=1e-6)


def test_the_seeds_that_one_of_them_failed_with_are_left_out_of_the_test() -> None:
    assert paired_p_value([0.9, None, 0.8, 0.7], [0.8, 0.5, 0.75, None]) == paired_p_value(
        [0.9, 0.8], [0.8, 0.75]
    )
    assert paired_p_value([0.9, None], [None, 0.8]) is None


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (0.93, "0.0100 better (optimism +0.0100)"),
        (0.91, "0.0100 worse (optimism -0.0100)"),
        (0.92, "the same (optimism +0.0000)"),
        (0.92004, "the same (optimism +0.0000)"),
        (0.91996, "the same (optimism +0.0000)"),
    ],
)
def test_the_gap_is_told_as_the_digits_show_it(found: float, told: str) -> None:
    said = ranking([confirmed(4, found, 0.91, 0.93)], "maximize").in_words("accuracy")
    assert said[1].endswith(f": {told}.")


def test_the_gap_to_the_search_is_positive_where_that_looked_too_good() -> None:
    up = ranking([confirmed(4, 0.93, 0.90, 0.92), confirmed(7, 0.92, 0.91, 0.93)], "maximize")
    assert up.champion is not None
    assert up.champion.number == 7
    # With the first seed the second chooses 7, and the other way round.
    assert up.expected is not None
    assert up.expected.mean == pytest.approx(0.92)
    assert up.optimism == pytest.approx(0.01)
    down = ranking([confirmed(4, 0.20, 0.30, 0.24)], "minimize")
    assert down.optimism == pytest.approx(0.07)
    assert down.runner_up is None
    assert down.p_value is None
    assert not down.told_apart


def test_one_seed_has_no_error_and_tells_nothing_apart() -> None:
    once = ranking([confirmed(1, 0.9, 0.8), confirmed(2, 0.9, 0.7)], "maximize")
    assert once.champion is not None
    assert once.champion.standard_error is None
    assert once.p_value is None
    assert not once.told_apart
    assert "cannot be told from it (means 0.7000 and 0.8000; too few seeds)" in " ".join(
        once.in_words("accuracy")
    )


def test_what_failed_is_told() -> None:
    found = ranking(
        [confirmed(1, 0.9, None, None), confirmed(2, 0.8, 0.7, None)],
        "maximize",
    )
    said = " ".join(found.in_words("accuracy"))
    assert found.optimism == pytest.approx(0.2)
    assert "(of 1 new seed on the same texts, which also chose it)" in said
    assert "Trial 1 failed with every new seed." in said
    assert "Trial 2 failed with 1 new seed; its mean is of the others." in said


def test_confirmed_means_are_unbiased_where_the_best_of_the_search_is_not() -> None:
    random = np.random.default_rng(0)
    worlds, trials, noise = 400, 40, 0.02
    truth = random.normal(0.9, 0.01, (worlds, trials))
    searched = truth + random.normal(0, noise, (worlds, trials))
    optimism, error = [], []
    for world in range(worlds):
        best = np.argsort(-searched[world])[:5]
        again = truth[world, best, None] + random.normal(0, noise, (5, SEEDS))
        tried = [
            Confirmed(int(n), searched[world, n], tuple(v))
            for n, v in zip(best, again, strict=True)
        ]
        found = ranking(tried, "maximize")
        optimism.append(found.found.found - truth[world, best[0]])
        error.append(found.found.mean - truth[world, best[0]])
    bound = 4 * noise / np.sqrt(SEEDS * worlds)
    assert abs(np.mean(error)) < bound
    assert np.mean(optimism) > 10 * bound


def test_what_is_told_of_the_best_is_unbiased_where_its_own_mean_is_not() -> None:
    random = np.random.default_rng(1)
    worlds, noise = 2_000, 0.02
    told, own = [], []
    for _ in range(worlds):
        values = 0.9 + random.normal(0, noise, (5, SEEDS))
        tried = [Confirmed(number, 0.9, tuple(row)) for number, row in enumerate(values)]
        found = ranking(tried, "maximize", "new")
        assert found.champion is not None
        assert found.expected is not None
        told.append(found.expected.mean - 0.9)
        own.append(found.champion.mean - 0.9)
    bound = 4 * noise / np.sqrt(SEEDS * worlds)
    assert abs(np.mean(told)) < bound
    assert np.mean(own) > 10 * bound


def test_what_an_earlier_release_stored_was_scored_on_the_same_texts() -> None:
    document = ranking([confirmed(1, 0.9, 0.8)], "maximize", "new").as_json()
    del document["validation"]
    assert Confirmation.from_json(document).on == "same"


def test_of_equal_means_the_searchs_order_stands() -> None:
    # As floats the second is better by one bit.
    tried = [confirmed(7, 0.94, 0.903, 0.926, 0.939), confirmed(3, 0.93, 0.919, 0.928, 0.921)]
    assert tried[0].mean < tried[1].mean
    assert [each.number for each in ranking(tried, "maximize").ranked] == [7, 3]
