"""When a trial is given up: pruners by name, set to the pace at which our trials report.

A trial reports after each evaluation, at step 1, 2, …; evaluations fall at fixed fractions of an
epoch, so equal steps mean equal amounts of data whatever the batch size. `max_resource` is the last
step that any trial of the study can reach: the most epochs times the evaluations of each. A trial
over folds reports so in the first of them, and of the others the mean so far after each, at as many
steps more as the longest trial needs for a fold: there all trials are equally far.

- median, percentile: a trial whose best value so far is worse than the median (percentile) of the
  others at the same step. Not before half an epoch, nor before five trials are complete.
- successive_halving, hyperband: only the best of each rung go on. The first rung is at half an
  epoch.
- patient: does as the pruner it wraps says, but only once a trial has not improved for an epoch.
- wilcoxon: a signed-rank test of the trial's values against those of the best trial, paired by
  step. Optuna means the steps to be independent instances of a problem; ours are moments of two
  learning curves, so its p is a rule of thumb, not an error rate. It says: worse than the best at
  nearly every moment so far. With the default threshold of 0.1 that takes four evaluations or more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import optuna
from optuna.pruners import BasePruner, NopPruner
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hpo.errors import StudyFileError
from hpo.search.plugins import accepted_options, built, check_at_least, checked_options, quietly
from hpo.spec.registries import PRUNERS
from hpo.spec.space import Choice, IntRange
from hpo.spec.study import PrunerChoice, StudySpec

_STARTUP_TRIALS: Final = 4
# The order in which people read what the pruner patient can wrap.
_WRAPPED_FIRST: Final = (
    "median",
    "percentile",
    "hyperband",
    "successive_halving",
    "wilcoxon",
    "none",
)


@dataclass(frozen=True)
class Pace:
    """How trials report.

    Attributes:
        max_resource: The last step that any trial can report, 1 or more.
        evaluations_per_epoch: Steps an epoch, 1 or more.
    """

    max_resource: int
    evaluations_per_epoch: int

    @property
    def half_an_epoch(self) -> int:
        """In steps, 1 or more."""
        return max(1, self.evaluations_per_epoch // 2)


def make_pruner(
    choice: PrunerChoice, *, max_resource: int, evaluations_per_epoch: int
) -> BasePruner:
    """The pruner that a study file names.

    Args:
        choice: Its name and options.
        max_resource: The last step that any trial can report, 1 or more.
        evaluations_per_epoch: Steps an epoch, 1 or more.

    Returns:
        A pruner that can be asked on any worker.

    Raises:
        StudyFileError: At `search.pruner…`, for options that it does not have or cannot take.
    """
    pruner: BasePruner = PRUNERS[choice.name](choice, Pace(max_resource, evaluations_per_epoch))
    return pruner


def most_evaluations(spec: StudySpec, space: Mapping[str, object]) -> int:
    """The last step that any trial of the study can report."""
    return max(spec.validation.folds, 1) * evaluations_a_training(spec, space)


def evaluations_a_training(spec: StudySpec, space: Mapping[str, object]) -> int:
    """The most evaluations of a trial of the study, or of one of its folds."""
    epochs = space.get("epochs")
    most = spec.training.epochs
    if isinstance(epochs, IntRange) and epochs.high is not None:
        most = epochs.high
    elif isinstance(epochs, Choice):
        most = int(max(float(value) for value in epochs.values))
    return most * spec.training.evaluations_per_epoch


class StartupPruner(BasePruner):
    """Listens to another pruner only once some trials of the study are complete.

    The other pruner is asked all the same, for halving ranks a trial among the values that it noted
    of earlier ones. Being a class of our own also keeps Optuna from handing samplers, under
    Hyperband, a study cut down to one bracket: it would repeat points of the others, and a process
    that has not pruned yet does not know the brackets, so that a study gone on with would take
    another course.
    """

    def __init__(self, pruner: BasePruner, n_startup_trials: int) -> None:
        if n_startup_trials < 0:
            raise ValueError(f"n_startup_trials must be 0 or more but got {n_startup_trials}")
        self._pruner = pruner
        self._n_startup_trials = n_startup_trials

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        with quietly():
            verdict = self._pruner.prune(study, trial)
        if not verdict:
            return False
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return len(complete) >= self._n_startup_trials


def none(choice: PrunerChoice, pace: Pace) -> BasePruner:
    """Gives no trial up."""
    checked_options({}, choice.options, kind="pruner", name=choice.name)
    return NopPruner()


def patient(choice: PrunerChoice, pace: Pace) -> BasePruner:
    """Another pruner, asked only about trials that have not improved for a while."""
    options = dict(choice.options)
    wrapped = _wrapped(options.pop("wrapped", "median"))
    given = checked_options(
        {"patience": "int", "min_delta": "float"}, options, kind="pruner", name=choice.name
    )
    pruner: BasePruner = PRUNERS[wrapped.name](wrapped, pace)
    patience = given.pop("patience", pace.evaluations_per_epoch)
    return built(
        lambda: StartupPruner(optuna.pruners.PatientPruner(pruner, patience, **given), 0),
        kind="pruner",
        name=choice.name,
    )


def _wrapped(wrapped: object) -> PrunerChoice:
    inner = {"name": wrapped} if isinstance(wrapped, str) else wrapped
    if isinstance(inner, dict) and inner.get("name") in PRUNERS and inner["name"] != "patient":
        return PrunerChoice.model_validate(inner)
    names = [*_WRAPPED_FIRST, *(n for n in PRUNERS if n not in (*_WRAPPED_FIRST, "patient"))]
    raise StudyFileError(
        "search.pruner.wrapped",
        found=repr(wrapped),
        expected="one of " + ", ".join(names) + ", or a table with such a name and its options",
        hint='Write e.g. wrapped = "median".',
    )


@dataclass(frozen=True)
class OptunaPruner:
    """One of Optuna's pruners, or of its kind.

    Attributes:
        cls: Its class.
        defaults: Where ours are not the class's, for a pace.
    """

    cls: Callable[..., BasePruner]
    defaults: Callable[[Pace], Mapping[str, Any]] = lambda pace: {}

    def __call__(self, choice: PrunerChoice, pace: Pace) -> BasePruner:
        """The pruner of a study; see `make_pruner`."""
        accepted = accepted_options(self.cls, {"max_resource"})
        given = checked_options(accepted, choice.options, kind="pruner", name=choice.name)
        return self._listening(choice.name, {**self.defaults(pace), **given}, startup_trials=0)

    def _listening(
        self, name: str, options: Mapping[str, Any], *, startup_trials: int
    ) -> BasePruner:
        pruner = built(lambda: self.cls(**options), kind="pruner", name=name)
        return built(lambda: StartupPruner(pruner, startup_trials), kind="pruner", name=name)


@dataclass(frozen=True)
class _Halving(OptunaPruner):
    """least: the smallest value of an option, where Optuna fails of less at the first evaluation."""

    least: Mapping[str, int] = field(default_factory=dict)

    def __call__(self, choice: PrunerChoice, pace: Pace) -> BasePruner:
        accepted = accepted_options(self.cls, {"max_resource"})
        accepted |= {"n_startup_trials": "int", "min_resource": "int"}
        given = checked_options(accepted, choice.options, kind="pruner", name=choice.name)
        startup = given.pop("n_startup_trials", _STARTUP_TRIALS)
        _check_min_resource(given.get("min_resource"), pace.max_resource)
        for option, least in self.least.items():
            check_at_least(least, given.get(option), f"search.pruner.{option}")
        options = {
            "min_resource": min(pace.half_an_epoch, pace.max_resource),
            "reduction_factor": 3,
            **self.defaults(pace),
            **given,
        }
        return self._listening(choice.name, options, startup_trials=startup)


def _check_min_resource(min_resource: int | None, max_resource: int) -> None:
    # Optuna takes these and fails at the first evaluation of the first trial.
    if min_resource is not None and not 1 <= min_resource <= max_resource:
        raise StudyFileError(
            "search.pruner.min_resource",
            found=str(min_resource),
            expected=f"1 to {max_resource}, the most evaluations that a trial of this study has",
            hint="Correct the value, or remove it for the default.",
        )


HYPERBAND: Final = _Halving(
    optuna.pruners.HyperbandPruner,
    lambda pace: {"max_resource": pace.max_resource},
    least={"reduction_factor": 2, "bootstrap_count": 0},
)
SUCCESSIVE_HALVING: Final = _Halving(optuna.pruners.SuccessiveHalvingPruner)
MEDIAN: Final = OptunaPruner(
    optuna.pruners.MedianPruner, lambda pace: {"n_warmup_steps": pace.half_an_epoch}
)
PERCENTILE: Final = OptunaPruner(
    optuna.pruners.PercentilePruner,
    lambda pace: {"n_warmup_steps": pace.half_an_epoch, "percentile": 25.0},
)
WILCOXON: Final = OptunaPruner(optuna.pruners.WilcoxonPruner)
