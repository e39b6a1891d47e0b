"""What a study's texts are like, in numbers: rows, empty ones, copies, texts in two splits, lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpo.data.checks import texts_with_several_labels
from hpo.data.dataset import TextTables
from hpo.data.labelled import LabelledData
from hpo.data.labels import is_missing
from hpo.data.table import Table

_SEED: Final = 0
_QUANTILES: Final = {"shortest": 0.0, "median": 0.5, "percentile_95": 0.95, "longest": 1.0}


@dataclass(frozen=True)
class FileFacts:
    """One table of a source.

    Attributes:
        place: A file, a folder, or a split of a data set.
        written: How, in words; empty where it is no file.
        empty: Rows without a text.
    """

    place: str
    written: str
    rows: int
    empty: int


@dataclass(frozen=True)
class TextFacts:
    """What the texts of the splits are like.

    Attributes:
        shared: Texts of the first of two splits that are in the second too, by `train, test`; they
            are left out of the first.
        copies: Texts of each split that an earlier one of the same split is equal to.
        clashing: Different training texts that have more than one label.
    """

    shared: Mapping[str, int]
    copies: Mapping[str, int]
    clashing: int


def file_facts(tables: TextTables) -> dict[str, FileFacts]:
    """The tables of a source, by split."""
    return {
        role: FileFacts(
            table.place,
            table.written,
            len(table),
            sum(is_missing(text) for text in _texts(table, tables.text)),
        )
        for role, table in _by_role(tables).items()
    }


def text_facts(tables: TextTables, data: LabelledData) -> TextFacts:
    """What the texts of the splits are like, before and after those that are in two are left out."""
    given = {
        role: [text for text in _texts(table, tables.text) if not is_missing(text)]
        for role, table in _by_role(tables).items()
        if role not in data.split_off
    }
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    return TextFacts(
        shared={
            f"{one}, {other}": count
            for one, other in combinations(given, 2)
            if (count := _shared(given[one], given[other]))
        },
        copies={
            role: len(split) - len(set(split.texts)) for role, split in splits.items() if len(split)
        },
        clashing=len(texts_with_several_labels(data.train)),
    )


def sampled(texts: Sequence[str], most: int) -> list[str]:
    """As many of the texts as are wanted, the same ones each time, in their order."""
    if len(texts) <= most:
        return list(texts)
    chosen = np.random.default_rng(_SEED).choice(len(texts), most, replace=False)
    return [texts[index] for index in np.sort(chosen)]


def quantiles(lengths: Sequence[int] | NDArray[np.int64]) -> dict[str, int]:
    """The shortest, the median, what 95 % of the lengths are no more than, and the longest."""
    found = np.quantile(lengths, list(_QUANTILES.values()), method="inverted_cdf")
    return dict(zip(_QUANTILES, map(int, found), strict=True))


def _shared(texts: Sequence[object], others: Sequence[object]) -> int:
    """How many of the texts are among others."""
    known = set(others)
    return sum(text in known for text in texts)


def _by_role(tables: TextTables) -> dict[str, Table]:
    source = tables.source
    splits = {"train": source.train, "validation": source.validation, "test": source.test}
    return {role: table for role, table in splits.items() if table is not None}


def _texts(table: Table, column: str) -> list[object]:
    return table.column(column) if column in table.names else []
