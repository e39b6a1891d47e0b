"""Who a study is in MLflow: its experiment, its run, and the runs of its trials."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.outbox.records import RunRef
from hpo.tracking.keys import (
    former_registered_name,
    names_from,
    registered_name,
    study_run_key,
    trial_run_key,
)


@dataclass(frozen=True)
class StudyIdentity:
    """A study by its name, and by the uid that tells studies of one name apart.

    Attributes:
        registered_as: The name that the study had when its model was first registered, where it has
            another by now: the registered model keeps that.
    """

    name: str
    uid: str
    registered_as: str | None = None

    @property
    def model_names(self) -> tuple[str, ...]:
        """Where its registered model may be, the likeliest first."""
        named_after = self.registered_as or self.name
        name = registered_name(named_after)
        return *names_from(name, self.uid), former_registered_name(named_after)

    @property
    def key(self) -> str:
        """The key of the study's own run."""
        return study_run_key(self.name, self.uid)

    @property
    def run(self) -> RunRef:
        """The study's own run, the parent of its trials'."""
        return RunRef(self.name, self.key)

    def trial_run(self, number: int, attempt: int) -> RunRef:
        """The run of an attempt at a trial."""
        return RunRef(self.name, trial_run_key(self.name, self.uid, number, attempt))
