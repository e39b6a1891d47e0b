"""Text files in whatever encoding they were saved, with the line at fault where they are no text."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hpo.data.formats.encodings import likely_encoding
from hpo.errors import DataError
from hpo.printable import printable

_MARKS: Final = (
    # Longest first: UTF-32's mark begins with UTF-16's.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTEXT: Final = 2_000
_QUOTED: Final = 40  # characters of a line that a message shows


@dataclass(frozen=True)
class Decoded:
    """The text of a file.

    Attributes:
        encoding: As people know it.
        guessed: The same, where it was guessed.
        warnings: How, for people.
    """

    text: str
    encoding: str = "UTF-8"
    guessed: str | None = None
    warnings: tuple[str, ...] = ()


def decoded(path: Path, encoding: str | None = None) -> Decoded:
    """The text of a file, its byte order mark left out.

    UTF-8 is believed where it fits, a byte order mark always; anything else is guessed, with a
    warning that says how to set it.

    Args:
        encoding: As the study names it; None: found out.

    Raises:
        DataError: It is no text, empty, or not of that encoding; the place names the line.
    """
    found = decoded_bytes(path, path.read_bytes(), encoding)
    if not found.text.strip():
        raise DataError(
            str(path),
            found="an empty file",
            expected="a table of texts and labels",
            hint="Name a file that has rows.",
        )
    return found


def decoded_bytes(path: Path, data: bytes, encoding: str | None = None) -> Decoded:
    """The text of a file whose bytes have been read, which may be empty; otherwise as `decoded`."""
    return _decoded_as(path, data, encoding) if encoding else _guessed(path, data)


def encoding_of(path: Path, head: bytes) -> tuple[str, tuple[str, ...]]:
    """The encoding of a file by the whole lines that it begins with, and warnings for people.

    Raises:
        DataError: It is no text, or of an encoding that cannot be told.
    """
    marked = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)
    found = _guessed(path, head)
    return found.guessed or marked or "utf-8", found.warnings


def is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8."""
    return _fits(data, "utf-8")


def _guessed(path: Path, data: bytes) -> Decoded:
    mark = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    if mark is not None and mark != "utf-8-sig":
        return replace(_decoded_as(path, data, mark), warnings=(_told(path, mark, "is"),))
    wide = _utf16_without_a_mark(data)
    if wide is not None:
        found = _decoded_as(path, data, wide)
        return replace(found, guessed=wide, warnings=(_told(path, wide, "looks like"),))
    nul = data.find(b"\0")
    if nul >= 0:
        raise DataError(
            f"{path}, line {_line_of(data, nul)}",
            found="a NUL byte, so this is no text file",
            expected="UTF-8 text",
            hint="Save the file as UTF-8.",
        )
    try:
        return Decoded(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        # The codec counts from after the byte order mark.
        start = error.start + len(codecs.BOM_UTF8) * (mark is not None)
        name = None if mark or _has_controls(data) else likely_encoding(data)
        if name is None:
            raise _not_of(path, data, "utf-8", start) from error
        found = _decoded_as(path, data, name)
        warning = (
            f"{path}, line {_line_of(data, start)}: is not UTF-8, so the file is read as {name}"
            f"{beyond_ascii(found.text)}; data.encoding sets it"
        )
        return replace(found, guessed=name, warnings=(warning,))


def beyond_ascii(text: str) -> str:
    """The first words beyond ASCII as they were read, which show whether they were read well: ` (“Müller”)`."""
    start = next((at for at, each in enumerate(text) if not each.isascii()), None)
    if start is None:
        return ""
    begin = max(text.rfind("\n", 0, start) + 1, start - _QUOTED // 2)
    shown = text[begin : begin + _QUOTED].partition("\n")[0].strip()
    return f" (“{printable(shown)}”)"


def _has_controls(data: bytes) -> bool:
    """Whether it begins with characters that no text has."""
    return any(byte < 9 or 14 <= byte < 32 for byte in data[:_CONTEXT])


def _fits(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _utf16_without_a_mark(data: bytes) -> str | None:
    """UTF-16 of mostly Latin letters, of which every other byte is NUL."""
    head = data[:_CONTEXT]
    if len(head) < 4 or len(data) % 2:
        return None
    even, odd = head[::2], head[1::2]
    if odd.count(0) > 0.8 * len(odd) and not even.count(0):
        return "utf-16-le"
    if even.count(0) > 0.8 * len(even) and not odd.count(0):
        return "utf-16-be"
    return None


def _decoded_as(path: Path, data: bytes, encoding: str) -> Decoded:
    name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    try:
        return Decoded(data.decode(name), "UTF-8" if name == "utf-8-sig" else name)
    except UnicodeDecodeError as error:
        raise _not_of(path, data, encoding, error.start) from error


def _told(path: Path, encoding: str, verb: str) -> str:
    return f"{path}: {verb} {encoding}; data.encoding sets it"


def _not_of(path: Path, data: bytes, encoding: str, start: int) -> DataError:
    name = "UTF-8" if encoding == "utf-8" else encoding
    return DataError(
        f"{path}, line {_line_of(data, start)}",
        found=f"bytes that are not {name} ({data[start : start + 4].hex(' ')})",
        expected=f"{name} text",
        hint="Save the file as UTF-8, or set data.encoding.",
    )


def _line_of(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1
