"""Text augmentation: variants of a text by words left out, moved, replaced and added, and by slips of the pen.

The four operations on words are those of Wei and Zou (2019), the noise on characters is that of Belinkov
and Bisk (2018). A variant is a pure function of the text, the options, the seed and its number, so that
neither the order of the texts nor what reads them makes a difference.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from random import Random
from typing import Final

from hpo.data.words import WordsOfText, is_unspaced, letters_of, words_of
from hpo.spec.augment import AugmentOptions

VERSION: Final = 1
"""Raised when the same options give other variants."""

_ENDS_KEPT: Final = 4  # letters, from which on the first and the last stay where they are


class Replacements(dict[str, tuple[str, ...]]):
    """A word in lower case -> the words that may stand in its place; not changed once it is used."""

    @cached_property
    def longest_unspaced(self) -> int:
        """Characters of the longest word of a script without spaces."""
        return max((len(word) for word in self if is_unspaced(word)), default=1)


def variant_of(
    text: str, options: AugmentOptions, replacements: Replacements, *, seed: int, number: int
) -> str:
    """A variant of a text; the text itself where it has no words, or all rates are 0.

    Each rate is the share of the words that it changes, whole by whole text: of n words rate * n,
    rounded up or down at random so that the mean is exact. One word at least remains.

    Args:
        text: What is varied.
        options: The rates.
        replacements: What words are replaced by, and what is inserted beside them.
        seed: The study's, so that its trials have the same variants.
        number: Which variant, from 1.
    """
    parts = words_of(text)
    if not parts.words:
        return text
    draws = _Draws(f"{seed}:{number}:{text}")
    count = len(parts.words)
    deleted = draws.share(options.delete, count)
    if options.replace or options.insert:
        parts.join(replacements, replacements.longest_unspaced)
    _replace(parts, draws.share(options.replace, count), replacements, draws)
    _insert(parts, draws.share(options.insert, count), replacements, draws)
    _swap(parts, draws.share(options.swap / 2, count), draws)
    parts.delete(draws.places(min(deleted, len(parts.words) - 1), len(parts.words)))
    _make_slips(parts, draws.share(options.characters, len(parts.words)), draws)
    return str(parts)


class _Draws:
    """Random numbers of one variant; of `Random` only what Python promises never to change."""

    def __init__(self, name: str) -> None:
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16)
        self._random = Random(int.from_bytes(digest.digest()))

    def below(self, count: int) -> int:
        """One of 0, …, count - 1."""
        return int(self._random.random() * count)

    def share(self, rate: float, count: int) -> int:
        """rate * count, rounded up as often as makes the mean exact. One number is drawn, whatever the rate."""
        return min(int(rate * count + self._random.random()), count)

    def places(self, wanted: int, count: int) -> list[int]:
        """So many different ones of 0, …, count - 1, in random order (Fisher and Yates)."""
        moved: dict[int, int] = {}
        places = []
        for at in range(wanted):
            other = at + self.below(count - at)
            places.append(moved.get(other, other))
            moved[other] = moved.get(at, at)
        return places


def _replace(parts: WordsOfText, wanted: int, replacements: Replacements, draws: _Draws) -> None:
    """Put another word in the place of some that have one."""
    for at in _having(parts, wanted, replacements, draws):
        parts.words[at] = _in_place_of(parts.words[at], replacements, draws)


def _insert(parts: WordsOfText, wanted: int, replacements: Replacements, draws: _Draws) -> None:
    """Add words that could stand for some of the text, anywhere in it."""
    new = [
        _in_place_of(parts.words[at], replacements, draws).lower()
        for at in _having(parts, wanted, replacements, draws)
    ]
    for word in new:
        parts.insert(draws.below(len(parts.words)), word)


def _having(
    parts: WordsOfText, wanted: int, replacements: Replacements, draws: _Draws
) -> list[int]:
    """Places of some words that have a replacement."""
    if not wanted:
        return []
    having = [at for at, word in enumerate(parts.words) if word.lower() in replacements]
    return [having[place] for place in draws.places(min(wanted, len(having)), len(having))]


def _in_place_of(word: str, replacements: Replacements, draws: _Draws) -> str:
    """One of the word's replacements, written in capitals as the word is."""
    others = replacements[word.lower()]
    other = others[draws.below(len(others))]
    if len(word) > 1 and word.isupper():
        return other.upper()
    return other[:1].upper() + other[1:] if word[:1].isupper() else other


def _swap(parts: WordsOfText, pairs: int, draws: _Draws) -> None:
    """Let words change places in pairs."""
    places = draws.places(2 * min(pairs, len(parts.words) // 2), len(parts.words))
    for one, other in zip(places[::2], places[1::2], strict=True):
        parts.words[one], parts.words[other] = parts.words[other], parts.words[one]


def _make_slips(parts: WordsOfText, wanted: int, draws: _Draws) -> None:
    """Misspell some words. Those with digits and single letters are left as they are."""
    if not wanted:
        return
    able = [at for at, word in enumerate(parts.words) if _can_be_misspelt(word)]
    for place in draws.places(min(wanted, len(able)), len(able)):
        at = able[place]
        letters = letters_of(parts.words[at])
        if len(letters) > 1:
            parts.words[at] = _misspelt(letters, draws)
        elif draws.below(2) and any(parts.words[:at] + parts.words[at + 1 :]):
            parts.words[at] = ""
        else:
            parts.words[at] *= 2


def _can_be_misspelt(word: str) -> bool:
    return is_unspaced(word) or (len(word) > 1 and word.isalpha())


def _misspelt(letters: list[str], draws: _Draws) -> str:
    """A word with two letters swapped, one left out or one written twice; never empty."""
    first, end = (1, len(letters) - 1) if len(letters) >= _ENDS_KEPT else (0, len(letters))
    match draws.below(3):
        case 0:
            at = first + draws.below(end - first - 1)
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        case 1:
            del letters[first + draws.below(end - first)]
        case _:
            at = first + draws.below(end - first)
            letters.insert(at, letters[at])
    return "".join(letters)
