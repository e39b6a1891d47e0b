"""The course of the learning rate: linear warm-up, then constant, linear or cosine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from hpo.spec.training import Schedule

COURSES: Final[Mapping[Schedule, Callable[[float], float]]] = {
    "constant": lambda remaining: 1.0,
    "linear": lambda remaining: remaining,
    "cosine": lambda remaining: 0.5 * (1 - math.cos(math.pi * remaining)),
}
"""The share of the peak learning rate by the share of the steps after warm-up that remain, 1 to 0."""


def learning_rate_factor(
    step: int, *, steps: int, warmup_ratio: float, schedule: Schedule
) -> float:
    """The share of the peak learning rate for step 0..steps-1; above 0 at every step.

    Raises KeyError for a schedule that there is not.
    """
    course = COURSES[schedule]
    warmup_steps = round(steps * warmup_ratio)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return course((steps - step) / (steps - warmup_steps))
