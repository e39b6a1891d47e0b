"""Labelled texts as every later stage gets them: cleaned, split, with classes as numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.data.table import RowNoun, named_rows


def _no_rows() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Split:
    """Texts and their classes.

    Attributes:
        labels: (n,) indices into the data's label names.
        rows: (n,) the number of each text's row in its file, or empty where there is no file.
        origin: That file or hub split.
        row_noun: What the numbers count.
        fold_keys: (n,) the group or the time of each text, where folds go by such a column.
    """

    texts: tuple[str, ...]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64] = field(default_factory=_no_rows)
    origin: str = "the texts"
    row_noun: RowNoun = "row"
    fold_keys: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: NDArray[np.int64]) -> Split:
        """The part of the split at these positions, in their order."""
        return Split(
            tuple(self.texts[index] for index in indices),
            self.labels[indices],
            self._numbers()[indices],
            self.origin,
            self.row_noun,
            None if self.fold_keys is None else self.fold_keys[indices],
        )

    def where(self, index: int) -> str:
        """The place of a text, `reviews.csv, line 17`.

        Args:
            index: Its position in the split, from 0.
        """
        return f"{self.origin}, {self.row_noun} {self._numbers()[index]}"

    def rows_named(self, indices: NDArray[np.int64]) -> str:
        """The first few of these rows, `lines 3, 17, 40, …`."""
        return named_rows(self.row_noun, self._numbers()[indices])

    def _numbers(self) -> NDArray[np.int64]:
        return self.rows if len(self.rows) else np.arange(1, len(self) + 1, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Fold:
    """One division of the training split, each part as positions in it, in their order.

    Attributes:
        train: (training texts,).
        validation: (validation texts,), none of which is equal to a training text.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LabelledData:
    """The data of a study. Every class has training examples; no text is in two splits.

    Attributes:
        fingerprint: SHA-256 of the texts, labels and label names, in hexadecimal.
        source: As the study file names it.
        warnings: What was left out or looks wrong, one line each.
        text_column: Where they stood.
        label_column: Where they stood.
        split_off: Which splits the source lacked.
        folds: Of the training split; where there are any, the validation split has no texts.
    """

    train: Split
    validation: Split
    test: Split
    label_names: tuple[str, ...]
    fingerprint: str
    source: str
    warnings: tuple[str, ...]
    text_column: str = "text"
    label_column: str = "label"
    split_off: tuple[str, ...] = ()
    folds: tuple[Fold, ...] = ()
