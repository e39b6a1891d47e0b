"""Everything that can be said about how a trial trains, with its default, bounds and meaning.

This is the one place that lists the training options: the validation of study files, the search
space, the README's table and the names in MLflow all come from here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hpo.spec.augment import AugmentOptions, AugmentSection
from hpo.spec.numbers import LARGEST_WHOLE
from hpo.spec.options import option_fields, option_tables
from hpo.spec.registries import OPTIMIZERS, SCHEDULES
from hpo.spec.registry import MemberOf

Precision = Literal["auto", "fp32", "bf16"]
CheckpointPolicy = Literal["auto", "always", "never"]
Unfreeze = Literal["none", "two_stage", "gradual"]
Head = Literal["softmax", "sigmoid"]
ClassWeight = Literal["none", "balanced"]
Schedule = Annotated[str, MemberOf(SCHEDULES)]
Optimizer = Annotated[str, MemberOf(OPTIMIZERS)]


class TrialParams(BaseModel):
    """One point of the search space: what a study can search, or fix in `[training]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    learning_rate: float = Field(5e-5, gt=0, le=10, description="peak learning rate")
    batch_size: int = Field(16, ge=1, le=LARGEST_WHOLE, description="examples per optimiser step")
    epochs: int = Field(
        3,
        ge=1,
        le=1000,
        description="passes over the training split; the schedule ends with the last",
    )
    freeze_depth: int = Field(
        0,
        ge=0,
        le=LARGEST_WHOLE,
        description="0 trains everything; k >= 1 freezes the embeddings and the first k blocks",
    )
    weight_decay: float = Field(
        0.01, ge=0, lt=1, description="decoupled weight decay, not on biases and layer norms"
    )
    warmup_ratio: float = Field(
        0.1, ge=0, lt=1, description="share of the steps with a rising learning rate"
    )
    schedule: Schedule = Field("linear", description="course of the learning rate after warm-up")
    optimizer: Optimizer = Field("adamw", description="update rule")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd, and of no other")
    dropout: float | None = Field(
        None, ge=0, lt=1, description="dropout of the trained blocks; left out, the model's own"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="mass moved to the other classes")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="factor on the learning rate for each block below the head"
    )
    max_grad_norm: float = Field(
        1.0, ge=0, description="gradients are clipped to this norm; 0 clips nothing"
    )
    nesterov: bool = Field(False, description="Nesterov's momentum, of sgd")
    beta1: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="decay of the mean of gradients; left out, the optimizer's own",
    )
    beta2: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="decay of the mean of their squares, in lion of the gradients kept; "
        "left out, the optimizer's own",
    )
    epsilon: float | None = Field(
        None,
        ge=1e-16,
        le=1,
        description="what keeps divisors above 0; left out, the optimizer's own",
    )
    head_learning_rate_factor: float = Field(
        1.0, gt=0, le=1000, description="factor on the learning rate for the head"
    )
    polynomial_power: float = Field(
        2.0, gt=0, le=10, description="power of the share of steps that remains, of polynomial"
    )
    decay_ratio: float = Field(
        0.2, gt=0, le=1, description="share of the steps in which wsd comes down, the last ones"
    )
    plateau_patience: int = Field(
        2,
        ge=1,
        le=LARGEST_WHOLE,
        description="evaluations without a lower validation loss before plateau comes down",
    )
    plateau_factor: float = Field(
        0.5, gt=0, lt=1, description="what plateau multiplies the learning rate by each time"
    )
    augment: AugmentOptions = AugmentOptions()
    unfreeze: Unfreeze = Field(
        "none",
        description="how training comes to freeze_depth; none: from the first step; two_stage: after "
        "the head alone; gradual: from the head down, a block at a time",
    )
    unfreeze_epochs: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="epochs of each stage but the last; less where together they would be more than half",
    )
    head: Head = Field(
        "softmax",
        description="a logit for each class and cross-entropy, or, for two classes, "
        "one logit and binary cross-entropy",
    )
    head_dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout on the state of each text that the head reads"
    )
    class_weight: ClassWeight = Field(
        "none",
        description="balanced: texts count for n / (classes × texts of their class) in the loss",
    )
    focal_gamma: float = Field(
        0.0,
        ge=0,
        le=10,
        description="focal loss: what has probability p counts for (1 − p)^gamma; 0 is plain",
    )


class TrainingSection(TrialParams):
    """`[training]`: values for options that are not searched, and what holds for every trial."""

    early_stopping: int = Field(
        3,
        ge=0,
        le=LARGEST_WHOLE,
        description="evaluations without improvement before a trial stops; 0 never stops",
    )
    evaluations_per_epoch: int = Field(
        4, ge=1, le=100, description="passes over the validation split in each epoch"
    )
    precision: Precision = Field(
        "auto",
        description="number format of matrix products; "
        "auto: bf16 where the hardware has it and gains",
    )
    checkpoint: CheckpointPolicy = Field(
        "auto",
        description="when evaluations write a checkpoint; "
        "auto: when the time it protects outweighs its cost",
    )
    augment: AugmentSection = AugmentSection()


SEARCHABLE_OPTIONS: tuple[str, ...] = tuple(option_fields(TrialParams))
OPTION_TABLES: tuple[str, ...] = option_tables(TrialParams)
