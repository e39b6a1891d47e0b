"""On what the seconds of a training went, and how many more the cache of frozen features spared it."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.model.frozen_features import FrozenFeatures
from hpo.model.inputs import SplitInputs
from hpo.training.progress import Progress
from hpo.training.result import Evaluation, TimeParts
from hpo.training.stages import Stage, stage_at


def time_parts(progress: Progress, stages: Sequence[Stage], features: FrozenFeatures) -> TimeParts:
    """Those of a training that is over.

    Args:
        progress: Its own.
        stages: Its own.
        features: The frozen blocks, of which one is timed where the cache has spared any.
    """
    spared = spared_passes(stages, progress.history)
    pace = features.seconds_a_pass(stages[0].validation.split) if spared else 0.0
    return TimeParts(progress.evaluation_seconds, progress.waiting_seconds, spared * pace)


def spared_passes(stages: Sequence[Stage], history: Sequence[Evaluation]) -> float:
    """Passes of a token through a frozen block that a training did not make, for the cache had their end.

    Training texts count with their mean length, as often as they were read up to the last evaluation.
    """
    passes, seen = 0.0, 0
    for evaluation in history:
        stage = stage_at(stages, evaluation.step - 1)
        train, validation = next(iter(stage.train.values())), stage.validation
        passes += (evaluation.examples_seen - seen) * _spared(train) / max(len(train), 1)
        passes += _spared(validation)
        seen = evaluation.examples_seen
    return passes


def sum_of_parts(parts: Sequence[TimeParts]) -> TimeParts:
    """Those of several trainings together."""
    return TimeParts(
        evaluation=sum(each.evaluation for each in parts),
        waiting=sum(each.waiting for each in parts),
        cache_saved=sum(each.cache_saved for each in parts),
    )


def _spared(inputs: SplitInputs) -> int:
    """The same of one reading of all texts."""
    return inputs.spared_blocks * int(inputs.lengths.sum())
