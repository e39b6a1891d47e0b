"""What a choice is worth: made by the other repetitions, scored with one that has not seen it."""

from __future__ import annotations

import pytest

from hpo.results.cross_fit import CrossFit, Pick, cross_fit


def test_each_repetition_scores_what_the_others_choose() -> None:
    # Without the first, 7 is the best (0.85 to 0.80); without the second, 4; without the third, 4.
    values = {4: (0.95, 0.80, 0.80), 7: (0.60, 0.90, 0.80)}
    found = cross_fit(values, 4, "maximize")
    assert found.picks == (Pick(0, 7, 0.60), Pick(1, 4, 0.80), Pick(2, 4, 0.80))
    assert found.is_held_out
    assert found.mean == pytest.approx(2.2 / 3)
    assert found.standard_error == pytest.approx(0.2 / 3)
    assert found.in_words() == "0.7333 ± 0.0667"


def test_less_may_be_better_and_of_equals_the_first_is_chosen() -> None:
    values = {1: (0.4, 0.2), 2: (0.4, 0.1), 3: (0.9, 0.9)}
    assert cross_fit(values, 2, "minimize").picks == (Pick(0, 2, 0.4), Pick(1, 1, 0.2))


def test_what_failed_is_neither_chosen_by_nor_scored() -> None:
    values = {1: (0.9, None, 0.7), 2: (0.5, 0.6, None)}
    assert cross_fit(values, 1, "maximize").picks == (
        Pick(0, 1, 0.9),
        Pick(1, 2, 0.6),
        Pick(2, 1, 0.7),
    )


def test_one_repetition_is_told_as_what_chose_it() -> None:
    assert cross_fit({1: (0.8,), 2: (0.7,)}, 1, "maximize") == CrossFit((Pick(0, 1, 0.8),), False)
    assert cross_fit({1: (None, 0.8)}, 1, "maximize") == CrossFit((Pick(1, 1, 0.8),), False)
