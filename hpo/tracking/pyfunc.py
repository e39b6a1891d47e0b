"""The loader of a logged trial: MLflow's pyfunc calls `_load_pyfunc` with the data's folder."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.tracking.served_classifier import Answers, answer

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from hpo.model.predictor import Predictor


class TrialModel:
    """What a trial trained, laid over the model it started from, behind pyfunc's `predict`."""

    def __init__(self, folder: Path) -> None:
        from hpo.model.saved import load_trained

        self._trained = load_trained(folder)
        self._classifying = threading.Lock()

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Classify texts; what they come in, and the table, are as a registered model's."""
        return answer(model_input, answers_of(self._trained), self._scores)

    def _scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        # Neither the tokenizer nor the classifier can be used by two threads of a server at once.
        with self._classifying:
            return self._trained.classify(texts)[1]


def answers_of(predictor: Predictor) -> Answers:
    """How a finished model's probabilities are told."""
    task, thresholds = predictor.task, predictor.task.config.get("thresholds", ())
    return Answers(task.problem_type, tuple(predictor.label_names), tuple(thresholds))


def _load_pyfunc(data_path: str) -> TrialModel:
    return TrialModel(Path(data_path))
