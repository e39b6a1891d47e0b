"""Who runs a study's workers: what `hpo.run` asks of them, wherever they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hpo.execution.machine_resources import WorkerResources
from hpo.runtime.events import Listener
from hpo.spec.locations import Locations


@dataclass(frozen=True)
class Job:
    """What a worker is told: the study, where things are kept, the part of its machine that is its own."""

    study: str
    locations: Locations
    resources: WorkerResources


class Executor(Protocol):
    """Starts workers when it is made, watches them while they work, stops them.

    Processes of this machine are the only ones so far (`hpo.execution.processes.WorkerPool`).
    Workers find each other in the storage, so that an executor carries no data between them.
    """

    @property
    def size(self) -> int:
        """How many workers there are, 2 or more."""
        ...

    def run(self, jobs: Sequence[Job], on_event: Listener, should_stop: Callable[[], bool]) -> bool:
        """Have the workers work on a study.

        Args:
            jobs: One for each worker.
            on_event: Hears what the workers tell of their trials.
            should_stop: Asked several times a second; once it says so, workers give their trials back.

        Returns:
            True once the budget is met; False where the workers were stopped before.

        Raises:
            HpoError: What stopped a worker, or that workers die without ever finishing a trial.
        """
        ...

    def close(self) -> None:
        """End all workers at once, whatever they are at."""
        ...
