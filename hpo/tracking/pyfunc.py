"""The loader of a logged trial: MLflow's pyfunc calls `_load_pyfunc` with the data's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class TrialModel:
    """What a trial trained, laid over the model it started from, behind pyfunc's `predict`."""

    def __init__(self, folder: Path) -> None:
        from hpo.model.saved import load_trained

        self._trained = load_trained(folder)

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Classify a list or Series of texts, or a DataFrame's column `text` (or its first).

        Returns a row for each text: `label`, and `probability_<label>` for each label.
        """
        import pandas as pd

        labels, probabilities = self._trained.classify(_texts(model_input))
        columns: dict[str, Any] = {"label": list(labels)}
        for index, name in enumerate(self._trained.label_names):
            columns[f"probability_{name}"] = probabilities[:, index]
        return pd.DataFrame(columns)


def _load_pyfunc(data_path: str) -> TrialModel:
    return TrialModel(Path(data_path))


def _texts(model_input: Any) -> Sequence[str]:
    import pandas as pd

    if isinstance(model_input, pd.DataFrame):
        column = "text" if "text" in model_input.columns else model_input.columns[0]
        model_input = model_input[column]
    if isinstance(model_input, str):
        return [model_input]
    return [str(text) for text in model_input]
