"""The course of the learning rate: linear warm-up, then constant, linear or cosine."""

from __future__ import annotations

import math
from collections.abc import Callable

from hpo.spec.registries import SCHEDULES
from hpo.spec.training import Schedule


def constant(remaining: float) -> float:
    """The peak rate to the end."""
    return 1.0


def linear(remaining: float) -> float:
    """Down to 0 in a straight line."""
    return remaining


def cosine(remaining: float) -> float:
    """Down to 0 along half a cosine (Loshchilov and Hutter, 2017)."""
    return 0.5 * (1 - math.cos(math.pi * remaining))


def learning_rate_factor(
    step: int, *, steps: int, warmup_ratio: float, schedule: Schedule
) -> float:
    """The learning rate of a step, as a share of its peak.

    Args:
        step: 0 to `steps` - 1.
        steps: All steps of the trial, 1 or more.
        warmup_ratio: The share of them in which the rate rises from 0 in a straight line, below 1.
        schedule: What comes after that, by name.

    Returns:
        The factor on the peak rate; with our own schedules above 0 and at most 1.

    Raises:
        KeyError: There is no such schedule.
    """
    course: Callable[[float], float] = SCHEDULES[schedule]
    warmup_steps = round(steps * warmup_ratio)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return course((steps - step) / (steps - warmup_steps))
