"""When a trial is given up: pruners by name, set to the pace at which our trials report.

A trial reports after each evaluation, at step 1, 2, …; evaluations fall at fixed fractions of an
epoch, so equal steps mean equal amounts of data whatever the batch size. `max_resource` is the last
step that any trial of the study can reach: the most epochs times the evaluations of each.

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

from collections.abc import Mapping
from typing import Any, Final

import optuna
from optuna.pruners import BasePruner, NopPruner
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hpo.errors import StudyFileError
from hpo.search.plugins import accepted_options, built, check_at_least, checked_options, quietly
from hpo.spec.space import Choice, IntRange
from hpo.spec.study import PrunerChoice, StudySpec

_CLASSES: Final[Mapping[str, type[BasePruner]]] = {
    "median": optuna.pruners.MedianPruner,
    "percentile": optuna.pruners.PercentilePruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "successive_halving": optuna.pruners.SuccessiveHalvingPruner,
    "wilcoxon": optuna.pruners.WilcoxonPruner,
}
_STARTUP_TRIALS: Final = 4


def make_pruner(
    choice: PrunerChoice, *, max_resource: int, evaluations_per_epoch: int
) -> BasePruner:
    """The pruner that a study file names.

    max_resource: the last step that any trial can report, 1 or more; evaluations_per_epoch: steps
    an epoch.
    Raises StudyFileError at `search.pruner…`.
    """
    return _make(choice.name, dict(choice.options), max_resource, evaluations_per_epoch)


def most_evaluations(spec: StudySpec, space: Mapping[str, object]) -> int:
    """The last step that any trial of the study can report."""
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


def _make(
    name: str, options: dict[str, Any], max_resource: int, evaluations_per_epoch: int
) -> BasePruner:
    half_an_epoch = max(1, evaluations_per_epoch // 2)
    if name == "none":
        checked_options({}, options, kind="pruner", name=name)
        return NopPruner()
    if name == "patient":
        return _patient(options, max_resource, evaluations_per_epoch)
    cls = _CLASSES[name]
    halving = name in ("hyperband", "successive_halving")
    accepted = accepted_options(cls, {"max_resource"})
    if halving:
        accepted |= {"n_startup_trials": "int", "min_resource": "int"}
    given = checked_options(accepted, options, kind="pruner", name=name)
    startup = given.pop("n_startup_trials", _STARTUP_TRIALS) if halving else 0
    defaults: dict[str, Any] = {}
    if name in ("median", "percentile"):
        defaults = {"n_warmup_steps": half_an_epoch}
        if name == "percentile":
            defaults["percentile"] = 25.0
    elif halving:
        defaults = {"min_resource": min(half_an_epoch, max_resource), "reduction_factor": 3}
        _check_min_resource(given.get("min_resource"), max_resource)
        if name == "hyperband":
            defaults["max_resource"] = max_resource
            # Optuna takes these too, and fails of them at the first evaluation of the first trial.
            for option, least in (("reduction_factor", 2), ("bootstrap_count", 0)):
                check_at_least(least, given.get(option), f"search.pruner.{option}")
    pruner = built(lambda: cls(**{**defaults, **given}), kind="pruner", name=name)
    return built(lambda: StartupPruner(pruner, startup), kind="pruner", name=name)


def _patient(options: dict[str, Any], max_resource: int, evaluations_per_epoch: int) -> BasePruner:
    wrapped = options.pop("wrapped", "median")
    inner = {"name": wrapped} if isinstance(wrapped, str) else wrapped
    names = [*_CLASSES, "none"]
    if not isinstance(inner, dict) or inner.get("name") not in names:
        raise StudyFileError(
            "search.pruner.wrapped",
            found=repr(wrapped),
            expected="one of " + ", ".join(names) + ", or a table with such a name and its options",
            hint='Write e.g. wrapped = "median".',
        )
    given = checked_options(
        {"patience": "int", "min_delta": "float"}, options, kind="pruner", name="patient"
    )
    inner_options = {key: value for key, value in inner.items() if key != "name"}
    pruner = _make(inner["name"], inner_options, max_resource, evaluations_per_epoch)
    patience = given.pop("patience", evaluations_per_epoch)
    return built(
        lambda: StartupPruner(optuna.pruners.PatientPruner(pruner, patience, **given), 0),
        kind="pruner",
        name="patient",
    )


def _check_min_resource(min_resource: int | None, max_resource: int) -> None:
    # Optuna takes these and fails at the first evaluation of the first trial.
    if min_resource is not None and not 1 <= min_resource <= max_resource:
        raise StudyFileError(
            "search.pruner.min_resource",
            found=str(min_resource),
            expected=f"1 to {max_resource}, the most evaluations that a trial of this study has",
            hint="Correct the value, or remove it for the default.",
        )
