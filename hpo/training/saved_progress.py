"""What a checkpoint says of a trial besides its tensors, believed only where it can be of that trial."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, Json, JsonValue, TypeAdapter

from hpo.documents import typed
from hpo.training.result import End, Evaluation, TimeParts

_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Word = Annotated[int, Field(ge=0, lt=2**64)]


@dataclass(frozen=True)
class _Random:
    """What `Dropout.state` writes."""

    words: Annotated[list[_Word], Field(min_length=4, max_length=4)]
    spare: tuple[_Count, _Count]
    device: list[Annotated[int, Field(ge=0, lt=256)]] | None


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid")

    trial: dict[str, JsonValue]
    step: Annotated[int, Field(ge=1, lt=2**63)]
    examples_seen: _Count
    loss_examples: _Count
    without_improvement: _Count
    seconds: Annotated[FiniteFloat, Field(ge=0)]
    evaluation_seconds: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    waiting_seconds: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    history: list[Evaluation]
    best: _Count | None
    best_decay: FiniteFloat
    decay: FiniteFloat
    random: Json[_Random]
    micro_batch: Annotated[int, Field(ge=1)] | None


_SHAPE: Final = TypeAdapter(_Facts)


def damage_in_facts(facts: Mapping[str, Any], steps: int) -> str | None:
    """What is wrong with the facts of a trial's checkpoint, in a few words; None where nothing is.

    Args:
        steps: Of the whole trial.
    """
    try:
        found = typed(_SHAPE, facts)
    except ValueError as error:
        return str(error)
    made = [evaluation.step for evaluation in found.history]
    if found.step > steps or made[-1:] > [found.step]:
        return f"step: {found.step} of {steps}"
    if any(later <= earlier for earlier, later in itertools.pairwise(made)):
        return "history: steps in another order"
    if (found.best is None) != (not made) or (found.best or 0) >= max(len(made), 1):
        return f"best: {found.best}, of {len(made)} evaluations"
    return None


@dataclass(frozen=True)
class SavedFold:
    """A finished fold, but for its probabilities."""

    value: FiniteFloat
    best: Evaluation
    evaluations: _Count
    end: End
    seconds: Annotated[FiniteFloat, Field(ge=0)]
    examples_seen: _Count
    parts: TimeParts = field(default_factory=TimeParts)


_FOLDS: Final = TypeAdapter(list[SavedFold])
_HISTORY: Final = TypeAdapter(list[Evaluation])


def saved_folds(folds: object, history: object) -> tuple[list[SavedFold], list[Evaluation]]:
    """The finished folds and the evaluations that a checkpoint tells of.

    Raises:
        ValueError: It tells of something else.
    """
    return typed(_FOLDS, folds), typed(_HISTORY, history)
