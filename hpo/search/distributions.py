"""The search space in Optuna's words: its distributions, a trial's point of it, its values."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from hpo.spec.numbers import steps_within
from hpo.spec.options import OptionValue
from hpo.spec.space import Choice, Dimension, FloatRange, IntRange

Space = Mapping[str, Dimension]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space in Optuna's words.

    Raises:
        ValueError: `n_layer` has not been resolved.
    """
    return {name: _distribution(name, dimension) for name, dimension in space.items()}


def suggest(trial: Trial, space: Space) -> dict[str, OptionValue]:
    """The trial's point of the space: what it has been given, or else what the sampler says now."""
    return {name: _suggest(trial, name, dimension) for name, dimension in space.items()}


def _suggest(trial: Trial, name: str, dimension: Dimension) -> OptionValue:
    distribution = _distribution(name, dimension)
    if isinstance(distribution, CategoricalDistribution):
        value = trial.suggest_categorical(name, distribution.choices)
        assert isinstance(value, int | float | str), "choices come from the study file"
        return value
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            name, distribution.low, distribution.high, log=distribution.log, step=distribution.step
        )
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(
        name, distribution.low, distribution.high, log=distribution.log, step=distribution.step
    )


def _distribution(name: str, dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.values)
    if isinstance(dimension, IntRange):
        high = _resolved_high(name, dimension)
        # Optuna moves a high that the steps do not reach, with a warning.
        high -= (high - dimension.low) % dimension.step
        return IntDistribution(dimension.low, high, log=dimension.log, step=dimension.step)
    high_float = dimension.high
    if dimension.step is not None:
        high_float = on_lattice(dimension, count_of(name, dimension) - 1)
    return FloatDistribution(dimension.low, high_float, log=dimension.log, step=dimension.step)


def count_of(name: str, dimension: Dimension) -> int:
    """How many values a dimension that is not continuous has, without listing them."""
    if isinstance(dimension, Choice):
        return len(dimension.values)
    if isinstance(dimension, IntRange):
        # Not len(), which overflows.
        return (_resolved_high(name, dimension) - dimension.low) // dimension.step + 1
    if dimension.step is None:
        return 1
    return steps_within(dimension.low, dimension.high, dimension.step) + 1


def values_of(name: str, dimension: Dimension) -> list[OptionValue]:
    """All values of a dimension that is not continuous, in order."""
    if isinstance(dimension, Choice):
        return list(dimension.values)
    if isinstance(dimension, IntRange):
        return list(range(dimension.low, _resolved_high(name, dimension) + 1, dimension.step))
    return [on_lattice(dimension, index) for index in range(count_of(name, dimension))]


def is_continuous(dimension: FloatRange) -> bool:
    """Whether the range has no end of values."""
    return dimension.step is None and dimension.low < dimension.high


def single_value(distribution: BaseDistribution) -> Any:
    """The value of a distribution that has but one."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.low


def lattice_place(value: Any, distribution: BaseDistribution) -> Any:
    """The value as something to compare: a real number on a lattice as its place on it."""
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        return round((float(value) - distribution.low) / distribution.step)
    return value


def _resolved_high(name: str, dimension: IntRange) -> int:
    if dimension.high is None:
        raise ValueError(f"{name}: n_layer must be resolved with the model before sampling")
    return dimension.high


def on_lattice(dimension: FloatRange, index: int) -> float:
    """The value so many steps above low."""
    if dimension.step is None:
        return dimension.low
    # Decimal, as in Optuna: 0.1 + 0.1 + 0.1 is not 0.3 in binary.
    return float(Decimal(str(dimension.low)) + index * Decimal(str(dimension.step)))
