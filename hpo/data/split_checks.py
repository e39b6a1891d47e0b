"""Whether splits could be split off the training split as asked, and the classes that stand in the way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.data.labelled import Split
from hpo.data.splits import SMALLEST_DIVIDED_CLASS, SplitOff
from hpo.data.table import shortened
from hpo.errors import DataError
from hpo.spec.numbers import counted

_MOST_NAMED = 5


def check_split_off(
    train: Split, separated: SplitOff, roles: Collection[str], label_names: Sequence[str]
) -> None:
    """Check that each part has texts, of two classes where there are several.

    Args:
        train: The split that was divided.
        separated: Its parts.
        roles: Theirs.
        label_names: Of its labels.

    Raises:
        DataError: Naming the classes that are too small, else counting the texts.
    """
    several = train.labels.ndim == 1 and len(label_names) > 1
    wanted = f"to split off a {' and a '.join(roles)} split"
    if several and len(label_names) - len(separated.kept_whole) < 2:
        small = [_size_of(train, number, label_names) for number in separated.kept_whole]
        more = f" and {len(small) - _MOST_NAMED} more" * (len(small) > _MOST_NAMED)
        raise DataError(
            train.origin,
            found=f"{', '.join(small[:_MOST_NAMED])}{more}, too few {wanted}",
            expected=f"{SMALLEST_DIVIDED_CLASS} or more different texts of each of at least two classes",
            hint=f"Add rows of {'it' if len(small) == 1 else 'these'}, or add files for the other splits.",
        )
    if not all(map(len, separated.parts)):
        texts = len(set(train.texts))
        raise DataError(
            train.origin,
            found=f"too few different texts ({texts:,} in {counted(len(train), 'row')}) {wanted}",
            expected="enough for each split to have some of them",
            hint="Add rows with other texts, or add files for the other splits.",
        )


def _size_of(train: Split, number: int, label_names: Sequence[str]) -> str:
    """A class with its rows and, where these are more than its texts, what they come to."""
    rows = train.having([number])
    texts = {train.texts[row] for row in rows}
    words = f"class {shortened(label_names[number], 30)} with {counted(len(rows), 'row')}"
    if len(texts) >= SMALLEST_DIVIDED_CLASS:
        return f"{words} whose texts have other classes too"
    return words + f" of {counted(len(texts), 'text')}" * (len(texts) < len(rows))


def not_split_as_asked(
    train: Split, separated: SplitOff, fractions: Mapping[str, float], label_names: Sequence[str]
) -> tuple[str, ...]:
    """Warnings that count the classes which were too small to be split off as asked.

    There are none for numbers, nor for labels of which a text may have several: theirs are only
    about as asked.

    Args:
        train: The split that was divided.
        fractions: Of it, by the role of the part.
    """
    if train.labels.dtype.kind == "f":
        return ()
    sizes = np.bincount(train.labels, minlength=len(label_names))
    whole = list(separated.kept_whole)
    parts = [
        np.bincount(train.labels[part], minlength=len(label_names)) for part in separated.parts
    ]
    asked = [sizes * fraction for fraction in fractions.values()]
    fewer = _numbers(
        (part < np.floor(np.round(due, 9))) for part, due in zip(parts, asked, strict=True)
    )
    more = _numbers((part > due + 0.5) for part, due in zip(parts, asked, strict=True))
    asked_words = " and ".join(f"{share:.0%} for {role}" for role, share in fractions.items())
    warnings = []
    for numbers, fault in (
        (whole, "with fewer than three different texts stay in the training split alone"),
        (
            fewer,
            f"that have fewer texts split off than asked ({asked_words}), for copies stay together",
        ),
        (more, f"that are so small that one text of each is more than was asked ({asked_words})"),
    ):
        named = [number for number in numbers if numbers is whole or number not in whole]
        if named:
            names = ", ".join(shortened(label_names[number], 30) for number in named[:5])
            rows = train.rows_named(np.flatnonzero(np.isin(train.labels, named)))
            warnings.append(
                f"{train.origin}: classes {fault}:"
                f" {len(named)} of {len(label_names)}"
                f" ({names}{', …' * (len(named) > 5)}; {rows})"
            )
    return tuple(warnings)


def _numbers(faults: Iterable[NDArray[np.bool_]]) -> list[int]:
    """The classes that are at fault in any of the parts."""
    numbers: list[int] = np.flatnonzero(np.logical_or.reduce(list(faults))).tolist()
    return numbers
