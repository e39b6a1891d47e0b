"""What a trial leaves for people to look at: its confusion matrix in MLflow, its columns in the dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import torch
from pydantic import JsonValue

from hpo.results.drawings import draw_confusion
from hpo.results.leaderboard import BEST_EVALUATION, FOLDS, STD_OVER_FOLDS
from hpo.runtime.outcomes import EXAMPLES_SEEN, THREADS
from hpo.tracking.trial_run import TrialRun
from hpo.training.folds import deviation_of
from hpo.training.result import Evaluation, TrialResult


def log_confusion(run: TrialRun, result: TrialResult, label_names: tuple[str, ...]) -> str | None:
    """Log the confusion matrix at the best evaluation and each class's recall.

    Returns:
        The matrix drawn, as SVG; None where a text is not of one class.
    """
    if not len(result.confusion):
        return None
    run.log_text(_confusion_table(result, label_names), "confusion_matrix.json")
    recalls = zip(recall_names(label_names), result.recalls, strict=True)
    metrics = {name: float(recall) for name, recall in recalls}
    run.log(metrics, result.best.examples_seen)
    drawing = draw_confusion(
        result.confusion,
        label_names,
        f"Confusion on the {'validation folds' if result.fold_values else 'validation split'}",
        f"at the best evaluation, after {result.best.epoch:.2f} epochs",
    )
    run.log_text(drawing, "confusion_matrix.svg")
    return drawing


TUNED = "tuned"
"""User attribute: what a trial over folds has learnt for its task from the texts that they left out."""


def log_evaluation(run: TrialRun, evaluation: Evaluation) -> None:
    """Log an evaluation's metrics, by the fold that it is in: `fold_2/val/accuracy`."""
    fold = "" if evaluation.fold is None else f"fold_{evaluation.fold}/"
    metrics = {f"{fold}{name}": value for name, value in evaluation.metrics.items()}
    run.log(metrics, evaluation.examples_seen)


def recall_names(label_names: Sequence[str]) -> list[str]:
    """A metric's name for each class, in the characters that MLflow allows and unlike all others."""
    allowed = [re.sub(r"[^\w. -]", "_", label)[:100] for label in label_names]
    names = [f"val/recall_{label}" for label in allowed]
    return [
        name if names.count(name) == 1 else f"{name}_{index}" for index, name in enumerate(names)
    ]


def dashboard_columns(result: TrialResult) -> dict[str, JsonValue]:
    """What is worth a column in the Optuna dashboard, as user attributes of the trial."""
    best, seconds = result.best, result.seconds
    scores = {
        name.removeprefix("val/"): value
        for name, value in best.metrics.items()
        if name.startswith("val/") and name != "val/loss"  # which is log_loss again
    }
    return {
        **scores,
        "epochs_run": round(result.examples_seen / max(best.examples_seen, 1) * best.epoch, 3),
        EXAMPLES_SEEN: result.examples_seen,
        "seconds": round(seconds, 3),
        **result.parts.as_attributes(),
        "examples_per_second": round(result.examples_seen / max(seconds, 1e-9), 1),
        **(_folds(result) if result.fold_values else {BEST_EVALUATION: best.index}),
        "stopped": result.end,
        THREADS: torch.get_num_threads(),
    }


def _folds(result: TrialResult) -> dict[str, JsonValue]:
    deviation = deviation_of(result.fold_values)
    return {
        FOLDS: len(result.fold_values),
        BEST_EVALUATION: [*result.fold_evaluations],
        **({} if deviation is None else {STD_OVER_FOLDS: deviation}),
    }


def _confusion_table(result: TrialResult, label_names: tuple[str, ...]) -> str:
    """JSON that MLflow shows as a table: a row for each true label, its recall last."""
    rows = zip(label_names, result.confusion, result.recalls, strict=True)
    document = {
        "columns": ["true label", *label_names, "recall"],
        "data": [[name, *map(int, row), round(float(recall), 4)] for name, row, recall in rows],
    }
    return json.dumps(document, ensure_ascii=False)
