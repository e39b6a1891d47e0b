"""Which column holds the texts and which the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hpo.data.table import Table, shortened
from hpo.errors import DataError, nearest_name

# In order of preference: a table with both `review` and `title` is about its reviews.
TEXT_NAMES: Final = (
    *(
        "text",
        "texts",
        "sentence",
        "review",
        "content",
        "utterance",
        "question",
        "query",
        "comment",
    ),
    *(
        "tweet",
        "message",
        "document",
        "article",
        "body",
        "description",
        "headline",
        "title",
        "input",
    ),
)
LABEL_NAMES: Final = (
    *("label", "labels", "class", "category", "sentiment", "target", "intent", "topic", "emotion"),
    *("polarity", "coarse_label", "label_coarse", "label-coarse", "rating", "stars", "score", "y"),
)

_MOST_LISTED: Final = 12


def find_columns(table: Table, text: str | None, label: str | None) -> tuple[str, str]:
    """The names of the text and label column of a table; text, label: as the user named them, if at
    all.

    Raises DataError listing the columns that there are, with the nearest name.
    """
    text_column = _column(table, "text", "--text-column", text, TEXT_NAMES)
    label_column = _column(table, "label", "--label-column", label, LABEL_NAMES)
    if text_column == label_column:
        raise DataError(
            table.place,
            found=f"the column {shortened(text_column)} for both texts and labels",
            expected="two columns",
            mend="Name the other with --text-column or --label-column.",
        )
    return text_column, label_column


def _column(table: Table, role: str, option: str, named: str | None, usual: Sequence[str]) -> str:
    by_folded_name: dict[str, str] = {}
    for name in table.names:
        by_folded_name.setdefault(name.strip().casefold(), name)
    if named is not None:
        if named in table.names:
            return named
        if named.strip().casefold() in by_folded_name:
            return by_folded_name[named.strip().casefold()]
        near = nearest_name(named.casefold(), by_folded_name)
        raise DataError(
            table.place,
            found=f"no column {shortened(named)}, but {listed_columns(table)}",
            expected="a column of this table",
            mend=_mend(option, by_folded_name[near] if near else None),
        )
    for name in usual:
        if name in by_folded_name:
            return by_folded_name[name]
    others = [name for name in by_folded_name if name not in (*TEXT_NAMES, *LABEL_NAMES)]
    near = next((near for name in usual if (near := nearest_name(name, others))), None)
    raise DataError(
        table.place,
        found=listed_columns(table),
        expected=f"a {role} column ({', '.join(usual[:6])}, …)",
        mend=_mend(option, by_folded_name[near] if near else None),
    )


def listed_columns(table: Table) -> str:
    """The columns of a table in words, the first dozen of them."""
    names = [shortened(name, 30) for name in table.names[:_MOST_LISTED]]
    more = len(table.names) - len(names)
    return f"the column{'s' * (len(table.names) != 1)} {', '.join(names)}" + f" and {more} more" * (
        more > 0
    )


def _mend(option: str, near: str | None) -> str:
    return f"Perhaps {option} {near}?" if near else f"Name it with {option}."
