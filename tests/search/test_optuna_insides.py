"""The contract with Optuna's QMC sampler: a trial's point is the one that Optuna hands out in its turn."""

from __future__ import annotations

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import QMCSampler

from hpo.search.optuna_insides import QmcPoint

SPACE: dict[str, BaseDistribution] = {
    "batch_size": CategoricalDistribution((8, 16, 32)),
    "epochs": IntDistribution(1, 5),
    "learning_rate": FloatDistribution(1e-6, 1e-3, log=True),
}


@pytest.mark.parametrize("qmc_type", ["sobol", "halton"])
@pytest.mark.parametrize("scramble", [True, False])
def test_the_point_of_a_number_is_the_one_that_optuna_draws_in_its_turn(
    qmc_type: str, scramble: bool
) -> None:
    options = {"qmc_type": qmc_type, "scramble": scramble, "seed": 7}
    study = optuna.create_study()
    trial = study.ask()
    frozen = study.trials[trial.number]
    sampler = QMCSampler(**options)  # type: ignore[arg-type]
    for number in range(5):
        point = QmcPoint(number, SPACE, **options)
        space = point.infer_relative_search_space(study, frozen)
        assert space == SPACE
        expected = sampler.sample_relative(study, frozen, SPACE)
        assert point.sample_relative(study, frozen, space) == expected
