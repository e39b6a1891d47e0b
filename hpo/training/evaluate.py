"""An evaluation: when it is due, what it measures on the validation split, and whether it is the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.model.classifier import Classifier
from hpo.model.inputs import SplitInputs
from hpo.model.prediction import predict
from hpo.spec.study import Metric, direction_of
from hpo.tasks.task import Task
from hpo.training.result import Evaluation


class TrainingDiverged(Exception):  # noqa: N818
    """The loss became NaN or infinite."""


def evaluations_by_step(steps: int, count: int) -> dict[int, int]:
    """Step -> index of the evaluation after it: even fractions of training, the last at the end.

    Where fractions fall on one step, the last of them counts.
    """
    return {max(1, round(steps * part / count)): part for part in range(1, count + 1)}


def evaluate(
    classifier: Classifier,
    validation: SplitInputs,
    task: Task,
    train_loss: float,
    *,
    metric: Metric,
    at: str,
) -> tuple[NDArray[np.float32], dict[str, float]]:
    """Score a classifier on the validation texts.

    Args:
        classifier: The trial's model.
        validation: What it reads of the validation split.
        task: What the texts are asked.
        train_loss: The mean since the last evaluation.
        metric: The study's, which is among the metrics whatever it is.
        at: Where training is, in words.

    Returns:
        The task's probabilities, (texts, scores), and metrics by their names `val/…`.

    Raises:
        TrainingDiverged: The loss or a probability is not finite.
    """
    probabilities = predict(classifier, validation, task)
    if not (math.isfinite(train_loss) and np.isfinite(probabilities).all()):
        raise TrainingDiverged(f"the loss became {train_loss} at {at}")
    scores = task.metrics(probabilities, validation.labels, [metric])
    return probabilities, {
        "val/loss": scores[task.loss_metric],  # so that MLflow finds the pair of train/loss
        **{f"val/{name}": value for name, value in scores.items()},
    }


def improves_on(history: Sequence[Evaluation], evaluation: Evaluation, metric: Metric) -> bool:
    """Whether an evaluation is better than all of these, in the sense of `improves`."""
    best: Evaluation | None = None
    for each in history:
        best = each if improves(each, best, metric) else best
    return improves(evaluation, best, metric)


def improves(evaluation: Evaluation, best: Evaluation | None, metric: Metric) -> bool:
    """Whether the metric is better than ever or, where it is as good, the validation loss is lower.

    On few texts accuracy stands still for many evaluations while the model goes on learning.
    """
    if best is None:
        return True
    gain = evaluation.metrics[f"val/{metric}"] - best.metrics[f"val/{metric}"]
    if gain == 0:
        return evaluation.metrics["val/loss"] < best.metrics["val/loss"]
    return (gain > 0) == (direction_of(metric) == "maximize")
