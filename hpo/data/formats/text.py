"""Text files as UTF-8, with the line at fault where they are none."""

from __future__ import annotations

import codecs
from pathlib import Path

from hpo.errors import DataError


def decoded(path: Path) -> str:
    """The text of a UTF-8 file, its byte order mark left out.

    Raises:
        DataError: It is another encoding, or empty; the place names the line.
    """
    data = path.read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _not_utf8(str(path), "UTF-16 text")
    nul = data.find(b"\0")
    if nul >= 0:
        place = f"{path}, line {_line_of(data, nul)}"
        raise _not_utf8(place, "a NUL byte, so this is no text file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts from after the byte order mark.
        start = error.start + len(codecs.BOM_UTF8) * data.startswith(codecs.BOM_UTF8)
        place = f"{path}, line {_line_of(data, start)}"
        raise _not_utf8(
            place, f"bytes that are not UTF-8 ({data[start : start + 4].hex(' ')})"
        ) from error
    if not text.strip():
        raise DataError(
            str(path),
            found="an empty file",
            expected="a table of texts and labels",
            hint="Name a file that has rows.",
        )
    return text


def _not_utf8(place: str, found: str) -> DataError:
    return DataError(place, found=found, expected="UTF-8 text", hint="Save the file as UTF-8.")


def _line_of(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1
