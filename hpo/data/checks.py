"""What is wrong with labelled texts: rows without text, texts in two splits, labels that clash.

Faults that training survives are put right here and told in a warning; the rest raise DataError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpo.data.column_guesses import LAY_OPEN
from hpo.data.labelled import Split
from hpo.data.table import Table, kind_of, shortened
from hpo.errors import DataError
from hpo.spec.numbers import counted

# What programs write where there is nothing.
_NULLS: Final = ("na", "n/a", "#n/a", "<na>", "nan", "none", "null", "nil")

_REMEDIES: Final[Mapping[type, str]] = {
    dict: LAY_OPEN[0].upper() + LAY_OPEN[1:],
    list: "Join the parts of each list to one text",
}


def usable_texts(table: Table, column: str) -> tuple[list[str], NDArray[np.int64], tuple[str, ...]]:
    """The texts of a table that are not blank, their (n,) positions in it, and warnings.

    Raises:
        DataError: A cell is no text, or most of the texts are empty.
    """
    texts: list[str] = []
    kept: list[int] = []
    empty: list[int] = []
    for index, value in enumerate(table.column(column)):
        if value is None or (isinstance(value, float) and np.isnan(value)):
            empty.append(index)
        elif not isinstance(value, str):
            raise DataError(
                table.where(index),
                found=f"{kind_of(value)} in the text column {shortened(column)}",
                expected="text",
                hint=f"{_REMEDIES.get(type(value), 'Correct the row')}, or name another column with "
                "--text-column.",
            )
        elif not value.strip():
            empty.append(index)
        else:
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise DataError(
                    table.where(index),
                    found="text with half of a surrogate pair",
                    expected="valid Unicode",
                    hint="Correct that row.",
                ) from error
            texts.append(value)
            kept.append(index)
    warnings = left_out(table, empty, "text", column)
    return texts, np.array(kept, dtype=np.int64), warnings


def left_out(
    table: Table, indices: Sequence[int] | NDArray[np.int64], what: str, *columns: str
) -> tuple[str, ...]:
    """The warning for rows that lack a text or a label.

    Raises:
        DataError: Most rows do.
    """
    if not len(indices):
        return ()
    count = f"{len(indices):,} of {len(table):,} rows"
    if 2 * len(indices) > len(table):
        word = "column" if len(columns) == 1 else "columns"
        named = ", ".join(shortened(column) for column in columns[:3]) + ", …" * (len(columns) > 3)
        raise DataError(
            f"{table.place}, {table.rows_named(indices)}",
            found=f"no {what} in {count} ({word} {named})",
            expected=f"a {what} in most rows",
            hint=f"Fill the column, or name another with --{what}-column.",
        )
    verb = "has" if len(indices) == 1 else "have"
    return (
        f"{table.place}: {count} {verb} no {what} and {_are(indices)} left out"
        f" ({table.rows_named(indices)})",
    )


def without_texts_of(
    split: Split, other: Split, *, role: str, other_role: str
) -> tuple[Split, tuple[str, ...]]:
    """The split without the texts that are in the other one too, and a warning that counts them."""
    texts = set(other.texts)
    copied = np.array([text in texts for text in split.texts], dtype=np.bool_)
    indices = np.flatnonzero(copied)
    if not len(indices):
        return split, ()
    if len(indices) == len(split):
        raise DataError(
            split.origin,
            found=f"nothing but texts that are also in the {other_role} split ({other.origin})",
            expected=f"a {role} split of other texts",
            hint="Split the data anew, without copies.",
        )
    warning = (
        f"{split.origin}: {_texts(indices)} also in the {other_role} split"
        f" and {_are(indices)} left out of the {role} split ({split.rows_named(indices)})"
    )
    return split.take(np.flatnonzero(~copied)), (warning,)


def texts_with_several_labels(split: Split) -> set[str]:
    """The texts that occur more than once, and not always with the same label."""
    first: dict[str, object] = {}
    return {
        text
        for text, label in zip(split.texts, split.labels.tolist(), strict=True)
        if first.setdefault(text, label) != label
    }


def clashing_labels(split: Split) -> tuple[str, ...]:
    """A warning that counts the training texts with more than one label, which are kept."""
    clashing = texts_with_several_labels(split)
    if not clashing:
        return ()
    indices = np.array(
        [i for i, text in enumerate(split.texts) if text in clashing], dtype=np.int64
    )
    count = counted(len(clashing), "text")
    occur = "occurs" if len(clashing) == 1 else "occur"
    return (
        f"{split.origin}: {count} {occur} with different labels in the training split"
        f" ({split.rows_named(indices)})",
    )


def doubtful_classes(split: Split, label_names: Sequence[str]) -> tuple[str, ...]:
    """Warnings for classes that may be one, or none: `Good` and `good`, `NA`."""
    spellings: dict[str, list[int]] = {}
    for number, name in enumerate(label_names):
        spellings.setdefault(" ".join(name.split()).casefold(), []).append(number)
    alike = [number for numbers in spellings.values() if len(numbers) > 1 for number in numbers]
    empty = [number for word, numbers in spellings.items() if word in _NULLS for number in numbers]
    warnings = []
    for numbers, fault in (
        (alike, "differ from others in nothing but case and spaces"),
        (empty, "look like empty cells"),
    ):
        if numbers:
            names = [label_names[number] for number in numbers]
            rows = split.having(numbers)
            warnings.append(
                f"{split.origin}: {_listed(names)}, {len(rows):,} rows, {fault}"
                f" but are classes of their own ({split.rows_named(rows)})"
            )
    return tuple(warnings)


def check_classes(
    train: Split, held_out: Mapping[str, Split], label_names: Sequence[str]
) -> tuple[str, ...]:
    """Warnings for classes that a held-out split lacks.

    Raises:
        DataError: Training does.
    """
    absent = _absent(train, label_names)
    if absent:
        raise DataError(
            train.origin,
            found=f"no training rows of {_listed(absent)} but copies of validation or test rows",
            expected="each class in the training split, with texts of its own",
            hint="Split the data anew, without copies.",
        )
    return tuple(
        f"{split.origin}: the {role} split has no rows of {_listed(absent)}"
        for role, split in held_out.items()
        if (absent := _absent(split, label_names))
    )


def _absent(split: Split, label_names: Sequence[str]) -> list[str]:
    counts = split.counts(len(label_names))
    return [name for name, count in zip(label_names, counts, strict=True) if not count]


def _listed(names: Sequence[str], most: int = 5) -> str:
    word = "class" if len(names) == 1 else "classes"
    listed = ", ".join(shortened(name, 30) for name in names[:most])
    return f"{word} {listed}" + f" and {len(names) - most} more" * (len(names) > most)


def _are(indices: Sequence[int] | NDArray[np.int64]) -> str:
    return "is" if len(indices) == 1 else "are"


def _texts(indices: NDArray[np.int64]) -> str:
    return f"{counted(len(indices), 'text')} {_are(indices)}"
