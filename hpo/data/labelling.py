"""What the texts are asked, as the label columns tell, and how their cells become numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpo.data.labelled import Labels
from hpo.data.labels import NO_CLASS, Classes, find_classes, is_missing, unknown_label
from hpo.data.multi_labels import find_label_columns, find_label_lists
from hpo.data.table import Table
from hpo.data.targets import find_numbers
from hpo.errors import StudyFileError
from hpo.spec.effects import refuse_idle
from hpo.spec.study import DataSection, TaskName


class Labelling(Protocol):
    """How a data set is labelled: found in its training split, and read with in all of them."""

    @property
    def task(self) -> TaskName:
        """What the texts are asked."""

    @property
    def names(self) -> tuple[str, ...]:
        """The classes or labels in order, or what a number is called."""

    @property
    def doubtful_names(self) -> bool:
        """Whether the names are what people wrote in cells, where `Good` may mean `good`."""

    def encode(
        self, table: Table, indices: NDArray[np.int64], *, published: bool
    ) -> tuple[Labels, NDArray[np.bool_]]:
        """The labels of some rows, and which of the rows have none.

        Args:
            table: Of the training split or another, with the label columns.
            indices: (n,) positions in it.
            published: The table may be one without labels, as competitions publish for their test:
                then all rows have none, also where each cell holds a stand-in.

        Raises:
            DataError: A row has a label that training does not have, or none that can be read.
        """


@dataclass(frozen=True)
class OneClass:
    """Each text is of one class."""

    column: str
    classes: Classes
    task: TaskName = "single_label"

    @property
    def names(self) -> tuple[str, ...]:
        return self.classes.names

    @property
    def doubtful_names(self) -> bool:
        return self.classes.kind == "text"

    def encode(
        self, table: Table, indices: NDArray[np.int64], *, published: bool
    ) -> tuple[Labels, NDArray[np.bool_]]:
        """Classes, (n,) int64."""
        labels, spelled = self.classes.encode(table.values(self.column, indices))
        missing = np.array([name is None for name in spelled], dtype=np.bool_)
        unknown = (labels == NO_CLASS) & ~missing
        names = [spelled[index] for index in np.flatnonzero(unknown)]
        if published and unknown.all() and set(names) == {"-1"}:
            return labels, unknown
        if names:
            raise unknown_label(table, self.classes.names, str(names[0]), indices[unknown])
        return labels, missing


def find_labelling(
    section: DataSection, table: Table, columns: Sequence[str], indices: NDArray[np.int64]
) -> Labelling:
    """How the training split is labelled.

    Args:
        section: The study's, whose `task` says what the labels are to be taken for.
        table: The training split.
        columns: Its label columns, as it spells them.
        indices: (n,) positions of the rows with a text.

    Raises:
        DataError: The labels are not what the task needs.
        StudyFileError: A key of the section does nothing, or fits no such task.
    """
    task = _task(section, table, columns, indices)
    if task != "multi_label":
        if len(columns) > 1:
            raise StudyFileError(
                "data.label",
                found=f'{len(columns)} columns with data.task = "{task}"',
                expected="one column",
                hint="Name one, or leave data.task out.",
            )
        refuse_idle("data", section, "several labels in a cell of text", f"the task is {task}")
    if task == "regression":
        return find_numbers(table, columns[0], indices)
    if task == "single_label":
        values = table.values(columns[0], indices)
        return OneClass(columns[0], find_classes(table, columns[0], values, indices))
    if len(columns) > 1:
        why = f"there are {len(columns)} label columns"
        refuse_idle("data", section, "several labels in a cell of text", why)
        return find_label_columns(table, columns, indices)
    found = find_label_lists(table, columns[0], indices, section.label_delimiter)
    if not found.in_text:
        why = "the label column holds lists"
        refuse_idle("data", section, "several labels in a cell of text", why)
    return found


def _task(
    section: DataSection, table: Table, columns: Sequence[str], indices: NDArray[np.int64]
) -> TaskName:
    if section.task != "auto":
        return section.task
    if len(columns) > 1 or section.label_delimiter is not None:
        return "multi_label"
    filled = (value for value in table.values(columns[0], indices) if not is_missing(value))
    return "multi_label" if isinstance(next(filled, None), list | tuple) else "single_label"
