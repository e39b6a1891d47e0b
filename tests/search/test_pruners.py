"""Pruners: when they give a trial up at our pace of evaluations, and which options they take."""

from __future__ import annotations

import warnings
from typing import Any

import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.trial import TrialState

from hpo.errors import StudyFileError
from hpo.search.pruners import evaluations_a_training, make_pruner, most_evaluations
from hpo.spec.space import Choice, IntRange
from hpo.spec.study import PrunerChoice, StudySpec, ValidationSection

NAMES = (
    "hyperband",
    "median",
    "percentile",
    "successive_halving",
    "patient",
    "wilcoxon",
    "none",
)
MOST = 20  # five epochs of four evaluations


def pruner_of(name: str, **options: Any) -> BasePruner:
    choice = PrunerChoice(name=name, **options)
    return make_pruner(choice, max_resource=MOST, evaluations_per_epoch=4)


def steps_until_pruned(study: optuna.Study, level: float, most: int = MOST) -> int | None:
    """Run a trial whose values rise towards its level; the step at which it was pruned, if any."""
    trial = study.ask()
    for step in range(1, most + 1):
        trial.report(level * (1 - 0.5**step), step)
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return step
    study.tell(trial, level)
    return None


def study_with(name: str, good_trials: int, **options: Any) -> optuna.Study:
    study = optuna.create_study(
        direction="maximize", pruner=pruner_of(name, **options), study_name="s"
    )
    quiet = study.pruner
    study.pruner = optuna.pruners.NopPruner()
    for index in range(good_trials):
        steps_until_pruned(study, 0.9 + index / 1000)
    study.pruner = quiet
    return study


@pytest.mark.parametrize("name", NAMES)
def test_each_pruner_can_be_had_by_its_name_alone_and_makes_no_noise(
    name: str, recwarn: pytest.WarningsRecorder
) -> None:
    warnings.simplefilter("always")
    study = study_with(name, 6)
    for level in (0.1, 0.95, 0.2, 0.3):
        steps_until_pruned(study, level)
    assert [str(w.message) for w in recwarn if "xperimental" in str(w.message)] == []


@pytest.mark.parametrize("name", ["median", "percentile", "wilcoxon", "successive_halving"])
def test_a_hopeless_trial_is_given_up_but_not_before_half_an_epoch(name: str) -> None:
    step = steps_until_pruned(study_with(name, 6), 0.1)
    if (
        name == "successive_halving"
    ):  # it ranks among the values noted of others, and there are none
        study = study_with(name, 4)
        steps = [steps_until_pruned(study, level) for level in (0.9, 0.1, 0.1)]
        step = steps[-1]
    assert step is not None
    assert 2 <= step <= 8


def test_hyperband_gives_hopeless_trials_up_and_lets_the_best_through() -> None:
    study = study_with("hyperband", 4)
    steps = [steps_until_pruned(study, 0.9 - index / 100) for index in range(20)]
    assert sum(step is not None for step in steps) >= 8
    assert all(step is None or step >= 2 for step in steps)
    assert steps_until_pruned(study, 0.99) is None


@pytest.mark.parametrize("name", ["hyperband", "successive_halving", "median", "percentile"])
def test_nothing_is_given_up_before_some_trials_are_complete(name: str) -> None:
    study = study_with(name, 0)
    steps = [steps_until_pruned(study, 0.9 - index / 10) for index in range(4)]
    assert steps == [None] * 4


def test_samplers_see_all_trials_under_hyperband() -> None:
    seen = []

    class Spy(optuna.samplers.RandomSampler):
        def sample_independent(self, study: Any, trial: Any, name: str, dist: Any) -> Any:
            seen.append(len(study.get_trials(deepcopy=False)))
            return super().sample_independent(study, trial, name, dist)

    study = optuna.create_study(pruner=pruner_of("hyperband"), sampler=Spy())
    for _ in range(8):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.report(0.5, 3)
        trial.should_prune()
        study.tell(trial, 0.5)
    assert seen == list(range(1, 9))


def test_none_never_prunes() -> None:
    assert steps_until_pruned(study_with("none", 6), 0.0) is None


def test_patience_waits_for_an_epoch_without_improvement() -> None:
    study = study_with("patient", 6)
    trial = study.ask()
    pruned_at = None
    for step in range(1, MOST + 1):
        trial.report(0.5 - step / 100, step)
        if trial.should_prune():
            pruned_at = step
            break
    assert pruned_at is not None
    assert pruned_at > 4
    assert steps_until_pruned(study, 0.1) is None  # poor, but always improving


def test_patience_may_wrap_a_pruner_with_options_of_its_own() -> None:
    wrapped = {"name": "percentile", "percentile": 50, "n_startup_trials": 1}
    assert pruner_of("patient", wrapped=wrapped, patience=2, min_delta=0.1) is not None
    with pytest.raises(StudyFileError) as caught:
        pruner_of("patient", wrapped={"name": "percentile", "percentil": 50})
    assert caught.value.hint == "Did you mean percentile?"


@pytest.mark.parametrize(
    ("name", "options", "place", "said"),
    [
        ("median", {"n_warmup": 1}, "search.pruner.n_warmup", "Did you mean n_warmup_steps?"),
        ("median", {"n_warmup_steps": -1}, "search.pruner", "negative"),
        ("median", {"n_warmup_steps": 1.5}, "search.pruner.n_warmup_steps", "a whole number"),
        ("percentile", {"percentile": 120}, "search.pruner", "between 0 and 100"),
        ("hyperband", {"max_resource": 7}, "search.pruner.max_resource", "an unknown option"),
        ("hyperband", {"min_resource": 99}, "search.pruner.min_resource", "1 to 20"),
        ("hyperband", {"reduction_factor": 1}, "search.pruner.reduction_factor", "2 or more"),
        ("hyperband", {"bootstrap_count": -1}, "search.pruner.bootstrap_count", "0 or more"),
        ("hyperband", {"n_startup_trials": -1}, "search.pruner", "0 or more"),
        ("successive_halving", {"min_resource": 0}, "search.pruner.min_resource", "1 to 20"),
        ("wilcoxon", {"p_threshold": 2.0}, "search.pruner", "between 0 and 1"),
        ("patient", {"wrapped": "patient"}, "search.pruner.wrapped", "one of median"),
        ("patient", {"wrapped": 7}, "search.pruner.wrapped", "one of median"),
        ("none", {"n_startup_trials": 1}, "search.pruner.n_startup_trials", "no options at all"),
    ],
)
def test_options_that_a_pruner_does_not_have_or_take_are_told(
    name: str, options: dict[str, Any], place: str, said: str
) -> None:
    with pytest.raises(StudyFileError) as caught:
        pruner_of(name, **options)
    assert caught.value.place == place
    assert said in str(caught.value)


@pytest.mark.parametrize("most", [1, 2, 3, 100])
@pytest.mark.parametrize("name", NAMES)
def test_short_trials_are_no_trouble(name: str, most: int) -> None:
    pruner = make_pruner(
        PrunerChoice(name=name),
        max_resource=most,
        evaluations_per_epoch=1,
    )
    study = optuna.create_study(direction="maximize", pruner=pruner)
    for level in (0.5, 0.6, 0.1):
        steps_until_pruned(study, level, most=min(most, 5))


@pytest.mark.parametrize(
    ("space", "most"),
    [
        ({}, 3 * 4),
        ({"epochs": IntRange(1, 5)}, 5 * 4),
        ({"epochs": Choice((1, 7, 2))}, 7 * 4),
    ],
)
def test_the_most_evaluations_follow_from_epochs(space: dict[str, object], most: int) -> None:
    assert most_evaluations(StudySpec(), space) == most


def test_with_folds_a_trial_can_report_as_often_in_each() -> None:
    spec = StudySpec(validation=ValidationSection(folds=5))
    assert most_evaluations(spec, {"epochs": IntRange(1, 3)}) == 5 * 3 * 4
    assert evaluations_a_training(spec, {"epochs": IntRange(1, 3)}) == 3 * 4
