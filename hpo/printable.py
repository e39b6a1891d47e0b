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
# Show nothing, so that a name looks like another one; joiners (U+200C, U+200D) are letters' and emojis' own.
_INVISIBLE = frozenset(
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060\u2061\u2062\u2063\u2064\u206a\u206b\u206c\u206d\u206e"
    "\u206f\u3164\ufeff\uffa0\ufff9\ufffa\ufffb"
)
_TAGS = range(0xE0000, 0xE0080)
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
    if character in _INVISIBLE or ord(character) in _TAGS:
        return "a character that shows nothing"
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
