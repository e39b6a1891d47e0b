"""Training texts that are left out where a study asks for it: of unwanted lengths, or nearly copies."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hpo.data.labelled import Split
from hpo.errors import DataError, StudyFileError

if TYPE_CHECKING:
    from datasketch import MinHash

    from hpo.spec.cleaning import CleaningSection

_SHINGLE: Final = 5
_PERMUTATIONS: Final = 128
_MOST_SELECTIVE: Final = 0.95


def filtered(
    train: Split, held_out: Mapping[str, Split], section: CleaningSection
) -> tuple[Split, tuple[str, ...]]:
    """The training texts that a study wants, and warnings that count the others.

    What is measured on stays as it is.

    Raises:
        DataError: None is left.
    """
    train, warnings = _of_wanted_length(train, section)
    if section.near_duplicates is not None:
        train, notes = without_near_duplicates(train, held_out, section.near_duplicates)
        warnings += notes
    return train, warnings


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
    return _without(train, [*leaks, *repeated], "texts that are no copies of others"), warnings


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


def _of_wanted_length(train: Split, section: CleaningSection) -> tuple[Split, tuple[str, ...]]:
    if not section.min_words and section.max_words is None:
        return train, ()
    if section.max_words is not None and section.max_words < section.min_words:
        raise StudyFileError(
            "cleaning.max_words",
            found=f"{section.max_words}, below min_words = {section.min_words}",
            expected="min_words at or below max_words",
            hint="Swap the two.",
        )
    words = np.array([len(text.split()) for text in train.texts], dtype=np.int64)
    short = np.flatnonzero(words < section.min_words)
    long: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    if section.max_words is not None:
        long = np.flatnonzero(words > section.max_words)
    warnings = (
        *_counted(train, short.tolist(), f"of fewer than {section.min_words} words"),
        *_counted(train, long.tolist(), f"of more than {section.max_words} words"),
    )
    return _without(
        train, [*short.tolist(), *long.tolist()], "texts of the wanted length"
    ), warnings


def _counted(train: Split, indices: list[int], what: str) -> tuple[str, ...]:
    if not indices:
        return ()
    rows = train.rows_named(np.array(indices, dtype=np.int64))
    verb = "is" if len(indices) == 1 else "are"
    return (
        f"{train.origin}: {len(indices):,} of {len(train):,} training texts {verb} {what} and "
        f"{verb} left out ({rows})",
    )


def _without(train: Split, indices: list[int], expected: str) -> Split:
    if not indices:
        return train
    if len(set(indices)) == len(train):
        raise DataError(
            train.origin,
            found=f"no training text that [cleaning] leaves ({len(train):,} are left out)",
            expected=expected,
            hint="Loosen min_words, max_words or near_duplicates.",
        )
    kept = np.ones(len(train), dtype=np.bool_)
    kept[indices] = False
    return train.take(np.flatnonzero(kept))
