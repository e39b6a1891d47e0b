"""The encoding that bytes are most likely in which are not UTF-8."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Final

# Enough to tell encodings apart by the letters that occur.
_LOOKED_AT: Final = 200_000
# Bytes outside ASCII that it takes to tell: an `à` alone might be a Russian letter.
_ENOUGH: Final = 8
_SURE_ENOUGH: Final = 0.15  # of Latin text with a few accents the right guess has 0.17 or more
# What Windows writes of Western text, and DOS, where every byte is a character.
_USUAL: Final = ("cp1252", "cp850")
_OF_SEVERAL_BYTES: Final = ("cp932", "shift_jis", "euc_jp", "cp949", "euc_kr", "gb18030", "big5")
_LINE: Final = re.compile(rb"[^\n]*[\x80-\xff][^\n]*\n?")
_WORD: Final = re.compile(rb"[^\s,;|\"]*[\x80-\xff][^\s,;|\"]*")


def likely_encoding(data: bytes) -> str | None:
    """The encoding as Python names it; None where no usual one fits.

    Of a language that is mixed with English the lines with letters beyond ASCII tell; of one whose
    characters are of several bytes their words do, which no other language's are by chance.
    """
    lines = b"".join(_LINE.findall(data))[:_LOOKED_AT]
    guesses = [*_guesses(lines), *_USUAL]
    found = next((name for name in guesses if _decoded(data, name) is not None), None)
    # Many encodings agree on the few characters that occur; people know Windows' own by name.
    usual = _decoded(data, _USUAL[0])
    return _USUAL[0] if found and usual and usual == _decoded(data, found) else found


def _guesses(lines: bytes) -> Iterator[str]:
    from chardet import EncodingEra, detect

    if sum(byte > 127 for byte in lines) < _ENOUGH or _is_typography(lines):
        return
    era = EncodingEra.MODERN_WEB | EncodingEra.LEGACY_ISO | EncodingEra.DOS
    words = b" ".join(_WORD.findall(lines))
    for looked_at, wanted, least in ((words, _OF_SEVERAL_BYTES, 0.0), (lines, None, _SURE_ENOUGH)):
        guess = detect(looked_at, encoding_era=era)
        name = codecs.lookup(guess["encoding"] or _USUAL[0]).name
        if guess["confidence"] >= least and (wanted is None or name in wanted):
            yield name


def _is_typography(lines: bytes) -> bool:
    """Whether Windows' quotation marks, dashes and signs are all that is not ASCII."""
    text = _decoded(lines, _USUAL[0])
    return text is not None and not any(each.isalpha() for each in text if not each.isascii())


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None
