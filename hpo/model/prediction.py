"""The probabilities that a classifier gives texts, in batches of like lengths."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from hpo.data.batches import evaluation_batches
from hpo.model.classifier import Classifier
from hpo.model.dropout import NO_DROPOUT
from hpo.model.inputs import SplitInputs
from hpo.model.layout import PASS_TOKENS
from hpo.tasks.task import Task

OnBatch = Callable[[int], None]
"""Told after each batch how many tokens it had."""


def predict(
    classifier: Classifier, inputs: SplitInputs, task: Task, on_batch: OnBatch | None = None
) -> NDArray[np.float32]:
    """The task's probabilities of every text that is read, without dropout.

    Returns:
        (texts, scores) fp32, in the order of the texts.
    """
    batches = evaluation_batches(inputs.lengths, PASS_TOKENS[classifier.device.type])
    if not batches:
        return np.asarray(task.probabilities(torch.empty(0, classifier.classes)))
    found = []
    with classifier.held_weights():
        for texts in batches:
            batch = inputs.batch(inputs.stored(texts))
            logits = classifier.logits(batch.inputs, batch.layout, NO_DROPOUT)
            found.append(task.probabilities(logits))
            if on_batch is not None:
                on_batch(int(inputs.lengths[texts].sum()))
    # Read from the device once, for each reading waits for all that came before it.
    in_batches = torch.cat(found).cpu().numpy()
    probabilities = np.empty_like(in_batches)
    probabilities[np.concatenate(batches)] = in_batches
    return probabilities
