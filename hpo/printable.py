"""Somebody's input as text that a line can show: whatever moves the cursor or turns text round is written out.

>>> print(printable("a\\nb \\x1b[31mred\\u202e"))
a\\nb \\x1b[31mred\\u202e
"""

from __future__ import annotations

import io
import unicodedata
from typing import TextIO

# Turn text round, so that a name looks like another one.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNPRINTABLE = {
    "Cc": "a control character",
    "Cs": "bytes that are no text",
    "Zl": "a line break",
    "Zp": "a line break",
}


def why_unprintable(character: str) -> str | None:
    """What a character is that no line may show as it is, in words; None where it may."""
    if character in _BIDI:
        return "a mark that turns the direction of text"
    return _UNPRINTABLE.get(unicodedata.category(character))


def printable(text: str) -> str:
    """The text in one line, every character that may not be shown as its escape, as Python writes it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if why_unprintable(character)
        else character
        for character in text
    )


def replace_unencodable(stream: TextIO) -> None:
    """Let a stream write an escape for what its encoding lacks, where it would raise an error."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
