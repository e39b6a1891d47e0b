"""How the next trial is chosen: samplers by name, reproducible from the study's seed and the
trial's number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from hpo.errors import StudyFileError
from hpo.search.plugins import accepted_options, built, checked_options, quietly
from hpo.spec.space import Choice, Dimension, FloatRange, IntRange, OptionValue
from hpo.spec.study import SamplerChoice

Space = Mapping[str, Dimension]

GRID_SLOT: Final = "hpo:grid_slot"
LARGEST_GRID: Final = 1_000_000
_TRIES_FOR_A_NEW_POINT: Final = 3
_LARGEST_LISTED_SPACE: Final = 20_000

# Options that this project sets itself, or that Optuna 5 has deprecated.
_OURS: Final[Mapping[str, frozenset[str]]] = {
    "tpe": frozenset(
        {
            "seed",
            "consider_prior",
            "prior_weight",
            "consider_magic_clip",
            "consider_endpoints",
            "warn_independent_sampling",
        }
    ),
    "gp": frozenset({"seed", "warn_independent_sampling"}),
    "cmaes": frozenset({"seed", "warn_independent_sampling", "sigma0"}),
    "random": frozenset({"seed"}),
    "qmc": frozenset({"seed", "warn_independent_sampling", "warn_asynchronous_seeding"}),
    "nsga2": frozenset({"seed"}),
}
# Where our default is not Optuna's.
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    # Unscrambled, Sobol's first point is the lowest corner of the space.
    "qmc": {"scramble": True},
    # Optuna's 50 would make a study of 50 trials a random search.
    "nsga2": {"population_size": 10},
    "cmaes": {"warn_independent_sampling": False},
    "gp": {"warn_independent_sampling": False},
}


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space in Optuna's words. Raises ValueError where `n_layer` has not been resolved."""
    return {name: _distribution(name, dimension) for name, dimension in space.items()}


def suggest(trial: Trial, space: Space) -> dict[str, OptionValue]:
    """The trial's point of the space: what it was given before, or else what the sampler says
    now.
    """
    return {name: _suggest(trial, name, dimension) for name, dimension in space.items()}


def seed_for(study_seed: int, trial_number: int, retry: int = 0) -> int:
    """The seed of one trial's sampling, 32 bits: the same on every worker, after every
    interruption.
    """
    entropy = [study_seed, trial_number, retry]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def make_sampler(choice: SamplerChoice, space: Space, *, seed: int) -> BaseSampler:
    """The sampler that a study file names, for a space whose dimensions are all resolved.

    Raises StudyFileError at `search.sampler…` for options that it does not have or cannot take, and
    at `search.space…` where it cannot work on the space.
    """
    name = choice.name
    if name == "grid":
        checked_options({}, choice.options, kind="sampler", name=name)
        return GridSampler(space, seed)
    accepted = accepted_options(_class_of(name), _OURS[name])
    options = checked_options(accepted, choice.options, kind="sampler", name=name)
    if name == "cmaes":
        _check_cmaes(space)
    build = _builder(name, {**_DEFAULTS.get(name, {}), **options}, space, seed)
    built(lambda: build(0, 0), kind="sampler", name=name)
    return SeededSampler(build, space, seed=seed)


def _builder(
    name: str, options: Mapping[str, Any], space: Space, study_seed: int
) -> Callable[[int, int], BaseSampler]:
    def build(trial_number: int, retry: int) -> BaseSampler:
        with quietly():
            if name == "qmc":
                # One sequence for the whole study, of which each trial is the point of its number.
                return _QmcPoint(trial_number, distributions(space), seed=study_seed, **options)
            sampler: BaseSampler = _class_of(name)(
                seed=seed_for(study_seed, trial_number, retry), **options
            )
            return sampler

    return build


class SeededSampler(BaseSampler):
    """A sampler that has no memory: each trial's point follows from the seed, its number and the
    history.

    Optuna's samplers draw from one stream of random numbers a process, so that a process started
    again replays its first draws. Here every trial gets a sampler of its own, seeded for it. The
    whole point is drawn at once; a point that some trial of the study has had already is drawn
    again, and in the end picked from what is left, so that no training is repeated while the space
    has anything new. Once it has not, points recur.
    """

    def __init__(
        self, build: Callable[[int, int], BaseSampler], space: Space, *, seed: int
    ) -> None:
        """build: makes the sampler of a trial from the trial's number and the count of points
        drawn before.
        """
        self._build = build
        self._space = dict(space)
        self._seed = seed
        self._distributions = distributions(space)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        taken = self._points_taken(study, trial)
        for retry in range(_TRIES_FOR_A_NEW_POINT):
            point = self._draw(study, trial, retry)
            if self._key(point) not in taken:
                return point
        return self._untaken_point(study, trial, taken) or point

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        raise ValueError(f"{param_name} is not of the study's search space")

    def _draw(self, study: Study, trial: FrozenTrial, retry: int) -> dict[str, Any]:
        sampler = self._build(trial.number, retry)
        with quietly():
            together = sampler.infer_relative_search_space(study, trial)
            point = sampler.sample_relative(study, trial, together)
            for name, distribution in self._distributions.items():
                if distribution.single():
                    point[name] = _single_value(distribution)
                elif name not in point:
                    point[name] = sampler.sample_independent(study, trial, name, distribution)
        return point

    def _points_taken(self, study: Study, trial: FrozenTrial) -> set[tuple[Any, ...]]:
        names = self._distributions.keys()
        return {
            self._key(other.params)
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number
            and other.state != TrialState.WAITING
            and names <= other.params.keys()
        }

    def _key(self, point: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(_whole(point[name], d) for name, d in self._distributions.items())

    def _untaken_point(
        self, study: Study, trial: FrozenTrial, taken: set[tuple[Any, ...]]
    ) -> dict[str, Any] | None:
        """A point at random that no trial has had; None where none is left, or too many are."""
        if any(isinstance(d, FloatRange) and _is_continuous(d) for d in self._space.values()):
            random = optuna.samplers.RandomSampler(seed=seed_for(self._seed, trial.number))
            return {
                name: random.sample_independent(study, trial, name, distribution)
                for name, distribution in self._distributions.items()
            }
        values = [_values_of(name, dimension) for name, dimension in self._space.items()]
        if math.prod(len(each) for each in values) > _LARGEST_LISTED_SPACE:
            return None
        points = [dict(zip(self._space, each, strict=True)) for each in itertools.product(*values)]
        left = [point for point in points if self._key(point) not in taken]
        if not left:
            return None
        generator = np.random.default_rng(seed_for(self._seed, trial.number))
        return left[int(generator.integers(len(left)))]


class _QmcPoint(optuna.samplers.QMCSampler):
    """Optuna's QMC sampler at the point of the trial's number.

    Optuna counts in a study attribute that two workers can read at once; a number belongs to one
    trial.
    """

    def __init__(
        self, trial_number: int, space: Mapping[str, BaseDistribution], **options: Any
    ) -> None:
        super().__init__(**options)
        self._trial_number = trial_number
        self._whole_space = {n: d for n, d in sorted(space.items()) if not d.single()}

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._whole_space

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._trial_number


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
    """The values of each dimension of a grid. Raises StudyFileError where a dimension has no end
    of them.
    """
    values = {}
    for name, dimension in space.items():
        if isinstance(dimension, FloatRange) and _is_continuous(dimension):
            raise StudyFileError(
                f"search.space.{name}",
                found="a range of real numbers without step",
                expected="values that can be counted, for the sampler is grid",
                mend=f"List values ({name} = [{dimension.low:g}, {dimension.high:g}]) or add step.",
            )
        values[name] = _values_of(name, dimension)
    size = math.prod(len(each) for each in values.values())
    if size > LARGEST_GRID:
        raise StudyFileError(
            "search.space",
            found=f"a grid of {size:,} points",
            expected=f"at most {LARGEST_GRID:,}",
            mend="Take fewer values, or another sampler.",
        )
    return values


def grid_size(space: Space) -> int:
    """How many points the grid of a space has. Raises StudyFileError where they cannot be
    counted.
    """
    return math.prod(len(each) for each in grid_values(space).values())


def check_grid_budget(grid_size: int | None, trials: int) -> None:
    """Raise StudyFileError where more trials are wanted than the grid has points."""
    if grid_size is not None and trials > grid_size:
        raise StudyFileError(
            "study.trials",
            found=f"{trials} trials for a grid of {grid_size} points",
            expected=f"at most {grid_size}",
            mend=f"Lower the trials to {grid_size}, or add values to the grid.",
        )


def _check_cmaes(space: Space) -> None:
    numeric = [
        n for n, d in distributions(space).items() if not isinstance(d, CategoricalDistribution)
    ]
    if len(numeric) < 2:
        raise StudyFileError(
            "search.sampler",
            found="cmaes on a space with fewer than two ranges",
            expected="two ranges or more, for it draws listed values at random",
            mend="Write lists of numbers as ranges, or take the sampler tpe.",
        )


def _class_of(name: str) -> Any:
    samplers = optuna.samplers
    classes: dict[str, Callable[[], Any]] = {
        "tpe": lambda: samplers.TPESampler,
        "gp": lambda: samplers.GPSampler,
        "cmaes": lambda: samplers.CmaEsSampler,
        "random": lambda: samplers.RandomSampler,
        "qmc": lambda: samplers.QMCSampler,
        "nsga2": lambda: samplers.NSGAIISampler,
    }
    return classes[name]()


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
        high_float = _float_values(dimension)[-1]
    return FloatDistribution(dimension.low, high_float, log=dimension.log, step=dimension.step)


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


def _resolved_high(name: str, dimension: IntRange) -> int:
    if dimension.high is None:
        raise ValueError(f"{name}: n_layer must be resolved with the model before sampling")
    return dimension.high


def _values_of(name: str, dimension: Dimension) -> list[OptionValue]:
    if isinstance(dimension, Choice):
        return list(dimension.values)
    if isinstance(dimension, IntRange):
        return list(range(dimension.low, _resolved_high(name, dimension) + 1, dimension.step))
    return [*_float_values(dimension)]


def _is_continuous(dimension: FloatRange) -> bool:
    return dimension.step is None and dimension.low < dimension.high


def _float_values(dimension: FloatRange) -> list[float]:
    if dimension.step is None:
        return [dimension.low]
    # Decimal, as in Optuna: 0.1 + 0.1 + 0.1 is not 0.3 in binary.
    low, high, step = (Decimal(str(x)) for x in (dimension.low, dimension.high, dimension.step))
    return [float(low + index * step) for index in range(int((high - low) // step) + 1)]


def _whole(value: Any, distribution: BaseDistribution) -> Any:
    """The value as something to compare: a real number on a lattice as its place on it."""
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        return round((float(value) - distribution.low) / distribution.step)
    return value


def _single_value(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.low
