"""The one private part of Optuna that the search reaches into: the place in its quasi-random sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import QMCSampler
from optuna.study import Study
from optuna.trial import FrozenTrial


class QmcPoint(QMCSampler):
    """Optuna's QMC sampler at the point of the trial's number.

    Optuna counts in a study attribute that two workers can read at once; a number belongs to one
    trial. It has no public way to name the point that is wanted.
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
