"""What is known of a study while workers are at it: counts, the best so far, trials under way, time left."""

from __future__ import annotations

import time

from hpo.runtime.events import (
    ConfirmationEvent,
    Event,
    FeatureProgress,
    TrialEnded,
    TrialEvaluated,
    TrialStarted,
    name_of,
)
from hpo.spec.numbers import duration


class StudyState:
    """What is known of a study in progress: counts, best so far, running trials, time left."""

    def __init__(
        self, wanted: int, finished: int, best: float | None, maximize: bool, title: str = ""
    ) -> None:
        self.wanted = wanted
        self.finished = finished
        self.best = best
        self.best_number: int | None = None
        self.running: dict[int, tuple[float, float | None]] = {}  # number -> share done, last value
        self.names: dict[int, str] = {}  # of trials that are not called by their number
        self.building: FeatureProgress | None = None
        self._title = title
        # A training that confirms is not tried again when it failed.
        self._ended = ("COMPLETE", "PRUNED", "FAIL") if title else ("COMPLETE", "PRUNED")
        self.confirmation: StudyState | None = None  # once it has begun
        self._maximize = maximize
        self._finished_before = finished
        self._started = time.monotonic()

    def update(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case TrialStarted():
                self.running[event.number] = (0.0, None)
            case TrialEvaluated():
                self.running[event.number] = (event.share, event.value)
                self.building = None
            case FeatureProgress():
                self.building = event if event.done < event.total else None
            case TrialEnded():
                self.running.pop(event.number, None)
                self.finished += event.state in self._ended
                if event.state == "COMPLETE" and event.value is not None:
                    self._note_best(event.number, event.value)
            case ConfirmationEvent():
                if self.confirmation is None:
                    runs = event.trials * event.seeds
                    before, title = event.finished, event.title
                    self.confirmation = StudyState(runs, before, None, self._maximize, title)
                if not isinstance(event.event, FeatureProgress):
                    self.confirmation.names[event.event.number] = name_of(event)
                self.confirmation.update(event.event)

    def seconds_left(self) -> float | None:
        """By the pace so far; None before anything is known of it, and of what follows the last trial."""
        done = self.finished - self._finished_before
        begun = sum(share for share, _ in self.running.values())
        if done + begun < 0.5 or self.finished >= self.wanted:
            return None
        pace = (time.monotonic() - self._started) / (done + begun)
        return max(0.0, (self.wanted - self.finished - begun) * pace)

    def _note_best(self, number: int, value: float) -> None:
        better = self.best is None or (value > self.best if self._maximize else value < self.best)
        if better:
            self.best, self.best_number = value, number

    def in_words(self) -> str:
        """`12/50 trials, best 0.8720 (trial 7), 3 min left`."""
        if self.confirmation is not None:
            return self.confirmation.in_words()
        title = f"{self._title}: " if self._title else ""
        words = [f"{title}{self.finished}/{self.wanted} {'trainings' if title else 'trials'}"]
        if self.best is not None and not title:
            by = "" if self.best_number is None else f" (trial {self.best_number})"
            words.append(f"best {self.best:.4f}{by}")
        left = self.seconds_left()
        if left is not None:
            words.append(f"{duration(left)} left")
        return ", ".join(words)

    def line(self) -> str:
        """Both in a line: how far it is, and what is being done, where something is."""
        return " | ".join(part for part in (self.in_words(), "  ".join(self.at_work())) if part)

    def at_work(self) -> list[str]:
        """What is being done: `#7 50% 0.8720`, a trial's progress and last metric, of each of them."""
        if self.confirmation is not None:
            return self.confirmation.at_work()
        if self.building is not None and not any(share for share, _ in self.running.values()):
            share = self.building.done / max(self.building.total, 1)
            return [
                f"computing {self.building.depth} frozen blocks once for all trials: {share:.0%}"
            ]
        return [
            f"{self.names.get(number, f'#{number}')} {share:.0%}"
            + ("" if value is None else f" {value:.4f}")
            for number, (share, value) in sorted(self.running.items())
        ]
