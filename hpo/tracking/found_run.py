"""A run as MLflow has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.tracking.hidden_tags import read


@dataclass(frozen=True)
class FoundRun:
    """A run that is not deleted.

    Attributes:
        tags: Under our names.
    """

    run_id: str
    experiment_id: str
    name: str
    status: str
    start_ms: int
    tags: Mapping[str, str]

    @staticmethod
    def of(run: Any) -> FoundRun:
        """What MLflow's client gave."""
        return FoundRun(
            run_id=str(run.info.run_id),
            experiment_id=str(run.info.experiment_id),
            name=str(run.info.run_name),
            status=str(run.info.status),
            start_ms=int(run.info.start_time or 0),
            tags=read(run.data.tags),
        )
