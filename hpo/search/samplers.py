"""How the next trial is chosen: samplers by name, reproducible from seed, number and history."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hpo.errors import StudyFileError
from hpo.search.distributions import (
    Space,
    count_of,
    distributions,
    is_continuous,
    lattice_place,
    single_value,
    values_of,
)
from hpo.search.grid import GridSampler
from hpo.search.optuna_insides import QmcPoint
from hpo.search.plugins import accepted_options, built, check_at_least, checked_options, quietly
from hpo.spec.registries import SAMPLERS
from hpo.spec.space import FloatRange
from hpo.spec.study import SamplerChoice

_TRIES_FOR_A_NEW_POINT: Final = 3
_LARGEST_LISTED_SPACE: Final = 20_000


def seed_for(study_seed: int, trial_number: int, retry: int = 0) -> int:
    """The seed of one trial's sampling, 32 bits: the same on every worker, also after a restart."""
    entropy = [study_seed, trial_number, retry]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def confirmation_seed(study_seed: int, repetition: int) -> int:
    """The seed of a repetition of the best trials, 32 bits: the same for each of them, and no trial's."""
    entropy = [study_seed, 0, 0, 1 + repetition]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def make_sampler(choice: SamplerChoice, space: Space, *, seed: int) -> BaseSampler:
    """The sampler that a study file names, for a space whose dimensions are all resolved.

    Args:
        choice: Its name and options.
        space: The search space.
        seed: The study's.

    Returns:
        A sampler that can be asked on any worker.

    Raises:
        StudyFileError: At `search.sampler…` for options that it does not have or cannot take, and at
            `search.space…` where it cannot work on the space.
    """
    sampler: BaseSampler = SAMPLERS[choice.name](choice, space, seed=seed)
    return sampler


class SeededSampler(BaseSampler):
    """A sampler without memory: a trial's point follows from the seed, its number and the history.

    Optuna's samplers draw from one stream of random numbers a process, so that a process started
    again replays its first draws. Here every trial gets a sampler of its own, seeded for it. The
    whole point is drawn at once; a point that some trial of the study has had already is drawn
    again, and in the end picked from what is left, so that no training is repeated while the space
    has anything new. Once it has not, points recur.
    """

    def __init__(
        self, build: Callable[[int, int], BaseSampler], space: Space, *, seed: int
    ) -> None:
        """build: makes the sampler of a trial from its number and the count of points drawn."""
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
                    point[name] = single_value(distribution)
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
        return tuple(lattice_place(point[name], d) for name, d in self._distributions.items())

    def _untaken_point(
        self, study: Study, trial: FrozenTrial, taken: set[tuple[Any, ...]]
    ) -> dict[str, Any] | None:
        """A point at random that no trial has had; None where none is left, or too many are."""
        if any(isinstance(d, FloatRange) and is_continuous(d) for d in self._space.values()):
            random = optuna.samplers.RandomSampler(seed=seed_for(self._seed, trial.number))
            return {
                name: random.sample_independent(study, trial, name, distribution)
                for name, distribution in self._distributions.items()
            }
        if math.prod(count_of(*each) for each in self._space.items()) > _LARGEST_LISTED_SPACE:
            return None
        values = [values_of(name, dimension) for name, dimension in self._space.items()]
        points = [dict(zip(self._space, each, strict=True)) for each in itertools.product(*values)]
        left = [point for point in points if self._key(point) not in taken]
        if not left:
            return None
        generator = np.random.default_rng(seed_for(self._seed, trial.number))
        return left[int(generator.integers(len(left)))]


def grid(choice: SamplerChoice, space: Space, *, seed: int) -> GridSampler:
    """Every point of a grid; a sampler of our own, without options."""
    checked_options({}, choice.options, kind="sampler", name=choice.name)
    return GridSampler(space, seed)


@dataclass(frozen=True)
class OptunaSampler:
    """One of Optuna's samplers, or of its kind, seeded anew for each trial.

    Attributes:
        find: Its class, looked up when it is used, for Optuna imports some only then.
        ours: Options that are not the study file's: set here, or deprecated by Optuna 5.
        defaults: Where ours are not the class's.
        least: The smallest value of an option, where the class takes less and fails at a later trial.
    """

    find: Callable[[], Callable[..., BaseSampler]]
    ours: frozenset[str] = frozenset({"seed"})
    defaults: Mapping[str, Any] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)

    def __call__(self, choice: SamplerChoice, space: Space, *, seed: int) -> BaseSampler:
        """The sampler of a study; see `make_sampler`."""
        name = choice.name
        accepted = accepted_options(self.find(), self.ours)
        given = checked_options(accepted, choice.options, kind="sampler", name=name)
        for option, least in self.least.items():
            check_at_least(least, given.get(option), f"search.sampler.{option}")
        self.check(space)
        options = self.filled(given)

        def build(trial_number: int, retry: int) -> BaseSampler:
            with quietly():
                return self.of_trial(trial_number, retry, options, space, seed)

        built(lambda: build(0, 0), kind="sampler", name=name)
        return SeededSampler(build, space, seed=seed)

    def check(self, space: Space) -> None:
        """Raise StudyFileError where it cannot work on a space."""

    def filled(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a study file with our defaults for those that it leaves out."""
        return {**self.defaults, **given}

    def of_trial(
        self,
        trial_number: int,
        retry: int,
        options: Mapping[str, Any],
        space: Space,
        study_seed: int,
    ) -> BaseSampler:
        """The sampler of one trial.

        Args:
            retry: How many points have been drawn for it already.
        """
        return self.find()(seed=seed_for(study_seed, trial_number, retry), **options)


class _Tpe(OptunaSampler):
    def filled(self, given: Mapping[str, Any]) -> dict[str, Any]:
        options = super().filled(given)
        if not options["multivariate"]:
            options["group"] = given.get("group", False)
        return options


class _CmaEs(OptunaSampler):
    def check(self, space: Space) -> None:
        numeric = [
            n for n, d in distributions(space).items() if not isinstance(d, CategoricalDistribution)
        ]
        if len(numeric) < 2:
            raise StudyFileError(
                "search.sampler",
                found="cmaes on a space with fewer than two ranges",
                expected="two ranges or more, for it draws listed values at random",
                hint="Write lists of numbers as ranges, or take the sampler tpe.",
            )


class _Qmc(OptunaSampler):
    def of_trial(
        self,
        trial_number: int,
        retry: int,
        options: Mapping[str, Any],
        space: Space,
        study_seed: int,
    ) -> BaseSampler:
        # One sequence for the whole study, of which each trial is the point of its number.
        return QmcPoint(trial_number, distributions(space), seed=study_seed, **options)


TPE: Final = _Tpe(
    lambda: optuna.samplers.TPESampler,
    ours=frozenset(
        {
            "seed",
            "consider_prior",
            "prior_weight",
            "consider_magic_clip",
            "consider_endpoints",
            "warn_independent_sampling",
        }
    ),
    # All three together, whatever Optuna's defaults become: liars for workers at the same time.
    defaults={"multivariate": True, "group": True, "constant_liar": True},
    least={"n_ei_candidates": 1, "n_startup_trials": 0},
)
GP: Final = OptunaSampler(
    lambda: optuna.samplers.GPSampler,
    ours=frozenset({"seed", "warn_independent_sampling"}),
    defaults={"warn_independent_sampling": False},
    least={"n_startup_trials": 0},
)
CMAES: Final = _CmaEs(
    lambda: optuna.samplers.CmaEsSampler,
    ours=frozenset({"seed", "warn_independent_sampling", "sigma0", "inc_popsize"}),
    defaults={"warn_independent_sampling": False},
    least={"popsize": 4, "n_startup_trials": 0},
)
RANDOM: Final = OptunaSampler(lambda: optuna.samplers.RandomSampler)
QMC: Final = _Qmc(
    lambda: optuna.samplers.QMCSampler,
    ours=frozenset({"seed", "warn_independent_sampling", "warn_asynchronous_seeding"}),
    # Unscrambled, Sobol's first point is the lowest corner of the space.
    defaults={"scramble": True},
)
NSGA2: Final = OptunaSampler(
    lambda: optuna.samplers.NSGAIISampler,
    # Optuna's 50 would make a study of 50 trials a random search.
    defaults={"population_size": 10},
)
