"""Freezing over time: how much of the model a trial trains from which step on, and what it reads then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.model.embedding_rows import EmbeddingRows
from hpo.model.family import Trained
from hpo.model.inputs import SplitInputs
from hpo.spec.training import TrialParams
from hpo.tasks.task import Task
from hpo.training.trial_context import TrialContext
from hpo.training.trial_data import StoredTexts, TrialData
from hpo.training.weights import weights_of_texts

_MOST_OF_TRAINING = 0.5  # before all is trained that is to be


@dataclass(frozen=True, eq=False)
class Stage:
    """A part of training in which the same weights are trained; most trials have but one.

    Attributes:
        first_step: How many steps were made before it.
        trained: What is trained.
        embedding_rows: The rows of the embedding tables that the texts use; None where those are frozen.
        train: The training texts as a classifier reads them that trains so much, by the epochs that the
            stage has steps in: early stages begin at hidden states close to the head, which are there
            for all trials.
        validation: The validation texts, read so too.
    """

    first_step: int
    trained: Trained
    embedding_rows: EmbeddingRows | None
    train: dict[int, SplitInputs]
    validation: SplitInputs

    def train_in(self, epoch: int) -> SplitInputs:
        """The training texts as an epoch reads them; for a later one, as the last of the stage does."""
        return self.train[min(epoch, next(reversed(self.train)))]


def stages_of(
    context: TrialContext, task: Task, params: TrialParams, texts: TrialData, steps_per_epoch: int
) -> tuple[Stage, ...]:
    """The stages of a trial in their order.

    The hidden states of all of them are built here, where the cache lacks them, and not in the middle
    of training: whoever is stopped while they are built has no step to lose.

    Raises:
        Exception: Whatever is raised to stop the building.
    """
    plan = freeze_depths(params, context.model.architecture.n_layer, steps_per_epoch)
    weights = weights_of_texts(task, params, texts, context.data)
    read = _Read(context.read_in_turn(texts.train, params), texts.validation, weights)
    ends = [*list(plan)[1:], steps_per_epoch * params.epochs]
    stages = []
    for (first_step, freeze_depth), end in zip(plan.items(), ends, strict=True):
        epochs = range(first_step // steps_per_epoch, -(-end // steps_per_epoch))
        stages.append(_stage(context, read, first_step, freeze_depth, epochs))
    return tuple(stages)


def stage_at(stages: Sequence[Stage], step: int) -> Stage:
    """The stage that a step is made in, of which 0 is the first."""
    return next(stage for stage in reversed(stages) if stage.first_step <= step)


def stage_metrics(stages: Sequence[Stage], stage: Stage) -> dict[str, float]:
    """What evaluations tell of the stage that a trial is in; nothing where it is the only one."""
    return {} if len(stages) == 1 else {"train/freeze_depth": float(stage.trained.first_block)}


def freeze_depths(params: TrialParams, n_layer: int, steps_per_epoch: int) -> Mapping[int, int]:
    """The freeze depth of each stage, by the step that it begins with, in their order.

    From the head down to `freeze_depth`: at once ("two_stage"), or block by block as in Howard and Ruder
    (2018), the embeddings with the first block ("gradual"). Each stage but the last, which trains to the
    end, lasts `unfreeze_epochs`, or less where all of them would last more than half of training. Stages
    that come to begin with the same step are one.

    Args:
        params: The trial's options.
        n_layer: Blocks of the model.
        steps_per_epoch: Those of a pass over the training texts.
    """
    first, last = n_layer, params.freeze_depth
    depths = {
        "none": [last],
        "two_stage": sorted({first, last}, reverse=True),
        "gradual": range(first, last - 1, -1),
    }[params.unfreeze]
    steps = steps_per_epoch * params.epochs
    most = _MOST_OF_TRAINING * steps / max(len(depths) - 1, 1)
    each = min(params.unfreeze_epochs * steps_per_epoch, most)
    return {round(index * each): depth for index, depth in enumerate(depths)}


@dataclass(frozen=True, eq=False)
class _Read:
    """What a trial reads.

    Attributes:
        versions: The training texts as the epochs read them in turn.
        validation: The validation texts.
        weights: What each training text counts for; None: 1.
    """

    versions: Sequence[StoredTexts]
    validation: StoredTexts
    weights: NDArray[np.float32] | None


def _stage(
    context: TrialContext, read: _Read, first_step: int, freeze_depth: int, epochs: range
) -> Stage:
    trained, rows = Trained.of(freeze_depth), None
    if trained.embeddings:
        parts, data = (*read.versions, read.validation), context.data
        max_seqlen = max(part.max_seqlen(data) for part in parts)
        rows = EmbeddingRows.of(*(part.tokens(data) for part in parts), max_seqlen=max_seqlen)
    version_of = {epoch: epoch % len(read.versions) for epoch in epochs}
    inputs = {
        version: context.inputs(read.versions[version], trained, rows, read.weights)
        for version in set(version_of.values())
    }
    train = {epoch: inputs[version] for epoch, version in version_of.items()}
    return Stage(first_step, trained, rows, train, context.inputs(read.validation, trained, rows))
