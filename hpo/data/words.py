"""A text as words and what stands between them; scripts without spaces by characters."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

# Thai, Lao, Myanmar, Khmer; kana; Han with its extensions: a character there is what a word is elsewhere.
_UNSPACED: Final = (
    "\u0e01-\u0e30\u0e32-\u0e33\u0e40-\u0e46\u0e80-\u0edf\u1000-\u109f\u1780-\u17dd"
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_CLOSING: Final = frozenset(",.;:!?)]}%…、。,!?:;)」』》")


@dataclass
class WordsOfText:
    """A text taken apart.

    Attributes:
        words: In their order.
        gaps: What stands before each word, and after the last: one more than there are words.
    """

    words: list[str]
    gaps: list[str]

    def __str__(self) -> str:
        parts = [part for pair in zip(self.gaps, self.words, strict=False) for part in pair]
        return "".join(parts) + self.gaps[-1]

    def insert(self, at: int, word: str) -> None:
        """Put a word before another one."""
        unspaced = is_unspaced(word) and is_unspaced(self.words[at])
        self.words.insert(at, word)
        self.gaps.insert(at + 1, "" if unspaced else " ")

    def delete(self, places: Sequence[int]) -> None:
        """Leave words out, with the white space that would be too much."""
        for at in sorted(places, reverse=True):
            del self.words[at]
            before, after = self.gaps[at], self.gaps.pop(at + 1)
            if at == 0:
                self.gaps[0] = before + after.lstrip()
            elif not after or after[0].isspace() or after[0] in _CLOSING:
                self.gaps[at] = before.rstrip() + after
            else:
                self.gaps[at] = before + after

    def join(self, known: Collection[str], longest: int) -> None:
        """Make one word of neighbours without a space between them that are a known one, the longest first.

        Args:
            known: Words of several characters among them.
            longest: Characters of the longest of these.
        """
        at = 0
        while longest > 1 and at < len(self.words):
            end = at + 1
            while end < len(self.words) and not self.gaps[end] and end - at < longest:
                end += 1
            while end > at + 1 and "".join(self.words[at:end]) not in known:
                end -= 1
            self.words[at:end] = ["".join(self.words[at:end])]
            del self.gaps[at + 1 : end]
            at += 1


def words_of(text: str) -> WordsOfText:
    """Take a text apart; put together again, it is the same text.

    >>> words_of("It's good, really.").words
    ["It's", 'good', 'really']
    >>> words_of("很好 OK").words
    ['很', '好', 'OK']
    """
    words, gaps, end = [], [], 0
    for match in _pattern().finditer(text):
        words.append(match[0])
        gaps.append(text[end : match.start()])
        end = match.end()
    return WordsOfText(words, [*gaps, text[end:]])


def is_unspaced(word: str) -> bool:
    """Whether a word is a character of a script that puts no spaces between words."""
    return _unspaced().match(word) is not None


def count_words(text: str) -> int:
    """How many words a text has, by its spaces; quicker than taking it apart.

    >>> count_words("It's good, really."), count_words("很好 OK")
    (3, 3)
    """
    return len(_spaced(text).split())


def terms_of(text: str) -> list[str]:
    """The runs of letters and digits of a text, in lower case; quicker than taking it apart.

    >>> terms_of("It's 很好")
    ['it', 's', '很', '好']
    """
    return _term().findall(_spaced(text.lower()))


def letters_of(word: str) -> list[str]:
    """The letters of a word, each with the marks that belong to it."""
    return _letter().findall(word)


@cache
def _pattern() -> re.Pattern[str]:
    marks = _marks()
    letter = rf"(?:(?![{_UNSPACED}])[^\W_][{marks}]*)"
    return re.compile(rf"[{_UNSPACED}][{marks}]*|{letter}+(?:['’-]{letter}+)*")


def _spaced(text: str) -> str:
    """The text with spaces around each character that is a word."""
    return text if text.isascii() else _unspaced().sub(r" \g<0> ", text)


@cache
def _term() -> re.Pattern[str]:
    return re.compile(rf"[\w{_marks()}]+")


@cache
def _letter() -> re.Pattern[str]:
    return re.compile(rf".[{_marks()}]*", re.DOTALL)


@cache
def _unspaced() -> re.Pattern[str]:
    return re.compile(rf"[{_UNSPACED}]")


@cache
def _marks() -> str:
    """All combining marks, as ranges for a regular expression."""
    ranges: list[list[int]] = []
    for code in range(0x300, min(sys.maxunicode, 0x1FFFF) + 1):
        if unicodedata.category(chr(code))[0] == "M":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
