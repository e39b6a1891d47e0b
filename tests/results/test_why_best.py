"""Why a trial is the best, in words that say no more than its study can tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hpo.results.confirmed import Confirmed, ranking
from hpo.results.leaderboard import Entry
from hpo.results.noise import Noise
from hpo.results.why_best import why_best
from hpo.spec.space import Choice, FloatRange, IntRange, SearchSpace

SPACE: SearchSpace = {
    "learning_rate": FloatRange(1e-5, 1e-2, log=True),
    "optimizer": Choice(("adamw", "lion", "sgd")),
    "epochs": IntRange(1, 5),
}


def board(count: int) -> list[Entry]:
    """The better the trial, the nearer its rate to 1e-4; the best third has lion; epochs say nothing."""
    return [
        Entry(
            number=place + 3,
            value=0.9 - place / 100,
            params={
                "learning_rate": 1e-4 * (1 + place / 10),
                "optimizer": "lion" if place < count // 3 else "adamw",
                "epochs": 1 + place % 5,
            },
            epochs_run=2.0,
            seconds=1.0,
            mlflow_url=None,
        )
        for place in range(count)
    ]


def test_of_a_single_trial_there_is_nothing_to_say() -> None:
    assert why_best(3, board(1), SPACE, "accuracy") == []


def test_it_is_held_against_the_median_the_next_and_chance() -> None:
    first, *_ = why_best(3, board(5), SPACE, "accuracy", noise=Noise(0.02, 2))
    assert first == (
        "Validation accuracy 0.9000 is 0.0200 better than the median of 5 complete trials, and 0.0100 better "
        "than the next, trial 4; that is no more than chance gives (standard error 0.020), so the search alone "
        "does not tell the two apart."
    )
    first, *_ = why_best(3, board(5), SPACE, "accuracy", noise=Noise(0.001, 0))
    assert first.endswith("trial 4; that is more than chance gives (standard error 0.0010).")


def test_one_that_was_chosen_by_new_seeds_need_not_be_the_searchs_best() -> None:
    values = {3: (0.86, 0.87), 4: (0.88, 0.88)}
    confirmation = ranking(
        [Confirmed(each.number, each.value, values[each.number]) for each in board(2)], "maximize"
    )
    first, second, *_ = why_best(4, board(5), SPACE, "accuracy", confirmation=confirmation)
    assert "0.0100 worse than the best of the search, trial 3." in first
    assert second.startswith(
        "Trained again with new seeds it has the best mean; the next there, trial 3, can"
    )


def test_what_the_good_ones_share_is_told_of_enough_trials_alone() -> None:
    assert "5 complete trials are too few" in why_best(3, board(5), SPACE, "accuracy")[1]
    shared = why_best(3, board(24), SPACE, "accuracy", end="trained to its end")
    assert shared[1:] == [
        "The best 6 trials, this one among them, have in common: `learning_rate` 0.0001 to 0.00015, "
        "`optimizer` lion.",
        "It trained to its end.",
    ]


def test_parameters_that_say_nothing_are_seldom_told() -> None:
    random, told = np.random.default_rng(0), 0
    for _ in range(300):
        entries = [
            replace(
                entry,
                params={
                    "learning_rate": float(random.uniform(1e-5, 1e-2)),
                    "optimizer": str(random.choice(["adamw", "lion", "sgd"])),
                    "epochs": int(random.integers(1, 6)),
                },
            )
            for entry in board(24)
        ]
        told += why_best(3, entries, SPACE, "accuracy")[1].count("`") // 2
    assert told / (300 * len(SPACE)) < 0.05
