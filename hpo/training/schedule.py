"""The course of the learning rate: a warm-up, then what the schedule named by the study makes of it.

docs/optimizers.md says when each is the right one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hpo.spec.registries import SCHEDULES
from hpo.spec.training import TrialParams
from hpo.training.result import Evaluation

_ONE_CYCLE_RISE = 25.0  # from the first rate to the peak, and
_ONE_CYCLE_FALL = 1e4  # from the first to the last: what PyTorch takes


@dataclass(frozen=True)
class Moment:
    """Where a trial is when it asks for a learning rate.

    Attributes:
        step: 0 to `steps` - 1.
        steps: All steps of the trial, 1 or more.
        warmup_steps: Those of the warm-up, fewer than all.
        params: The trial's options.
        history: The evaluations so far.
    """

    step: int
    steps: int
    warmup_steps: int
    params: TrialParams
    history: Sequence[Evaluation]

    @property
    def remaining(self) -> float:
        """The share of the steps after warm-up that is still to come, 1 to 0."""
        return (self.steps - self.step) / (self.steps - self.warmup_steps)


@dataclass(frozen=True)
class Course:
    """A schedule that needs to know more than the share of the steps that remains.

    Attributes:
        factor: The share of the peak rate at a moment.
        warms_up: Whether it is asked during warm-up too, which is linear otherwise.
    """

    factor: Callable[[Moment], float]
    warms_up: bool = False


def constant(remaining: float) -> float:
    """The peak rate to the end."""
    return 1.0


def linear(remaining: float) -> float:
    """Down to 0 in a straight line."""
    return remaining


def cosine(remaining: float) -> float:
    """Down to 0 along half a cosine (Loshchilov and Hutter, 2017)."""
    return 0.5 * (1 - math.cos(math.pi * remaining))


def polynomial(moment: Moment) -> float:
    """Down to 0 by a power of what remains."""
    return float(moment.remaining**moment.params.polynomial_power)


def inverse_sqrt(moment: Moment) -> float:
    """By the root of the steps, and never to 0 (Vaswani et al., 2017)."""
    scale = max(moment.warmup_steps, 1)
    return math.sqrt(scale / (moment.step - moment.warmup_steps + scale))


def warmup_stable_decay(moment: Moment) -> float:
    """The peak rate, and down to 0 at the end by one minus a root (Hu et al., 2024; Hägele et al., 2024)."""
    wanted = round(moment.steps * moment.params.decay_ratio)
    decay_steps = min(wanted, moment.steps - moment.warmup_steps)
    into_decay = moment.step - (moment.steps - decay_steps)
    return 1 - math.sqrt(into_decay / decay_steps) if into_decay > 0 else 1.0


def one_cycle(moment: Moment) -> float:
    """Up and down along half cosines, the way up being the warm-up (Smith and Topin, 2019)."""
    first, last = 1 / _ONE_CYCLE_RISE, 1 / _ONE_CYCLE_RISE / _ONE_CYCLE_FALL
    peak = moment.warmup_steps - 1  # the step that has the peak rate, as for the others
    if moment.step < moment.warmup_steps:
        return first + (1 - first) * cosine(moment.step / peak if peak else 1.0)
    return last + (1 - last) * cosine((moment.steps - 1 - moment.step) / (moment.steps - 1 - peak))


def plateau(moment: Moment) -> float:
    """Down by a factor each time that the validation loss has not improved for some evaluations."""
    best, waited, reductions = math.inf, 0, 0
    for evaluation in moment.history:
        loss = evaluation.metrics["val/loss"]
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited == moment.params.plateau_patience:
            reductions, waited = reductions + 1, 0
    return float(moment.params.plateau_factor**reductions)


POLYNOMIAL: Final = Course(polynomial)
INVERSE_SQRT: Final = Course(inverse_sqrt)
WARMUP_STABLE_DECAY: Final = Course(warmup_stable_decay)
ONE_CYCLE: Final = Course(one_cycle, warms_up=True)
PLATEAU: Final = Course(plateau)


def learning_rate_factor(
    step: int, *, steps: int, params: TrialParams, history: Sequence[Evaluation] = ()
) -> float:
    """The learning rate of a step, as a share of its peak.

    Args:
        step: 0 to `steps` - 1.
        steps: All steps of the trial, 1 or more.
        params: The trial's options: the schedule, by name, and the share of the steps in which the
            rate rises before it, for most in a straight line from 0.
        history: The evaluations so far.

    Returns:
        The factor on the peak rate; with our own schedules above 0 and at most 1.

    Raises:
        KeyError: There is no such schedule.
    """
    member: Course | Callable[[float], float] = SCHEDULES[params.schedule]
    warmup_steps = round(steps * params.warmup_ratio)
    moment = Moment(step, steps, warmup_steps, params, history)
    if isinstance(member, Course):
        if member.warms_up or step >= warmup_steps:
            return member.factor(moment)
    elif step >= warmup_steps:
        return member(moment.remaining)
    return (step + 1) / warmup_steps
