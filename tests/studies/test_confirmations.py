"""On which texts a study's best are confirmed, and what its trainings are told apart by."""

from __future__ import annotations

import pytest
from optuna.trial import create_trial

from hpo.spec.study import StudySpec
from hpo.studies.confirmations import ConfirmationRun, RunKey, confirmed_on, run_key, scored_at


@pytest.mark.parametrize(
    ("source", "validation", "split_off", "folds", "expected"),
    [
        ("reviews.csv", "auto", ("validation", "test"), 0, "new"),
        ("reviews", "auto", ("test",), 0, "same"),
        ("reviews", "auto", (), 0, "same"),
        ("demo", "auto", (), 0, "new"),  # the draws of one generator
        ("reviews", "new", (), 0, "new"),
        ("reviews.csv", "same", ("validation",), 0, "same"),
        ("demo", "auto", ("validation",), 5, "same"),
    ],
)
def test_new_texts_are_taken_where_they_are_of_the_same_kind(
    source: str, validation: str, split_off: tuple[str, ...], folds: int, expected: str
) -> None:
    spec = StudySpec.model_validate(
        {
            "data": {"source": source},
            "confirm": {"validation": validation},
            "validation": {"folds": folds},
        }
    )
    assert confirmed_on(spec, split_off) == expected


@pytest.mark.parametrize("bound", [{"min_words": 3}, {"max_words": 30}])
def test_texts_of_some_lengths_alone_are_no_match_for_those_of_all(bound: dict[str, int]) -> None:
    spec = StudySpec.model_validate({"data": {"source": "reviews.csv"}, "cleaning": bound})
    assert confirmed_on(spec, ("validation", "test")) == "same"


def test_a_training_knows_what_it_was_queued_for() -> None:
    for at in ((), (3,), (3, 4, 2)):
        run = ConfirmationRun(RunKey(7, 1, "new"), {}, at)
        trial = create_trial(value=0.5, user_attrs=run.as_attributes())
        assert (run_key(trial), scored_at(trial)) == (run.key, at)


@pytest.mark.parametrize(("noted", "at"), [({}, ()), ({"scored_at": 3}, (3,))])
def test_one_that_an_earlier_release_queued_is_scored_as_it_was_then(
    noted: dict[str, int], at: tuple[int, ...]
) -> None:
    trial = create_trial(value=0.5, user_attrs={"confirms_trial": 7, "repetition": 0, **noted})
    assert (run_key(trial), scored_at(trial)) == (RunKey(7, 0, "same"), at)
