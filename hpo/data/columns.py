"""Which column holds the texts and which the labels."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal

from hpo.data.column_guesses import LAY_OPEN, guessed_label, guessed_text, is_nested, may_hold
from hpo.data.headers import first_row_as_header, without_header
from hpo.data.table import Table, check_repeated, shortened
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

Role = Literal["text", "label"]
_USUAL: Final[Mapping[Role, Sequence[str]]] = {"text": TEXT_NAMES, "label": LABEL_NAMES}
_MOST_LISTED: Final = 12


def find_columns(
    table: Table, text: str | None, label: str | Sequence[str] | None
) -> tuple[str, tuple[str, ...]]:
    """The names of a table's text and label columns.

    Args:
        text: As the user named it, or None.
        label: As the user named it or them, or None.

    Raises:
        DataError: Listing the columns that there are, with the nearest name.
    """
    named = (label,) if label is None or isinstance(label, str) else label
    text_column = named_column(table, "text", text, other=named[0])
    label_columns = tuple(named_column(table, "label", name, other=text_column) for name in named)
    check_repeated("data.label", label_columns)
    if text_column in label_columns:
        raise DataError(
            table.place,
            found=f"the column {shortened(text_column)} for both texts and labels",
            expected="two columns",
            hint="Name the other with --text-column or --label-column.",
        )
    return text_column, label_columns


def named_column(table: Table, role: Role, named: str | None, other: str | None = None) -> str:
    """The table's own spelling of a column's name, or the column that is usual where none is named.

    Args:
        table: With the column or without.
        role: What it holds.
        named: As the user named it, or None.
        other: The column of the other role, where that is known.

    Raises:
        DataError: Listing the columns that there are, with the nearest name.
    """
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
            hint=_mend(table, role, named, by_folded_name[near] if near else None, other),
        )
    usual = _usual_column(table, role)
    if usual is not None:
        return usual
    raise DataError(
        table.place,
        found=listed_columns(table),
        expected=f"a {role} column ({', '.join(_USUAL[role][:6])}, …)",
        hint=_proposal(table, role, other),
    )


def _usual_column(table: Table, role: Role) -> str | None:
    folded = {name.strip().casefold(): name for name in reversed(table.names)}
    return next((folded[name] for name in _USUAL[role] if name in folded), None)


def _proposal(table: Table, role: Role, other: str | None) -> str:
    """The options that name the columns which have no usual names, where these can be told."""
    unnamed = _without_names(table)
    if unnamed:
        return unnamed
    if role == "label":
        options = {"label": _likely_column(table, "label", other)}
    else:
        options = {"text": _likely_column(table, "text", other)}
        if other is None and _usual_column(table, "label") is None:
            # It would be asked for next.
            options["label"] = _likely_column(table, "label", options["text"])
    line = " ".join(
        f"--{each}-column {shlex.quote(name)}" for each, name in options.items() if name
    )
    if options[role]:
        return f"Perhaps `{line}`?"
    return _laid_open(table, table.names) or f"Name it with --{role}-column."


def _likely_column(table: Table, role: Role, other: str | None) -> str | None:
    """The column that may hold texts or labels, by its name or else by what stands in it."""
    folded = {name.strip().casefold(): name for name in reversed(table.names) if name != other}
    usual = next((folded[name] for name in _USUAL[role] if name in folded), None)
    near = None if usual else _likely(folded, role)
    named = folded[near] if near else usual
    if named is not None and may_hold(table, named, role):
        return named
    guessed = guessed_text(table) if role == "text" else guessed_label(table, other)
    return guessed or (named if named is not None and not is_nested(table, named, role) else None)


def _laid_open(table: Table, names: Sequence[str]) -> str | None:
    """What makes columns of the objects in these columns; None where there are none."""
    nested = next((name for name in names if is_nested(table, name, "label")), None)
    return None if nested is None else f"If it is inside {shortened(nested)}, {LAY_OPEN}."


def _likely(names: Collection[str], role: Role) -> str | None:
    """The column that may be meant: `review text` for texts, but never `sentiment label`."""
    telling = {name: _telling_word(name) for name in names}
    usual = _USUAL[role]
    by_word = [name for name, word in telling.items() if word in usual]
    if by_word:
        return min(by_word, key=lambda name: usual.index(telling[name] or ""))
    silent = [name for name, word in telling.items() if word is None]
    return next((near for name in usual if (near := nearest_name(name, silent))), None)


def _telling_word(name: str) -> str | None:
    """The last word of a column's name that says what it holds: in English, its head."""
    words = [word for word in re.split(r"[\W_]+", name) if word in (*TEXT_NAMES, *LABEL_NAMES)]
    return words[-1] if words else None


def listed_columns(table: Table) -> str:
    """The columns of a table in words, the first dozen of them."""
    names = [shortened(name, 30) for name in table.names[:_MOST_LISTED]]
    more = len(table.names) - len(names)
    return f"the column{'s' * (len(table.names) != 1)} {', '.join(names)}" + f" and {more} more" * (
        more > 0
    )


def _mend(table: Table, role: Role, named: str, near: str | None, other: str | None) -> str:
    """What to do about a column that the user named and that there is not."""
    unnamed = _without_names(table)
    if unnamed:
        return unnamed
    outer = [name for name in table.names if re.match(rf"{re.escape(name)}[.\[/]", named)]
    if laid_open := _laid_open(table, outer):
        return laid_open
    if near and not is_nested(table, near, role):
        return f"Perhaps `--{role}-column {shlex.quote(near)}`?"
    return _proposal(table, role, other)


def _without_names(table: Table) -> str | None:
    """How to read a table whose columns have no names; None where they have some."""
    if first_row_as_header(table):
        return (
            f"The first {table.row_noun} looks like data; if it is, add `{without_header(table)}`."
        )
    if table.is_numbered and len(table.names) > 1:
        return f"Perhaps `{without_header(table)}`?"
    return None
