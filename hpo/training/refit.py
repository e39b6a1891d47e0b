"""The classifier of a trial over folds: its parameters, trained once more on all that the study trains on."""

from __future__ import annotations

import math
from collections.abc import Callable

from hpo.spec.training import TrialParams
from hpo.training.evaluate import TrainingDiverged
from hpo.training.loop import TrialTraining
from hpo.training.micro_batches import MicroBatches
from hpo.training.trial_context import TrialContext
from hpo.training.trial_data import TrialData


def refit(
    context: TrialContext,
    params: TrialParams,
    *,
    seed: int,
    epochs: float,
    micro_batches: MicroBatches,
    on_step: Callable[[float], None] = lambda share: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrialTraining:
    """Train on all the training texts for the epochs that the folds have found, without validation.

    The learning rate takes the course that it took in the folds, planned for all epochs of the
    parameters, and ends where theirs ended on average: a course of the found length would end
    elsewhere, where nobody has looked.

    Args:
        context: The study's.
        params: The trial's.
        seed: The trial's.
        epochs: The mean of the folds' best, a fraction.
        micro_batches: What fits into memory.
        on_step: Told after each step which share of them is made.
        should_stop: Asked after every step.

    Returns:
        The training with its last weights in the classifier.

    Raises:
        TrainingDiverged: The loss is not a number.
        TrialInterrupted: `should_stop` said so.
    """
    texts = TrialData(train=context.trained_on, validation=context.trained_on)
    training = TrialTraining(context, params, seed=seed, texts=texts, micro_batches=micro_batches)
    steps = min(max(round(epochs * training.steps_per_epoch), 1), training.steps)
    training.run_for(steps, on_step=on_step, should_stop=should_stop)
    loss = training.progress.take_mean_loss()
    if not math.isfinite(loss):
        raise TrainingDiverged(f"the loss became {loss} within {steps} steps")
    return training
