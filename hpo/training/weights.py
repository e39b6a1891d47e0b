"""What each training text counts for in the loss: its class's weight times its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo.data.tokens import TokenizedData
from hpo.spec.training import TrialParams
from hpo.tasks.task import Task
from hpo.training.trial_data import TrialData


def weights_of_texts(
    task: Task, params: TrialParams, texts: TrialData, data: TokenizedData
) -> NDArray[np.float32] | None:
    """The weights of a trial's training texts.

    Args:
        task: What the texts are asked.
        params: The trial's, of which `class_weight` is read.
        texts: Those that the trial reads; their own weights are factors on those of the classes.
        data: The store that they are in.

    Returns:
        (texts,) or, where a task weighs its outputs one by one, (texts, outputs); None: 1 each.
    """
    of_classes, of_texts = task.weights(texts.train.labels(data), params), texts.weights
    if of_classes is None or of_texts is None:
        return of_texts if of_classes is None else of_classes
    return of_classes * of_texts.reshape(-1, *[1] * (of_classes.ndim - 1))
