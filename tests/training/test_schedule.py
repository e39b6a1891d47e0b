from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.training.schedule import learning_rate_factor

schedules = st.sampled_from(["linear", "cosine", "constant"])
lengths = st.integers(1, 500)
ratios = st.floats(0, 1, exclude_max=True)


def course(steps: int, warmup_ratio: float, schedule: str) -> list[float]:
    return [
        learning_rate_factor(step, steps=steps, warmup_ratio=warmup_ratio, schedule=schedule)
        for step in range(steps)
    ]


@given(lengths, ratios, schedules)
def test_the_factor_lies_between_0_and_1_and_reaches_its_peak(
    steps: int, ratio: float, schedule: str
) -> None:
    factors = course(steps, ratio, schedule)
    assert all(0 < factor <= 1 for factor in factors)
    assert max(factors) == 1


@given(lengths, ratios, schedules)
def test_it_rises_evenly_and_then_never_rises_again(
    steps: int, ratio: float, schedule: str
) -> None:
    factors = course(steps, ratio, schedule)
    warmup = round(steps * ratio)
    assert factors[:warmup] == pytest.approx([(step + 1) / warmup for step in range(warmup)])
    after = factors[warmup:]
    assert all(later <= earlier for earlier, later in itertools.pairwise(after))


@given(lengths, ratios)
def test_a_constant_schedule_stays_at_its_peak(steps: int, ratio: float) -> None:
    factors = course(steps, ratio, "constant")
    assert set(factors[round(steps * ratio) :]) <= {1.0}


@pytest.mark.parametrize(("schedule", "half"), [("linear", 0.5), ("cosine", 0.5)])
def test_decay_is_half_way_in_the_middle_and_ends_near_zero(schedule: str, half: float) -> None:
    factors = course(1000, 0.0, schedule)
    assert factors[500] == pytest.approx(half)
    assert factors[-1] <= 0.001
