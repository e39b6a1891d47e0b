"""The grid: every point of a space that can be counted, each given to one trial."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from hpo.errors import StudyFileError
from hpo.search.distributions import Space, count_of, distributions, is_continuous, values_of
from hpo.spec.options import OptionValue
from hpo.spec.space import FloatRange

GRID_SLOT: Final = "hpo:grid_slot"
LARGEST_GRID: Final = 1_000_000


class GridSampler(BaseSampler):
    """All points of a grid, each once, in an order that follows from the seed.

    A trial stands for the point of its slot, which is given out in the transaction that creates the
    trial (Optuna's own sampler lets two workers pick the same point). A slot whose trial failed is
    given out again after all others.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._values = grid_values(space)
        self._distributions = distributions(space)
        size = math.prod(len(each) for each in self._values.values())
        self._order = np.random.default_rng(seed).permutation(size)

    def __len__(self) -> int:
        return len(self._order)

    def point(self, slot: int) -> dict[str, OptionValue]:
        """The point of a slot; slots beyond the grid begin again."""
        index = int(self._order[slot % len(self._order)])
        point: dict[str, OptionValue] = {}
        for name, values in self._values.items():
            index, at = divmod(index, len(values))
            point[name] = values[at]
        return point

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return dict(self.point(int(trial.system_attrs.get(GRID_SLOT, trial.number))))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        raise ValueError(f"{param_name} is not of the grid")


def grid_values(space: Space) -> dict[str, list[OptionValue]]:
    """The values of each dimension of a grid.

    Raises:
        StudyFileError: They have no end, or are too many.
    """
    for name, dimension in space.items():
        if isinstance(dimension, FloatRange) and is_continuous(dimension):
            raise StudyFileError(
                f"search.space.{name}",
                found="a range of real numbers without step",
                expected="values that can be counted, for the sampler is grid",
                hint=f"List values ({name} = [{dimension.low:g}, {dimension.high:g}]) or add step.",
            )
    size = math.prod(max(0, count_of(name, dimension)) for name, dimension in space.items())
    if size > LARGEST_GRID:
        raise StudyFileError(
            "search.space",
            found=f"a grid of {size:,} points",
            expected=f"at most {LARGEST_GRID:,}",
            hint="Take fewer values, or another sampler.",
        )
    return {name: values_of(name, dimension) for name, dimension in space.items()}


def grid_size(space: Space) -> int:
    """How many points a space's grid has.

    Raises:
        StudyFileError: They cannot be counted.
    """
    return math.prod(len(each) for each in grid_values(space).values())


def check_grid_budget(grid_size: int | None, trials: int) -> None:
    """Raise StudyFileError where more trials are wanted than the grid has points."""
    if grid_size is not None and trials > grid_size:
        raise StudyFileError(
            "study.trials",
            found=f"{trials} trials for a grid of {grid_size} points",
            expected=f"at most {grid_size}",
            hint=f"Lower the trials to {grid_size}, or add values to the grid.",
        )
