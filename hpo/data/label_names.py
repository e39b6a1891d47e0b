"""Names that a study gives to the values in its label column: `data.label_names`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from hpo.data.labels import WHOLE_NUMBER, is_missing
from hpo.data.source_tables import SourceTables
from hpo.data.table import Table, shortened
from hpo.errors import DataError
from hpo.spec.effects import refuse_idle
from hpo.spec.study import DataSection

_Names: TypeAlias = Mapping[str, str]


def with_label_names(
    source: SourceTables, columns: Sequence[str], section: DataSection
) -> SourceTables:
    """The tables with the names in place of the values, if the study gives any.

    Raises:
        DataError: A value has no name, or the first number of a list is in doubt.
        StudyFileError: The labels are no values that could have names.
    """
    if section.label_names is None:
        return source
    if section.task == "regression":
        refuse_idle("data", section, "data with classes", "the task is regression")
    if len(columns) > 1:
        refuse_idle("data", section, "data with classes", "the label columns are named already")
    column = columns[0]
    if isinstance(section.label_names, dict):
        names: _Names = {_written(value): name for value, name in section.label_names.items()}
    else:
        names = _numbered(source.train, column, section)
    return source.changed(lambda table: _named(table, column, names, section.label_delimiter))


def _numbered(table: Table, column: str, section: DataSection) -> _Names:
    """The names by number, from 0 where there is a 0, or from 1 where there are as many numbers."""
    assert isinstance(section.label_names, list), "a table names its values itself"
    names, found = section.label_names, set[str]()
    for cell in table.column(column):
        found |= {_written(value) for value in _parts(cell, section.label_delimiter)}
    first = 0 if "0" in found else 1
    if first == 1 and str(len(names)) not in found:
        raise DataError(
            table.place,
            found=f"neither 0 nor {len(names)} in the label column {shortened(column)}",
            expected=f"whole numbers with {len(names)} names, from 0 or from 1",
            hint='Write data.label_names as a table: { "1" = "bad", "2" = "good" }.',
        )
    return {str(number): name for number, name in enumerate(names, start=first)}


def _named(table: Table, column: str, names: _Names, delimiter: str | None) -> Table:
    if column not in table.names:
        return table
    read = table.column

    def named(index: int, value: object) -> str:
        name = names.get(_written(value))
        if name is None:
            raise DataError(
                table.where(index),
                found=f"{shortened(_written(value))} in the label column {shortened(column)}",
                expected=f"a value that data.label_names names ({_listed(names)})",
                hint="Add its name.",
            )
        return name

    def cells(name: str) -> list[object]:
        values = read(name)
        if name != column:
            return values
        return [_cell(index, cell, delimiter, named) for index, cell in enumerate(values)]

    in_order = tuple(dict.fromkeys(names.values()))
    return replace(table, column=cells, class_names={**table.class_names, column: in_order})


def _cell(
    index: int, cell: object, delimiter: str | None, named: Callable[[int, object], str]
) -> object:
    if is_missing(cell):
        return None
    parts = [named(index, value) for value in _parts(cell, delimiter)]
    if isinstance(cell, list | tuple):
        return parts
    return parts[0] if delimiter is None else delimiter.join(parts)


def _parts(cell: object, delimiter: str | None) -> Sequence[object]:
    """The labels in a cell: several in a list, or in text with a delimiter."""
    if isinstance(cell, list | tuple):
        return cell
    if is_missing(cell):
        return ()
    return cell.split(delimiter) if isinstance(cell, str) and delimiter else (cell,)


def _written(value: object) -> str:
    """A value as a table of names writes it: 1.0 as `1`, in text too."""
    text = str(value).strip()
    whole = WHOLE_NUMBER.fullmatch(text)
    return str(int(whole[1])) if whole else text


def _listed(names: _Names) -> str:
    known = [*names]
    return ", ".join(shortened(name, 30) for name in known[:8]) + ", …" * (len(known) > 8)
