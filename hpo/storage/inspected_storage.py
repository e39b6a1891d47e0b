"""Optuna's storage with a look at all trials that it reads, before anybody gets them."""

from __future__ import annotations

from collections.abc import Callable, Container

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState


class InspectedStorage(RDBStorage):
    """Optuna's storage, whose reading of a study's trials a subclass can look at."""

    def inspect_trials(
        self, study_id: int, read: Callable[[], list[FrozenTrial]]
    ) -> list[FrozenTrial]:
        """The trials that `read` reads, or what is to be handed out in their place."""
        return read()

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        read = super()._get_trials
        return self.inspect_trials(
            study_id,
            lambda: read(study_id, states, included_trial_ids, trial_id_greater_than),
        )
