"""Training texts that are left out where a study asks for it: of unwanted lengths, or nearly copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hpo.data.labelled import Split
from hpo.data.table import shortened
from hpo.data.words import count_words
from hpo.errors import DataError, StudyFileError

if TYPE_CHECKING:
    from datasketch import MinHash

    from hpo.spec.cleaning import CleaningSection

_SHINGLE: Final = 5
_PERMUTATIONS: Final = 128
_MOST_SELECTIVE: Final = 0.95


def of_wanted_length(
    train: Split, section: CleaningSection, label_names: Sequence[str]
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """The training texts of as many words as a study wants, and warnings that count the others.

    To be asked of what is trained on alone: a model answers every text, and so is measured on every text.

    Returns:
        Their positions, (texts,); None: all of them.

    Raises:
        DataError: None of them, or of a class, is left.
    """
    if not section.bounds_lengths:
        return None, ()
    if section.max_words is not None and section.max_words < section.min_words:
        raise StudyFileError(
            "cleaning.max_words",
            found=f"{section.max_words}, below min_words = {section.min_words}",
            expected="min_words at or below max_words",
            hint="Swap the two.",
        )
    words = np.array([count_words(text) for text in train.texts], dtype=np.int64)
    short = np.flatnonzero(words < section.min_words)
    long: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    if section.max_words is not None:
        long = np.flatnonzero(words > section.max_words)
    warnings = (
        *_counted(train, short.tolist(), f"of fewer than {section.min_words} words"),
        *_counted(train, long.tolist(), f"of more than {section.max_words} words"),
    )
    kept = _others(train, [*short.tolist(), *long.tolist()])
    _check_classes(train, kept, label_names)
    return kept, warnings


def trained_on(
    train: Split,
    cleaning: CleaningSection,
    names: tuple[str, ...],
    limit: Callable[[Split], Split],
    *,
    in_folds: bool,
) -> tuple[Split, NDArray[np.int64] | None, tuple[str, ...]]:
    """The training split, which of its texts are trained on, and warnings.

    Folds are validated on texts of all lengths, which therefore stay in the split.

    Args:
        train: The split, cleaned.
        cleaning: Which lengths are wanted.
        names: Of the labels.
        limit: Samples what is to be no more than so many texts.
        in_folds: Whether it is divided into folds.

    Raises:
        DataError: No text of the wanted lengths, or of a class, is left.
    """
    whole = limit(train) if in_folds else train
    wanted, notes = of_wanted_length(whole, cleaning, names)
    if in_folds:
        return whole, wanted, notes
    return limit(whole if wanted is None else whole.take(wanted)), None, notes


def without_near_duplicates(
    train: Split, held_out: Mapping[str, Split], threshold: float
) -> tuple[Split, tuple[str, ...]]:
    """The training texts without those that are nearly a copy of an earlier one, or of a held-out text.

    Candidates come from MinHash and locality-sensitive hashing (Broder, 1997), which may miss a pair;
    each is held to the Jaccard index itself, so that no text is left out wrongly.

    Args:
        train: Whose first text of several alike stays.
        held_out: The validation and test split, as far as they are given, by role.
        threshold: The least Jaccard index of two texts' character 5-grams that counts, in 0.5..1.

    Raises:
        DataError: None is left.
    """
    from datasketch import MinHashLSH

    # More would leave a single band, in which one unlucky hash hides a pair.
    candidates_from = min(threshold, _MOST_SELECTIVE)
    found = MinHashLSH(threshold=candidates_from, num_perm=_PERMUTATIONS)
    texts: list[str] = []
    leaks: list[int] = []
    repeated: list[int] = []

    def enter(text: str, signature: MinHash) -> None:
        found.insert(str(len(texts)), signature)
        texts.append(text)

    for split in held_out.values():
        for text in split.texts:
            enter(text, _signature(shingles(text)))
    first_of_training = len(texts)
    for index, text in enumerate(train.texts):
        parts = shingles(text)
        signature = _signature(parts)
        alike = (
            int(key)
            for key in sorted(found.query(signature), key=int)
            if jaccard(parts, shingles(texts[int(key)])) >= threshold
        )
        first = next(alike, None)
        if first is None:
            enter(text, signature)
        else:
            (leaks if first < first_of_training else repeated).append(index)
    warnings = (
        *_counted(train, leaks, "nearly a validation or test text"),
        *_counted(train, repeated, "nearly an earlier training text"),
    )
    return train.take(_others(train, [*leaks, *repeated])), warnings


def shingles(text: str) -> Set[str]:
    """The character 5-grams of a text; a shorter one is its own."""
    return {text[at : at + _SHINGLE] for at in range(max(1, len(text) - _SHINGLE + 1))}


def jaccard(one: Set[str], other: Set[str]) -> float:
    """The share of what two sets have together in all that they have."""
    return len(one & other) / len(one | other)


def _signature(parts: Set[str]) -> MinHash:
    from datasketch import MinHash

    signature = MinHash(num_perm=_PERMUTATIONS)
    signature.update_batch([part.encode() for part in sorted(parts)])
    return signature


def _counted(train: Split, indices: list[int], what: str) -> tuple[str, ...]:
    if not indices:
        return ()
    rows = train.rows_named(np.array(indices, dtype=np.int64))
    verb = "is" if len(indices) == 1 else "are"
    return (
        f"{train.origin}: {len(indices):,} of {len(train):,} training texts {verb} {what} and "
        f"{verb} left out ({rows})",
    )


def _others(train: Split, indices: list[int]) -> NDArray[np.int64]:
    """The positions of all texts but these. Raises DataError where there are none."""
    kept = np.setdiff1d(np.arange(len(train)), indices)
    if not len(kept):
        raise _nothing_left(train, len(indices))
    return kept


def _check_classes(train: Split, kept: NDArray[np.int64], label_names: Sequence[str]) -> None:
    """Raise DataError where a class has no text left."""
    before, after = (split.counts(len(label_names)) for split in (train, train.take(kept)))
    lost = np.flatnonzero((before > 0) & (after == 0))
    if len(lost):
        name = shortened(label_names[lost[0]], 30)
        raise _nothing_left(train, len(train) - len(kept), f" of {name}")


def _nothing_left(train: Split, left_out: int, of_class: str = "") -> DataError:
    return DataError(
        train.origin,
        found=f"no training text{of_class} that [cleaning] leaves ({left_out:,} are left out)",
        expected="texts of every class",
        hint="Loosen min_words, max_words or near_duplicates.",
    )
