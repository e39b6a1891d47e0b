"""A finished model in Python: texts in, a table of labels and probabilities out, as it was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.api.wording import speaking_python, speaks_python
from hpo.errors import DataError, OptionError
from hpo.spec.numbers import whole_number

if TYPE_CHECKING:
    import pandas as pd

    from hpo.data.row_stream import Rows
    from hpo.model.predictor import Predictor


@speaks_python
class Model:
    """A finished classifier, or an ensemble of them.

    Attributes:
        uri: Where it is: `models:/…`, `runs:/…` or a folder, which the commands take too.
    """

    def __init__(self, uri: str, load: Callable[[], Predictor]) -> None:
        """Name a model; it is loaded when it is first asked something."""
        self.uri = uri
        self._load = load
        self._loaded: Predictor | None = None

    def __repr__(self) -> str:
        return f"<hpo.Model {self.uri}>"

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the columns of probabilities."""
        return self._predictor.label_names

    def predict(
        self,
        texts: str | Iterable[str | None],
        *,
        top: int | None = None,
        threshold: float | None = None,
    ) -> pd.DataFrame:
        """Label texts.

        Args:
            texts: One, or any number of them: a list, an array, a pandas Series, whose index is kept.
            top: So many labels with their probabilities, the likeliest first, instead of every
                probability.
            threshold: Give no label below this probability; several labels a text: each from it on.

        Returns:
            A row a text: `text`, `label` (or `labels`, or `prediction`) and a column `probability_NAME`
            a label. A text that is none has no label, and a column `error` says why.

        Raises:
            DataError: `texts` is a table, or nothing that holds texts.
            OptionError: `top` or `threshold` is out of its bounds.
        """
        _check_form(top, threshold)
        given = [texts] if isinstance(texts, str) else _listed(texts)
        import pandas as pd

        from hpo.results.predictions import ERROR_COLUMN, AnswerForm, Labeller

        labeller = Labeller(self._predictor, "text", AnswerForm(top, threshold))
        parts = [pd.DataFrame(columns) for columns in labeller.label_each(_in_parts(given))]
        index = texts.index if isinstance(texts, pd.Series) else pd.RangeIndex(len(given))
        table = pd.concat(parts, ignore_index=True).set_axis(index)
        return table if labeller.faults else table.drop(columns=ERROR_COLUMN)

    @property
    def _predictor(self) -> Predictor:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded


@speaking_python
def load_model(model: str | Path, *, tracking: str | None = None) -> Model:
    """Load a finished model.

    Args:
        model: `models:/NAME@champion`, `models:/NAME/VERSION`, `runs:/RUN/PATH`, or a folder.
        tracking: The MLflow server or store that has it; left out, as the commands find it.

    Raises:
        ModelError: There is no such model, or it is damaged.
        TrackingError: MLflow cannot be asked.
    """
    from hpo.quiet import quiet_caller

    quiet_caller()
    loaded = named_model(str(model), tracking)
    _ = loaded.labels
    return loaded


def named_model(uri: str, tracking: str | None) -> Model:
    """A model that is loaded when it is first asked something; otherwise as `load_model`."""
    from hpo.spec.locations import Locations
    from hpo.tracking.loading import load_model as load

    return Model(uri, lambda: load(uri, Locations.of(tracking_uri=tracking).tracking_uri))


def _check_form(top: int | None, threshold: float | None) -> None:
    if top is not None:
        whole_number("top", least=1, most=1_000)(str(top))
    if threshold is not None and not 0 <= threshold <= 1:
        raise OptionError(
            "threshold",
            found=repr(threshold),
            expected="a probability from 0 to 1",
            hint="Write 0.9, for example.",
        )


def _listed(texts: Iterable[Any]) -> Sequence[Any]:
    """The texts as a list. Raises DataError where they are something else."""
    if (
        isinstance(texts, bytes | dict)
        or hasattr(texts, "columns")
        or not hasattr(texts, "__iter__")
    ):
        raise DataError(
            "texts",
            found=f"a value of type {type(texts).__name__}",
            expected="a text, or a list of texts",
            hint='Give the column of the texts, as in table["text"].',
        )
    return list(texts)


def _in_parts(texts: Sequence[Any]) -> Iterator[Rows]:
    """At least one part, so that no texts have columns too."""
    from hpo.data.row_stream import ROWS_AT_ONCE, Rows

    for start in range(0, max(len(texts), 1), ROWS_AT_ONCE):
        part = list(texts[start : start + ROWS_AT_ONCE])
        yield Rows({"text": part}, range(start + 1, start + len(part) + 1))
