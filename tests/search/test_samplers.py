"""Samplers: the same study has the same trials, interrupted or not, and repeats none in vain."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from hpo.errors import StudyFileError
from hpo.search.distributions import distributions, suggest
from hpo.search.grid import GridSampler, check_grid_budget, grid_values
from hpo.search.samplers import make_sampler, seed_for
from hpo.spec.space import Choice, Dimension, FloatRange, IntRange, OptionValue
from hpo.spec.study import SamplerChoice

MIXED: Mapping[str, Dimension] = {
    "learning_rate": FloatRange(1e-6, 1e-3, log=True),
    "batch_size": Choice((8, 16, 32)),
    "epochs": IntRange(1, 5),
    "weight_decay": FloatRange(0.0, 0.3, step=0.1),
    "schedule": Choice(("linear",)),
}
SMALL: Mapping[str, Dimension] = {"epochs": IntRange(1, 4), "batch_size": Choice((8, 16, 32))}
NAMES = ("tpe", "gp", "cmaes", "random", "qmc", "nsga2")
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "tpe": {"n_startup_trials": 4},
    "gp": {"n_startup_trials": 4},
    "nsga2": {"population_size": 3},
}


def sampler_of(
    name: str, space: Mapping[str, Dimension] = MIXED, *, seed: int = 0, **options: Any
) -> BaseSampler:
    return make_sampler(SamplerChoice(name=name, **options), space, seed=seed)


def score(params: Mapping[str, OptionValue]) -> float:
    values = [float(value) for value in params.values() if not isinstance(value, str)]
    return sum(value * index for index, value in enumerate(values, start=1))


def run(
    storage: InMemoryStorage,
    sampler: BaseSampler,
    trials: int,
    space: Mapping[str, Dimension] = MIXED,
) -> list[dict[str, Any]]:
    study = optuna.create_study(
        storage=storage,
        study_name="s",
        load_if_exists=True,
        sampler=sampler,
        direction="maximize",
    )
    while len(study.trials) < trials:
        trial = study.ask()
        study.tell(trial, score(suggest(trial, space)))
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("name", NAMES)
def test_a_study_gone_on_with_has_the_trials_of_one_never_interrupted(
    name: str,
) -> None:
    options = OPTIONS.get(name, {})
    whole = run(InMemoryStorage(), sampler_of(name, **options), 8)
    storage = InMemoryStorage()
    for until in (1, 4, 6, 8):  # each time with a sampler that remembers nothing
        parts = run(storage, sampler_of(name, **options), until)
    assert parts == whole
    assert len({tuple(each.items()) for each in whole}) == 8


@pytest.mark.parametrize("name", ["tpe", "random", "qmc"])
def test_another_seed_gives_other_trials(name: str) -> None:
    one = run(InMemoryStorage(), sampler_of(name, seed=1), 2)
    two = run(InMemoryStorage(), sampler_of(name, seed=2), 2)
    assert one[0] != two[0]
    assert one[1] != two[1]


def test_a_failed_first_trial_does_not_make_the_second_one_its_copy() -> None:
    study = optuna.create_study(sampler=sampler_of("random"))
    for _ in range(3):
        trial = study.ask()
        suggest(trial, MIXED)
        study.tell(trial, state=TrialState.FAIL)
    assert len({trial.params["learning_rate"] for trial in study.trials}) == 3


def test_qmc_is_the_sequence_whatever_became_of_earlier_trials() -> None:
    space = {"dropout": FloatRange(0.0, 1.0), "momentum": FloatRange(0.0, 1.0)}
    sampler = sampler_of("qmc", space)
    study = optuna.create_study(sampler=sampler)
    trials = [study.ask() for _ in range(16)]  # all at once, as sixteen workers would
    for trial in reversed(trials):
        suggest(trial, space)
    points = [trial.params for trial in study.trials]
    for name in space:  # Sobol: the first 16 points have one in each sixteenth
        assert sorted(int(point[name] * 16) for point in points) == list(range(16))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == "gp" else n for n in NAMES]
)
def test_a_small_space_is_gone_through_before_anything_is_repeated(name: str) -> None:
    study = optuna.create_study(
        sampler=sampler_of(name, SMALL, **OPTIONS.get(name, {}))
        if name != "cmaes"
        else sampler_of(name, {"epochs": IntRange(1, 4), "freeze_depth": IntRange(0, 2)})
    )
    space = SMALL if name != "cmaes" else {"epochs": IntRange(1, 4), "freeze_depth": IntRange(0, 2)}
    seen = []
    for _ in range(14):
        trial = study.ask()
        params = suggest(trial, space)
        seen.append(tuple(params.values()))
        study.tell(trial, score(params))
    assert len(set(seen[:12])) == 12
    assert set(seen[12:]) <= set(seen[:12])


def test_a_point_that_a_worker_is_at_is_not_given_to_another() -> None:
    study = optuna.create_study(sampler=sampler_of("random", SMALL))
    points = [tuple(suggest(study.ask(), SMALL).values()) for _ in range(12)]
    assert len(set(points)) == 12


def test_no_sampler_makes_noise(recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always")
    for name in NAMES:
        run(InMemoryStorage(), sampler_of(name, **OPTIONS.get(name, {})), 6)
    ours = [str(w.message) for w in recwarn if "xperimental" in str(w.message)]
    assert ours == []


def test_the_space_is_put_in_optunas_words() -> None:
    found = distributions(
        {
            "epochs": IntRange(1, 6, step=2),
            "weight_decay": FloatRange(0.0, 0.25, step=0.1),
            "learning_rate": FloatRange(1e-5, 1e-3, log=True),
            "optimizer": Choice(("adamw", "sgd")),
        }
    )
    assert found == {
        "epochs": optuna.distributions.IntDistribution(1, 5, step=2),
        "weight_decay": optuna.distributions.FloatDistribution(0.0, 0.2, step=0.1),
        "learning_rate": optuna.distributions.FloatDistribution(1e-5, 1e-3, log=True),
        "optimizer": optuna.distributions.CategoricalDistribution(("adamw", "sgd")),
    }


def test_suggested_values_have_the_types_of_the_space() -> None:
    params = suggest(optuna.create_study(sampler=sampler_of("tpe")).ask(), MIXED)
    assert {name: type(value) for name, value in params.items()} == {
        "learning_rate": float,
        "batch_size": int,
        "epochs": int,
        "weight_decay": float,
        "schedule": str,
    }


def test_n_layer_must_be_resolved() -> None:
    with pytest.raises(ValueError, match="n_layer"):
        distributions({"freeze_depth": IntRange(0, None)})


@pytest.mark.parametrize(
    ("name", "options", "place", "said"),
    [
        ("tpe", {"n_startup": 5}, "search.sampler.n_startup", "Did you mean n_startup_trials?"),
        ("tpe", {"prior_weight": 2.0}, "search.sampler.prior_weight", "n_startup_trials"),
        ("tpe", {"n_startup_trials": "5"}, "search.sampler.n_startup_trials", "a whole number"),
        ("tpe", {"n_startup_trials": True}, "search.sampler.n_startup_trials", "a whole number"),
        ("tpe", {"constant_liar": 1}, "search.sampler.constant_liar", "true or false"),
        ("tpe", {"group": True, "multivariate": False}, "search.sampler", "multivariate"),
        ("random", {"n": 1}, "search.sampler.n", "no options at all"),
        ("grid", {"n": 1}, "search.sampler.n", "no options at all"),
        ("qmc", {"qmc_type": "lattice"}, "search.sampler", "sobol"),
        ("nsga2", {"population_size": 1}, "search.sampler", "2"),
        ("tpe", {"n_ei_candidates": 0}, "search.sampler.n_ei_candidates", "1 or more"),
        ("tpe", {"n_startup_trials": -1}, "search.sampler.n_startup_trials", "0 or more"),
        ("gp", {"n_startup_trials": -1}, "search.sampler.n_startup_trials", "0 or more"),
        ("cmaes", {"popsize": 0}, "search.sampler.popsize", "4 or more"),
        ("cmaes", {"popsize": 3}, "search.sampler.popsize", "4 or more"),
        ("cmaes", {"inc_popsize": 2}, "search.sampler.inc_popsize", "popsize"),
    ],
)
def test_options_that_a_sampler_does_not_have_or_take_are_told(
    name: str, options: dict[str, Any], place: str, said: str
) -> None:
    space = SMALL if name == "grid" else MIXED
    with pytest.raises(StudyFileError) as caught:
        sampler_of(name, space, **options)
    assert caught.value.place == place
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tpe", {"n_startup_trials": 0, "n_ei_candidates": 1}),
        pytest.param("gp", {"n_startup_trials": 0}, marks=pytest.mark.slow),
        ("cmaes", {"n_startup_trials": 0, "popsize": 4}),
        ("nsga2", {"population_size": 2}),
    ],
)
def test_the_least_that_a_sampler_takes_works_without_a_warning(
    name: str, options: dict[str, Any], recwarn: pytest.WarningsRecorder
) -> None:
    warnings.simplefilter("always")
    assert len(run(InMemoryStorage(), sampler_of(name, **options), 12)) == 12
    assert [str(warning.message) for warning in recwarn] == []


def tpe_settings(monkeypatch: pytest.MonkeyPatch, **options: Any) -> dict[str, Any]:
    """What Optuna's TPE is made with."""
    made: list[dict[str, Any]] = []

    class Spy(optuna.samplers.TPESampler):
        def __init__(
            self,
            *,
            seed: int,
            multivariate: bool,
            group: bool,
            constant_liar: bool,
        ) -> None:
            made.append(
                {"multivariate": multivariate, "group": group, "constant_liar": constant_liar}
            )

    monkeypatch.setattr(optuna.samplers, "TPESampler", Spy)
    sampler_of("tpe", **options)
    return made[0]


def test_tpe_models_options_together_in_groups_and_lies_about_running_trials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = {"multivariate": True, "group": True, "constant_liar": True}
    assert tpe_settings(monkeypatch) == usual
    assert tpe_settings(monkeypatch, constant_liar=False) == {**usual, "constant_liar": False}
    alone = {**usual, "multivariate": False, "group": False}
    assert tpe_settings(monkeypatch, multivariate=False) == alone


def test_groups_make_no_difference_to_a_study_of_one_space() -> None:
    grouped = run(InMemoryStorage(), sampler_of("tpe", n_startup_trials=4), 16)
    assert grouped == run(InMemoryStorage(), sampler_of("tpe", n_startup_trials=4, group=False), 16)


def test_options_reach_the_sampler() -> None:
    study = optuna.create_study(sampler=sampler_of("cmaes", popsize=6, n_startup_trials=1))
    for _ in range(5):
        trial = study.ask()
        study.tell(trial, score(suggest(trial, MIXED)))
    assert any("cma" in key for trial in study.trials for key in trial.system_attrs)


def test_cmaes_needs_two_ranges() -> None:
    with pytest.raises(StudyFileError, match="two ranges or more"):
        sampler_of("cmaes", {"epochs": IntRange(1, 3), "batch_size": Choice((8, 16))})


def test_a_grid_has_every_point_once_in_an_order_of_the_seed() -> None:
    grid, other = GridSampler(SMALL, 0), GridSampler(SMALL, 1)
    points = [tuple(grid.point(slot).values()) for slot in range(len(grid))]
    assert sorted(points) == sorted(itertools.product([1, 2, 3, 4], [8, 16, 32]))
    assert points != [tuple(other.point(slot).values()) for slot in range(len(other))]
    assert points == [tuple(GridSampler(SMALL, 0).point(slot).values()) for slot in range(12)]


def test_the_values_of_a_grid_are_those_that_people_expect() -> None:
    values = grid_values(
        {
            "weight_decay": FloatRange(0.1, 0.5, step=0.1),
            "epochs": IntRange(1, 6, step=2),
            "momentum": FloatRange(0.9, 0.9),
        }
    )
    assert values == {
        "weight_decay": [0.1, 0.2, 0.3, 0.4, 0.5],
        "epochs": [1, 3, 5],
        "momentum": [0.9],
    }


def test_a_grid_needs_values_that_can_be_counted() -> None:
    with pytest.raises(StudyFileError) as caught:
        sampler_of("grid", {"learning_rate": FloatRange(1e-5, 1e-3, log=True)})
    assert caught.value.place == "search.space.learning_rate"
    assert "learning_rate = [1e-05, 0.001]" in caught.value.hint


def test_a_grid_too_large_to_list_is_refused() -> None:
    space: Mapping[str, Dimension] = {f"o{i}": IntRange(1, 1000) for i in range(3)}
    with pytest.raises(StudyFileError, match="1,000,000,000 points"):
        sampler_of("grid", space)


def test_a_budget_above_the_grid_is_refused() -> None:
    check_grid_budget(None, 10**6)
    check_grid_budget(12, 12)
    with pytest.raises(StudyFileError, match="13 trials for a grid of 12 points"):
        check_grid_budget(12, 13)


def test_seeds_differ_by_study_by_trial_and_by_retry() -> None:
    seeds = {seed_for(s, n, r) for s in range(8) for n in range(8) for r in range(3)}
    assert len(seeds) == 8 * 8 * 3
    assert all(0 <= seed < 2**32 for seed in seeds)
