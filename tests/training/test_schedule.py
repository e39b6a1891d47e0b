"""Every schedule against its formula: that of transformers or PyTorch where one of them has it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import transformers
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from hpo.spec.registries import SCHEDULES
from hpo.spec.training import TrialParams
from hpo.training.result import Evaluation
from hpo.training.schedule import learning_rate_factor

RISES_OF_ITS_OWN = "one_cycle"
schedules = st.sampled_from(SCHEDULES.ours)
lengths = st.integers(1, 300)
ratios = st.floats(0, 1, exclude_max=True)


def course(
    steps: int, ratio: float, schedule: str, history: Sequence[Evaluation] = (), **options: Any
) -> list[float]:
    params = TrialParams(warmup_ratio=ratio, schedule=schedule, **options)
    return [
        learning_rate_factor(step, steps=steps, params=params, history=history)
        for step in range(steps)
    ]


def by(make: Callable[[torch.optim.Optimizer], LRScheduler], steps: int) -> list[float]:
    """The factors that a scheduler of PyTorch's kind gives."""
    rule = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler, factors = make(rule), []
    for _ in range(steps):
        factors.append(float(rule.param_groups[0]["lr"]))
        rule.step()
        scheduler.step()
    return factors


def evaluation(loss: float) -> Evaluation:
    return Evaluation(1, 1, 1.0, 1, {"val/loss": loss})


@given(lengths, ratios, schedules, st.lists(st.floats(0, 10), max_size=8))
def test_the_factor_lies_between_0_and_1_and_reaches_its_peak(
    steps: int, ratio: float, schedule: str, losses: list[float]
) -> None:
    assume(round(steps * ratio) < steps)
    factors = course(steps, ratio, schedule)
    # Without warm-up the first step of one cycle is on its way down.
    is_on_its_way = schedule == RISES_OF_ITS_OWN and round(steps * ratio) == 0
    assert max(factors) == 1 or is_on_its_way
    factors = course(steps, ratio, schedule, [evaluation(loss) for loss in losses])
    assert all(0 < factor <= 1 for factor in factors)


@given(lengths, ratios, schedules)
def test_it_rises_and_then_never_rises_again(steps: int, ratio: float, schedule: str) -> None:
    factors = course(steps, ratio, schedule)
    warmup = round(steps * ratio)
    if schedule != RISES_OF_ITS_OWN:
        assert factors[:warmup] == pytest.approx([(step + 1) / warmup for step in range(warmup)])
    for part, sign in ((factors[:warmup], 1), (factors[max(warmup - 1, 0) :], -1)):
        assert all(sign * (later - earlier) >= 0 for earlier, later in itertools.pairwise(part))


@given(lengths, ratios)
def test_a_constant_schedule_stays_at_its_peak(steps: int, ratio: float) -> None:
    factors = course(steps, ratio, "constant")
    assert set(factors[round(steps * ratio) :]) <= {1.0}


@pytest.mark.parametrize(("schedule", "half"), [("linear", 0.5), ("cosine", 0.5)])
def test_decay_is_half_way_in_the_middle_and_ends_near_zero(schedule: str, half: float) -> None:
    factors = course(1000, 0.0, schedule)
    assert factors[500] == pytest.approx(half)
    assert factors[-1] <= 0.001


@settings(deadline=None)
@given(lengths, ratios, st.floats(0.1, 10), st.floats(0.01, 1))
def test_after_warm_up_it_is_the_schedule_of_transformers(
    steps: int, ratio: float, power: float, decay_ratio: float
) -> None:
    warmup = round(steps * ratio)
    assume(warmup < steps)
    decay = min(round(steps * decay_ratio), steps - warmup)
    theirs: dict[str, Callable[[Any], LRScheduler]] = {
        "constant": lambda rule: transformers.get_constant_schedule_with_warmup(rule, warmup),
        "linear": lambda rule: transformers.get_linear_schedule_with_warmup(rule, warmup, steps),
        "cosine": lambda rule: transformers.get_cosine_schedule_with_warmup(rule, warmup, steps),
        "polynomial": lambda rule: transformers.get_polynomial_decay_schedule_with_warmup(
            rule, warmup, steps, lr_end=0.0, power=power
        ),
        "inverse_sqrt": lambda rule: transformers.get_inverse_sqrt_schedule(
            rule, warmup, timescale=max(warmup, 1)
        ),
        "wsd": lambda rule: transformers.get_wsd_schedule(
            rule, warmup, decay, steps, decay_type="1-sqrt"
        ),
    }
    options = {"polynomial_power": power, "decay_ratio": decay_ratio}
    for schedule, make in theirs.items():
        ours = course(steps, ratio, schedule, **options)
        assert ours[warmup:] == pytest.approx(by(make, steps)[warmup:], abs=1e-9), schedule


@given(st.integers(2, 300), st.floats(0.0, 0.9))
def test_one_cycle_is_that_of_pytorch(steps: int, ratio: float) -> None:
    warmup = round(steps * ratio)
    assume(1 != warmup < steps)  # where theirs divides by 0, or never comes down
    theirs = by(
        lambda rule: OneCycleLR(rule, 1.0, total_steps=steps, pct_start=warmup / steps), steps - 1
    )
    assert course(steps, ratio, "one_cycle")[:-1] == pytest.approx(theirs, abs=1e-9)
    assert course(steps, ratio, "one_cycle")[-1] == pytest.approx(1 / 25e4)


@given(st.lists(st.floats(0, 3), max_size=30), st.integers(1, 4), st.floats(0.1, 0.9))
def test_plateau_comes_down_as_pytorchs_does(
    losses: list[float], patience: int, factor: float
) -> None:
    rule = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    # Theirs counts the evaluations that it bears, ours those until it acts.
    theirs = ReduceLROnPlateau(rule, factor=factor, patience=patience - 1, threshold=0.0, eps=0.0)
    for index, loss in enumerate(losses):
        theirs.step(loss)
        history = [evaluation(each) for each in losses[: index + 1]]
        options = {"plateau_patience": patience, "plateau_factor": factor}
        ours = course(4, 0.0, "plateau", history, **options)
        assert ours == pytest.approx([rule.param_groups[0]["lr"]] * 4)


def test_the_root_of_steps_is_that_of_the_paper() -> None:
    factors = course(1000, 0.1, "inverse_sqrt")
    assert factors[400] == pytest.approx(math.sqrt(100 / 400))
