"""Compressed files: gz, bz2 and xz of one file, and zip with one table in it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

from hpo.errors import DataError, first_line

_STREAMS: Final[dict[str, Callable[[IO[bytes]], IO[bytes] | gzip.GzipFile]]] = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
FAULTS: Final = (
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    RuntimeError,
    NotImplementedError,
)
"""What the libraries raise of damaged files, beside OSErrors."""


def is_packed(path: Path) -> bool:
    """Whether a file is compressed in a way that is read, by its name."""
    return path.suffix.lower() in (*_STREAMS, ".zip")


def name_inside(path: Path) -> str:
    """The name of the file that is in a compressed one, or of any other file itself.

    That of a zip file is looked up, unless its own name tells it.
    """
    if not is_packed(path):
        return path.name
    if path.suffix.lower() == ".zip" and not Path(path.stem).suffix:
        names = members(path)
        if len(names) == 1:
            return f"{path.stem}{Path(names[0]).suffix}"
    return path.stem


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The file that is in a compressed one, for as long as it is read.

    Raises:
        DataError: The file is damaged, or a zip file of none or several.
        OSError: There is no room for it.
    """
    with TemporaryDirectory(prefix="hpo-unpacked-") as folder:
        inside = Path(folder) / name_inside(path)
        try:
            with (
                path.open("rb") as raw,
                opened(path, raw) as source,
                inside.open("wb") as target,
            ):
                shutil.copyfileobj(source, target, 1 << 20)
        except (*FAULTS, gzip.BadGzipFile) as error:
            raise damaged(path, error) from error
        except OSError as error:
            if error.errno is None:  # bz2 says so of damaged data
                raise damaged(path, error) from error
            raise
        yield inside


def opened(path: Path, raw: IO[bytes]) -> IO[bytes] | gzip.GzipFile:
    """The file that is in a compressed one, to be read from its beginning.

    Args:
        path: Of the compressed file.
        raw: Its bytes.

    Raises:
        DataError: A zip file of none or several.
    """
    suffix = path.suffix.lower()
    if suffix != ".zip":
        return _STREAMS[suffix](raw)
    names = members(path)
    if len(names) != 1:
        listed = ", ".join(names[:3]) + ", …" * (len(names) > 3)
        raise DataError(
            str(path),
            found=f"a zip file of {len(names)} files ({listed})" if names else "a zip file of none",
            expected="one file in it, a table",
            hint="Unpack it with `unzip`, and name the folder.",
        )
    return zipfile.ZipFile(raw).open(names[0])


def members(path: Path) -> list[str]:
    """The files in a zip file, without what macOS adds; none where it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return []
    return [
        name
        for name in names
        if not name.endswith("/")
        and not name.startswith("__MACOSX/")
        and not Path(name).name.startswith(".")
    ]


def damaged(path: Path, error: Exception) -> DataError:
    """The error for a compressed file that the library for its kind cannot read."""
    return DataError(
        str(path),
        found=f"a compressed file that cannot be read ({first_line(error)})",
        expected="a whole file",
        hint="Download or compress it again.",
    )
