"""Training and tracking that do as a test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from hpo.outbox.outbox import Outbox
from hpo.outbox.records import EndRun, RunRef
from hpo.outbox.spool import Spooled
from hpo.tracking.trial_run import TrialRun
from hpo.training.checkpoint import CheckpointFile
from hpo.training.result import End, Evaluation, TrialResult

VALUE = 0.75


EVALUATION = Evaluation(1, 4, 1.0, 32, {"val/accuracy": VALUE, "val/loss": 0.5})


Training = Callable[[], End]
"""What stands in for a trial's training: how it ended, or an error."""


class StubTrial:
    """A trial that was evaluated once, whose training is the test's."""

    training: Training = staticmethod(lambda: "finished")

    def __init__(self, context: object, params: Any, **_: object) -> None:
        self.context, self.tuned_task = context, None
        self.params, self.steps = params, 4
        self.classifier = SimpleNamespace(parameters={})
        self.history: list[Evaluation] = []

    def resume(self, checkpoint: CheckpointFile) -> bool:
        return False

    def run(
        self,
        on_evaluation: Callable[[Evaluation], object],
        *,
        checkpoint: CheckpointFile,
        should_stop: Callable[[], bool],
    ) -> TrialResult:
        checkpoint.path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.path.touch()
        on_evaluation(EVALUATION)
        matrix, recalls = np.eye(2, dtype=np.int64), np.ones(2)
        probabilities = np.zeros((2, 2), np.float32)
        end = type(self).training()
        return TrialResult(VALUE, EVALUATION, 1, end, 1.0, 32, probabilities, matrix, recalls, None)


@dataclass
class Tracked:
    """A tracker whose runs write to a list."""

    written: list[object] = field(default_factory=list)
    runs: list[TrialRun] = field(default_factory=list)
    study_url: str = ""
    table_url: str = ""

    def start_trial(
        self, number: int, attempt: int, params: object, confirms: object = None
    ) -> TrialRun:
        run = TrialRun(cast(Outbox, self), RunRef("study", f"{number}-{attempt}"), "trial", {})
        self.runs.append(run)
        return run

    def append(self, *operations: object, spooled: Spooled | None = None) -> None:
        self.written.extend(operations)

    @property
    def spool(self) -> Tracked:
        return self

    def add_file(self, content: bytes, name: str) -> Spooled:
        return Spooled(name, len(content))

    def add_folder(self, folder: Path) -> Spooled:
        return Spooled(folder.name, 0)

    def describe(self, note: str) -> None: ...

    def drop_model(self, number: int) -> None: ...

    def run_end(self) -> str | None:
        """The status that the attempt's run was ended with, "left", or None where it is open."""
        if self.runs[0].left:
            return "left"
        ends = [each for each in self.written if isinstance(each, EndRun)]
        assert len(ends) <= 1, "a run ends once"
        return ends[0].status if ends else None


def let_training(monkeypatch: pytest.MonkeyPatch, *outcomes: End | BaseException) -> None:
    """One outcome after another, the last of them again and again."""
    coming = list(outcomes)

    def train() -> End:
        outcome = coming.pop(0) if len(coming) > 1 else coming[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(StubTrial, "training", staticmethod(train))


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail
