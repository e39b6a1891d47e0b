"""What a study says of how its files are written, where that is not found out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hpo.spec.effects import refuse_idle
from hpo.spec.study import DataSection

OF_DATASETS: Final = "the datasets library's format"
# These state their encoding and the names of their columns.
_BINARY_FORMATS: Final = ("parquet", "arrow", "feather", OF_DATASETS)
_WITH_HEADERS: Final = ("csv", "tsv", "xlsx")


@dataclass(frozen=True)
class ReadOptions:
    """How files are written.

    Attributes:
        encoding: Of text files, as Python names it; None: found out.
        header: Whether the first line names the columns; without it they are called 1, 2, ….
    """

    encoding: str | None = None
    header: bool = True


AS_USUAL: Final = ReadOptions()
"""A first line with the columns' names, in an encoding that is found out."""


def read_options(section: DataSection) -> ReadOptions:
    """What a study says of its files."""
    return ReadOptions(section.encoding, section.header)


def refuse_unread_options(section: DataSection, formats: Iterable[str | None]) -> None:
    """Raise StudyFileError where a key says how files are written that are not written so."""
    named = {name for name in formats if name}
    if named and named <= {*_BINARY_FORMATS, "xlsx"}:
        why = f"{section.source} is {' and '.join(sorted(named))}, which says it itself"
        refuse_idle("data", section, "text files", why)
    if named and named.isdisjoint(_WITH_HEADERS):
        why = f"{section.source} is {' and '.join(sorted(named))}, which names its columns"
        refuse_idle("data", section, "tables of lines or cells", why)
