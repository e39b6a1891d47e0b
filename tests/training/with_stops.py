"""A trial that is stopped and resumed as often as a test asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpo.training.checkpoint import CheckpointFile
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.result import Evaluation, TrialResult
from hpo.training.trial_context import TrialContext
from tests.training.tiny_trial import finish


def with_stops(
    context: TrialContext, params: Any, stops: set[int], path: Path, **options: Any
) -> tuple[TrialResult, list[Evaluation], TrialTraining]:
    """Run a trial that is asked to stop after each of these steps and resumed in a new one.

    Args:
        options: Further ones of the training.
    """
    told: list[Evaluation] = []
    pending = set(stops)
    while True:
        trial = TrialTraining(context, params, seed=3, **options)
        file = CheckpointFile(path, "auto")
        trial.resume(file)
        indices = [e.index for e in trial.history]
        assert indices == sorted(set(indices))
        told = list(trial.history)
        due = {step for step in pending if step > trial.progress.step}

        def should_stop(trial: TrialTraining = trial, due: set[int] = due) -> bool:
            return trial.progress.step in due

        try:
            result, more = finish(trial, checkpoint=file, should_stop=should_stop)
        except TrialInterrupted:
            pending = {step for step in due if step > trial.progress.step}
            continue
        return result, [*told, *more], trial
