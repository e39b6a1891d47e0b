"""Labelled texts as every later stage gets them: cleaned, split, with labels as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.data.table import RowNoun, named_rows
from hpo.spec.study import TaskName


def _no_rows() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


Labels = NDArray[Any]
"""One row a text: classes (n,) int64; several labels (n, labels) float32 of 0 and 1; numbers (n,) float32."""


@dataclass(frozen=True, eq=False)
class Split:
    """Texts and their labels.

    Attributes:
        labels: (n,) indices into the data's label names; where a text may have several labels, (n,
            label names) of 0 and 1; where it has a number, (n,) of those.
        rows: (n,) the number of each text's row in its file, or empty where there is no file.
        origin: That file or hub split.
        row_noun: What the numbers count.
        fold_keys: (n,) the group or the time of each text, where folds go by such a column.
    """

    texts: tuple[str, ...]
    labels: Labels
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

    def counts(self, labels: int) -> NDArray[np.int64]:
        """The texts of each label, (labels,); numbers are one label, which all texts have."""
        if self.labels.ndim == 2:
            return np.asarray(np.count_nonzero(self.labels, axis=0), dtype=np.int64)
        if self.labels.dtype.kind == "f":
            return np.full(labels, len(self), dtype=np.int64)
        return np.bincount(self.labels, minlength=labels)

    def having(self, labels: Sequence[int]) -> NDArray[np.int64]:
        """Positions of the texts that have any of these labels."""
        if self.labels.ndim == 2:
            return np.flatnonzero(self.labels[:, labels].any(1))
        return np.flatnonzero(np.isin(self.labels, labels))

    def where(self, index: int) -> str:
        """The place of a text, `reviews.csv, line 17`.

        Args:
            index: Its position in the split, from 0.
        """
        return f"{self.origin}, {self.row_noun} {self.row(index)}"

    def row(self, index: int) -> int:
        """The number of a text's row in its file, without a file its place among the texts, from 1."""
        return int(self._numbers()[index])

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
    """The data of a study. Every label has training examples; no text is in two splits.

    Attributes:
        label_names: The classes, or the labels, or what a number is called.
        fingerprint: SHA-256 of the texts, labels and label names, in hexadecimal.
        source: As the study file names it.
        warnings: What was left out or looks wrong, one line each.
        text_column: Where they stood.
        label_column: Where they stood, several columns parted by commas.
        split_off: Which splits the source lacked.
        folds: Of the training split; where there are any, the validation split has no texts.
        trained_on: Positions of the training texts that may be trained on, where folds are validated on
            others too; None: all of them.
        task: What the texts are asked, as the labels tell: a name of `hpo.tasks`.
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
    trained_on: NDArray[np.int64] | None = None
    task: TaskName = "single_label"
