"""The course of the learning rate: linear warm-up, then constant, linear or cosine."""

from __future__ import annotations

import math

from hpo.spec.training import Schedule


def learning_rate_factor(
    step: int, *, steps: int, warmup_ratio: float, schedule: Schedule
) -> float:
    """The share of the peak learning rate for step 0..steps-1; above 0 at every step."""
    warmup_steps = round(steps * warmup_ratio)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant":
        return 1.0
    remaining = (steps - step) / (steps - warmup_steps)
    if schedule == "linear":
        return remaining
    return 0.5 * (1 - math.cos(math.pi * remaining))
