"""The finished trials of a study, best first, and what made the difference."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

# User attributes of a trial over folds.
FOLDS = "folds"
STD_OVER_FOLDS = "std_over_folds"
BEST_EPOCH = "best_epoch"
# And of any: a number, or over folds a list of one for each.
BEST_EVALUATION = "best_evaluation"


@dataclass(frozen=True)
class Entry:
    """One complete trial.

    Attributes:
        value: Of the study's metric; of a trial over folds, their mean.
        folds: How many; 0 where validation is on a split.
        std_over_folds: The standard deviation of their values.
        best_epoch: The mean of their best epochs, to which the champion is trained.
        best_evaluations: The index of that which the value is of, over folds one for each; empty of a
            trial over folds that an earlier release made.
    """

    number: int
    value: float
    params: Mapping[str, Any]
    epochs_run: float | None
    seconds: float | None
    mlflow_url: str | None
    folds: int = 0
    std_over_folds: float | None = None
    best_epoch: float | None = None
    best_evaluations: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Facts for programs."""
        shown = asdict(self)
        for inner in ("best_epoch", "best_evaluations"):
            shown.pop(inner)
        return shown | {"params": dict(self.params)}

    def score_in_words(self) -> str:
        """`0.9120`, or `0.9120 ± 0.0085` with the standard deviation over folds."""
        std = self.std_over_folds
        return f"{self.value:.4f}" + ("" if std is None else f" ± {std:.4f}")


@dataclass(frozen=True)
class Counts:
    """How many trials are in which state."""

    complete: int
    pruned: int
    failed: int
    running: int
    waiting: int

    @property
    def finished(self) -> int:
        return self.complete + self.pruned


def leaderboard(study: optuna.Study) -> list[Entry]:
    """Complete trials, the best first; of equals the earlier."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    return [_entry(trial) for trial in sorted(complete, key=lambda t: (sign * _value(t), t.number))]


def counts(study: optuna.Study) -> Counts:
    """How many trials of the study are in which state."""
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    return Counts(
        complete=states.count(TrialState.COMPLETE),
        pruned=states.count(TrialState.PRUNED),
        failed=states.count(TrialState.FAIL),
        running=states.count(TrialState.RUNNING),
        waiting=states.count(TrialState.WAITING),
    )


def importances(study: optuna.Study) -> Mapping[str, float]:
    """Each searched parameter's share of the differences in the metric (PED-ANOVA).

    Empty where fewer than two complete trials differ.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.value for trial in complete}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(study)
    return dict(found)


def top_numbers(entries: Sequence[Entry], count: int | None) -> set[int]:
    """Numbers of the best trials; None means all."""
    return {entry.number for entry in entries[:count]}


def _entry(trial: FrozenTrial) -> Entry:
    attributes = trial.user_attrs
    return Entry(
        number=trial.number,
        value=_value(trial),
        params=dict(trial.params),
        epochs_run=attributes.get("epochs_run"),
        seconds=attributes.get("seconds"),
        mlflow_url=attributes.get("mlflow_url"),
        folds=attributes.get(FOLDS, 0),
        std_over_folds=attributes.get(STD_OVER_FOLDS),
        best_epoch=attributes.get(BEST_EPOCH),
        best_evaluations=_best_evaluations(trial),
    )


def _best_evaluations(trial: FrozenTrial) -> tuple[int, ...]:
    """As noted; of a trial on a split that an earlier release made, the first that had the trial's value."""
    noted = trial.user_attrs.get(BEST_EVALUATION)
    if noted is not None:
        return tuple(noted) if isinstance(noted, list) else (noted,)
    if FOLDS in trial.user_attrs:
        return ()
    reported = sorted(trial.intermediate_values.items())
    return tuple(index for index, value in reported if value == trial.value)[:1]


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value
