"""Records of csv as the csv module reads them, strictly: one whose quotes are at fault is told, and reading goes on."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from hpo.errors import DataError

_MOST_LINES: Final = 100_000  # of one record; what goes on for longer was never meant to


@dataclass(frozen=True)
class Dialect:
    """How fields are written."""

    delimiter: str
    quotes: bool = True
    backslash: bool = False  # before a quotation mark inside a field, as Spark writes it


@dataclass(frozen=True)
class Record:
    """What stands on a line, or on several where a field in quotes holds line breaks.

    Attributes:
        line: On which it begins, from 1.
        fields: Of a record whose quotes are at fault those of its first line, quotation marks and all.
        fault: Of its quotes, in words.
    """

    line: int
    fields: list[str]
    fault: str | None = None


def records(lines: Iterable[str], dialect: Dialect) -> Iterator[Record]:
    """What some lines hold, without those that are empty.

    A quotation mark that opens a field and does not close it well spoils its own line alone: reading
    goes on with the line after it.
    """
    rest, line = iter(lines), 1
    again: deque[str] = deque()
    taken: list[str] = []

    def each() -> Iterator[str]:
        while len(taken) < _MOST_LINES:
            following = again.popleft() if again else next(rest, None)
            if following is None:
                return
            taken.append(following)
            yield following

    while True:
        taken.clear()
        try:
            for fields in _reader(each(), dialect):
                if fields:
                    yield Record(line, fields)
                line += len(taken)
                taken.clear()
            return
        except csv.Error as error:
            bare = next(_reader(taken[:1], replace(dialect, quotes=False, backslash=False)))
            yield Record(line, bare, _in_words(error))
            line += 1
            again.extendleft(reversed(taken[1:]))


def _reader(lines: Iterable[str], dialect: Dialect) -> Iterator[list[str]]:
    return csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quoting=csv.QUOTE_MINIMAL if dialect.quotes else csv.QUOTE_NONE,
        doublequote=not dialect.backslash,
        escapechar="\\" if dialect.backslash else None,
        strict=True,
    )


def _in_words(error: csv.Error) -> str:
    if "end of data" in str(error):
        return "a quotation mark that is never closed"
    return f"a fault in its quotes ({error})"


def refused(place: str, fault: Record) -> DataError:
    """What is to be raised for a record whose quotes are at fault.

    Args:
        place: What messages call the table.
        fault: That record.
    """
    return DataError(
        f"{place}, line {fault.line}",
        found=str(fault.fault),
        expected='fields in quotes, with "" for a quotation mark inside one',
        hint="Correct that line, or write the file with a csv library.",
    )


@contextmanager
def unlimited_fields() -> Iterator[None]:
    """Lift the csv module's limit of 128 KiB a field, one for the whole process, for a while."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)
