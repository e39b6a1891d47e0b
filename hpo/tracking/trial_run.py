"""One attempt at one trial in MLflow, and what the writing of runs has in common."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hpo.outbox.outbox import Outbox
from hpo.outbox.records import (
    EndRun,
    LogArtifact,
    LogMetrics,
    LogModel,
    MetricPoint,
    Operation,
    RunRef,
    RunStatus,
)
from hpo.tracking.keys import ABANDONED_TAG, NOTE_TAG, REASON_TAG, TRIAL_STATE_TAG
from hpo.tracking.system_metrics import SystemMetrics

TrialState = Literal["COMPLETE", "PRUNED", "FAIL"]
STATUS_OF_STATE: Mapping[TrialState, RunStatus] = {
    "COMPLETE": "FINISHED",
    "PRUNED": "KILLED",
    "FAIL": "FAILED",
}


@dataclass(frozen=True)
class RunOutcome:
    """How the trial of an attempt ended, by the word of the study's own storage.

    Attributes:
        metrics: Those that come last, at `step`.
        note: What came of it, for the run's description.
        keeps_model: Whether its model is among those that stay.
        model: The folder that `TrialRun.log_model` was given, or would have been, if it is here,
            and the tags of the logged model.
    """

    state: TrialState
    step: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None
    note: str = ""
    keeps_model: bool = False
    model: Path | None = None
    model_tags: Mapping[str, str] = field(default_factory=dict)


OutcomeOf = Callable[[str], RunOutcome | None]
"""Called with a run's key. None: its trial goes on in another attempt, or is not known."""


class TrialRun:
    """One attempt at one trial. Used by the thread that trains."""

    def __init__(
        self,
        outbox: Outbox,
        ref: RunRef,
        name: str,
        model_tags: Mapping[str, str],
        system_metrics: SystemMetrics | None = None,
    ) -> None:
        self._outbox = outbox
        self._ref = ref
        self._name = name
        self._model_tags = model_tags
        self._system_metrics = system_metrics
        self._last_step = 0
        self.ended = False
        self.left = False

    @property
    def run_key(self) -> str:
        return self._ref.key

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the metrics of one evaluation.

        Args:
            step: Examples seen.
        """
        self._last_step = max(self._last_step, step)
        if metrics:
            self._outbox.append(LogMetrics(self._ref, points(metrics, step)))

    def log_system(self, step: int) -> None:
        """Log how busy the machine has been since the last call, if the study wants that; step as above."""
        if self._system_metrics is not None:
            self.log(self._system_metrics.read(), step)

    def log_text(self, text: str, file: str) -> None:
        """Log a text as the file `file` (`folder/name.txt`) of the run."""
        log_text(self._outbox, self._ref, text, file)

    def log_model(self, folder: Path) -> None:
        """Log `trained.safetensors` and `trial.json` of the folder as an MLflow model of this run.

        Raises:
            TrackingError: The outbox or the disk is full.
        """
        spooled = self._outbox.spool.add_folder(folder)
        operation = LogModel(
            self._ref, uuid.uuid4().hex, spooled.path, self._name, dict(self._model_tags)
        )
        self._outbox.append(operation, spooled=spooled)

    def finish(
        self,
        state: TrialState,
        final_metrics: Mapping[str, float] | None = None,
        reason: str | None = None,
        note: str = "",
    ) -> None:
        """End the run: FINISHED, KILLED (pruned) or FAILED.

        Args:
            state: The trial's.
            final_metrics: They get the last step.
            reason: Why the trial failed.
            note: The run's description, Markdown.
        """
        tags = outcome_tags(state, reason, note)
        operations: list[Operation] = []
        if final_metrics:
            operations.append(LogMetrics(self._ref, points(final_metrics, self._last_step)))
        operations.append(EndRun(self._ref, STATUS_OF_STATE[state], now_ms(), tags))
        self._end(operations)

    def abandon(self, reason: str) -> None:
        """End an attempt that stops before its trial is done: KILLED, tag `hpo.abandoned`."""
        tags = {**abandoned_tags(), REASON_TAG: reason}
        self._end([EndRun(self._ref, "KILLED", now_ms(), tags)])

    def leave(self) -> None:
        """Say nothing more of a trial that has ended: the storage knows how, and is asked later."""
        if not self.ended:
            self.ended = self.left = True

    def _end(self, operations: list[Operation]) -> None:
        if self.ended:
            return
        self._outbox.append(*operations)
        self.ended = True


def log_text(outbox: Outbox, ref: RunRef, text: str, file: str) -> None:
    folder, _, name = file.rpartition("/")
    spooled = outbox.spool.add_file(text.encode(), name)
    outbox.append(LogArtifact(ref, spooled.path, folder or None, spooled.digest), spooled=spooled)


def points(metrics: Mapping[str, float], step: int) -> tuple[MetricPoint, ...]:
    now = now_ms()
    return tuple(MetricPoint(key, float(value), step, now) for key, value in metrics.items())


def outcome_tags(state: TrialState, reason: str | None, note: str = "") -> dict[str, str]:
    tags = {TRIAL_STATE_TAG: state, REASON_TAG: reason or "", NOTE_TAG: note}
    return {key: value for key, value in tags.items() if value}


def abandoned_tags() -> dict[str, str]:
    return {ABANDONED_TAG: "true", TRIAL_STATE_TAG: "FAIL"}


def now_ms() -> int:
    return int(time.time() * 1000)
