"""Why a trial is the best, in words that say no more than its study can tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hpo.results.confirmed import Confirmed, ranking
from hpo.results.leaderboard import Entry
from hpo.results.noise import Noise
from hpo.results.why_best import Reached, why_best
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


def why(number: int, entries: list[Entry], **more: Any) -> list[str]:
    finished = [Reached(each.number, each.value, each.params) for each in entries]
    return why_best(number, entries, finished, SPACE, "accuracy", **more)


def test_of_a_single_trial_there_is_nothing_to_say() -> None:
    assert why(3, board(1)) == []


def test_it_is_held_against_the_median_the_next_and_chance() -> None:
    first, *_ = why(3, board(5), noise=Noise(0.02, 2))
    assert first == (
        "Validation accuracy 0.9000 is 0.0200 better than the median of 5 complete trials and 0.0100 better "
        "than the next, trial 4. The search alone does not tell these two apart: one standard error is 0.020."
    )
    first, *_ = why(3, board(5), noise=Noise(0.001, 0))
    assert first.endswith("further apart than chance brings them: one standard error is 0.0010.")
    equal = [replace(each, value=0.9) for each in board(2)]
    assert "and as good as the next, trial 4." in why(3, equal)[0]


def test_one_that_was_chosen_by_new_seeds_need_not_be_the_searchs_best() -> None:
    values = {3: (0.86, 0.87), 4: (0.88, 0.88)}
    confirmation = ranking(
        [Confirmed(each.number, each.value, values[each.number]) for each in board(2)], "maximize"
    )
    first, second, *_ = why(4, board(5), confirmation=confirmation)
    assert "0.0100 worse than the best of the search, trial 3." in first
    assert second.startswith(
        "Trained again with new seeds it has the best mean; the next there, trial 3, can"
    )


def test_what_the_good_ones_share_is_told_of_enough_trials_alone() -> None:
    assert "5 finished trials are too few" in why(3, board(5))[1]
    shared = why(3, board(24), end="trained to its end")
    assert shared[1:] == [
        "What the best 6 trials have in common, and few of the others: `learning_rate` 0.0001 to 0.00015, "
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
        told += why(3, entries)[1].count("`") // 2
    assert told / (300 * len(SPACE)) < 0.05
