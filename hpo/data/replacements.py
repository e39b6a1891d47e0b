"""What words are replaced by: a table that somebody gives, or what the texts themselves show to be alike.

Words are alike where they stand between like neighbours: a word's vector holds how much more often than
by chance each frequent word stands to its left and to its right (positive pointwise mutual information;
Bullinaria and Levy, 2007). "Good" and "bad" stand between like neighbours too, so that a word is replaced
only by those that are found in the same classes about as often.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpo.data.augmentation import Replacements
from hpo.data.words import words_of

_MOST_WORDS = 2_000_000  # that are read: seconds
_VOCABULARY = 5_000
_NEIGHBOURS = 1_000
_LEAST_OFTEN = 3
_ALTERNATIVES = 5
_LEAST_ALIKE = 0.3
_CONSIDERED = 50  # of which those are taken that are of the same classes
_MOST_APART = 0.2  # in the share of a class
_PRIOR = 2.0  # occurrences that a word is taken to have besides, in the classes of all words
# Vectors of whole numbers of this length have products below 2^24, which float32 adds up exactly in
# any order: the words are the same on every machine.
_LENGTH: Final = 2_048
_AT_ONCE = 512


def learnt_replacements(texts: Sequence[str], classes: NDArray[np.float64]) -> Replacements:
    """For each frequent word those that are most alike, from some texts and whatever their order.

    Args:
        texts: Of which those are read that stand first in the order of their digests, if they are many.
        classes: How much each text is of each class, (texts, classes).
    """
    read = _chosen(texts)
    words = [_lower_words(texts[at]) for at in read]
    often = Counter(word for each in words for word in each)
    vocabulary = sorted(
        (word for word, count in often.items() if count >= _LEAST_OFTEN and not word.isdigit()),
        key=lambda word: (-often[word], word),
    )[:_VOCABULARY]
    if len(vocabulary) < 2:
        return Replacements()
    ids, text_of = _numbered(words, vocabulary)
    vectors = _vectors(ids, len(vocabulary))
    return _nearest(vocabulary, vectors, _shares(ids, classes[read][text_of], len(vocabulary)))


def _chosen(texts: Sequence[str]) -> list[int]:
    """Places of the texts that are read."""

    def digest(at: int) -> bytes:
        return hashlib.blake2b(texts[at].encode("utf-8", "surrogatepass"), digest_size=16).digest()

    order = sorted(range(len(texts)), key=digest)
    read, seen = [], 0
    for at in order:
        if seen > 6 * _MOST_WORDS:  # letters, of which a word has about six
            break
        read.append(at)
        seen += len(texts[at])
    return read


def _lower_words(text: str) -> list[str]:
    return [word.lower() for word in words_of(text).words]


def _numbered(
    words: Sequence[Sequence[str]], vocabulary: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The words of all texts as places in the vocabulary, and the text of each.

    Its length stands for every other word, and for the end of a text.
    """
    number = {word: at for at, word in enumerate(vocabulary)}
    other = len(vocabulary)
    ids = [at for each in words for at in (*(number.get(word, other) for word in each), other)]
    text_of = np.repeat(np.arange(len(words)), [len(each) + 1 for each in words])
    return np.array(ids, dtype=np.int64), text_of


def _vectors(ids: NDArray[np.int64], vocabulary: int) -> NDArray[np.float32]:
    """The vector of each word, (words, features), in whole numbers."""
    neighbours = min(_NEIGHBOURS, vocabulary)
    before, after = ids[:-1], ids[1:]
    sides = (
        _pairs(after, before, vocabulary, neighbours),
        _pairs(before, after, vocabulary, neighbours),
    )
    vectors = np.concatenate([_unit(_ppmi(counts)) for counts in sides], axis=1)
    return np.rint(_unit(vectors) * _LENGTH).astype(np.float32)


def _pairs(
    words: NDArray[np.int64], beside: NDArray[np.int64], vocabulary: int, neighbours: int
) -> NDArray[np.float64]:
    """How often each word stands beside each of the most frequent ones, (vocabulary, neighbours)."""
    counted = (words < vocabulary) & (beside < neighbours)
    pairs = words[counted] * neighbours + beside[counted]
    counts = np.bincount(pairs, minlength=vocabulary * neighbours)
    return counts.reshape(vocabulary, neighbours).astype(np.float64)


def _shares(
    ids: NDArray[np.int64], classes: NDArray[np.float64], vocabulary: int
) -> NDArray[np.float64]:
    """Which share of each word's occurrences is of which class, (vocabulary, classes)."""
    known = ids < vocabulary
    counts = np.stack(
        [
            np.bincount(ids[known], weights=column[known], minlength=vocabulary)
            for column in classes.T
        ],
        axis=1,
    )
    often = np.bincount(ids[known], minlength=vocabulary)[:, None]
    usual = counts.sum(axis=0) / often.sum()
    shares: NDArray[np.float64] = (counts + _PRIOR * usual) / (often + _PRIOR)
    return shares


def _ppmi(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positive pointwise mutual information of rows and columns of counts."""
    chance = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True)
    ratio = np.divide(counts * counts.sum(), chance, out=np.ones_like(counts), where=counts > 0)
    information: NDArray[np.float64] = np.maximum(np.log(ratio), 0.0)
    return information


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of length 1; those of zeros stay."""
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    unit: NDArray[np.float64] = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit


def _nearest(
    vocabulary: Sequence[str], vectors: NDArray[np.float32], shares: NDArray[np.float64]
) -> Replacements:
    """The most alike of each word that has any."""
    found = Replacements()
    least = _LEAST_ALIKE * _LENGTH * _LENGTH
    for start in range(0, len(vocabulary), _AT_ONCE):
        alike = vectors[start : start + _AT_ONCE] @ vectors.T
        for word, of_word in enumerate(alike, start):
            of_word[word] = 0.0
            near = np.flatnonzero(of_word >= least)
            # Of equally alike words the more frequent ones, which come first.
            best = near[np.argsort(-of_word[near], kind="stable")][:_CONSIDERED]
            apart = np.abs(shares[best] - shares[word]).max(axis=1, initial=0.0)
            names = tuple(vocabulary[at] for at in best[apart <= _MOST_APART][:_ALTERNATIVES])
            if names:
                found[vocabulary[word]] = names
    return found
