"""How an attempt at a trial ends: with the trial's own end, or without one, for the worker cannot go on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpo.errors import DiskError, HpoError
from hpo.leases.lease import LeaseLost
from hpo.storage.retries import database_error, fault_in_words
from hpo.training.evaluate import TrainingDiverged
from hpo.training.loop import TrialInterrupted
from hpo.training.micro_batches import BatchTooLarge
from hpo.training.result import TrialResult


@dataclass(frozen=True)
class Ended:
    """The trial has its end.

    Attributes:
        state: Optuna's name of it.
        value: The study's metric at the best evaluation; None for a failed trial.
        reason: Why it failed, in words.
    """

    state: Literal["COMPLETE", "PRUNED", "FAIL"]
    value: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class BrokenOff:
    """The attempt is over and the trial is not: another attempt goes on with it.

    Attributes:
        reason: What MLflow is told of the attempt's run.
        error: What the worker is told.
    """

    reason: str
    error: Exception


def end_of(result: TrialResult) -> Ended:
    """The end of a trial whose training returned."""
    return Ended("PRUNED" if result.end == "pruned" else "COMPLETE", result.value)


def end_by(error: Exception, *, storage: str, state: Path) -> Ended | BrokenOff:
    """The end that an error brings: its trial has failed, or nobody could have gone on here.

    Args:
        error: What was raised while the trial was worked on.
        storage: The storage's URL without its password, for messages.
        state: The folder of checkpoints and kept models, for messages.
    """
    match error:
        case TrialInterrupted():
            return BrokenOff("stopped", error)
        case LeaseLost():
            return BrokenOff("claim lost", error)
        case HpoError():
            return BrokenOff("the worker cannot go on", error)
        case OSError():
            return BrokenOff(_named(error), _disk_error(error, state))
        case TrainingDiverged() | BatchTooLarge():
            return Ended("FAIL", reason=str(error))
    if database_error(error) is not None:
        told = fault_in_words(error, doing="working on a trial", place=storage)
        return BrokenOff("the storage cannot be used", told)
    return Ended("FAIL", reason=_named(error))


def _disk_error(error: OSError, state: Path) -> DiskError:
    return DiskError(
        str(error.filename or state),
        found=error.strerror or str(error),
        expected="a disk that can be written",
        hint="Free some space or mend the rights, and run the same command again.",
    )


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
