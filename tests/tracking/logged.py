"""Trials logged through a tracker, and what must arrive of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hpo.tracking import StudyTracker


def open_study(uri: str, study: str, state_dir: Path) -> StudyTracker:
    return StudyTracker.open(
        uri, study, state_dir, study_uid="u", study_file="x = 1\n", environment={}
    )


def log_a_trial(tracker: StudyTracker, number: int, evaluations: int = 20) -> str:
    trial = tracker.start_trial(number, 1, {"learning_rate": 0.1})
    for step in range(evaluations):
        trial.log({"val/loss": float(step), "val/accuracy": step / 10}, step)
    trial.log_text("notes", "notes.txt")
    trial.finish("COMPLETE", {"val/best_accuracy": 1.0})
    return trial.run_key


def each_once(evaluations: int = 20) -> Counter[tuple[int, float]]:
    return Counter({(step, float(step)): 1 for step in range(evaluations)})
