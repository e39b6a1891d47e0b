"""What lies in a folder of splits beside the files that are read, and looks like data.

Not read without a word, a `test.csv.gz` would leave the score to a test split made of training texts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from hpo.data.contents import OTHER_TABLES, way_to_a_format
from hpo.data.files import file_format, formats_in_words
from hpo.errors import DataError

_COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar", ".lz4", ".br", ".tar")
# What a split may well be called in a program, a log or a picture, and what editors leave.
_NO_DATA: Final = (
    *(".py", ".pyc", ".ipynb", ".sh", ".r", ".md", ".rst", ".html", ".pdf", ".tex", ".bib", ".svg"),
    *(".png", ".jpg", ".toml", ".yaml", ".yml", ".cfg", ".ini", ".log", ".lock", ".bak", ".orig"),
    *(".swp", ".tmp", ".md5", ".sha256", ".license", ".cff", ".crc"),
)
_ABOUT_DATA: Final = re.compile(
    r"readme|licen[sc]e|notice|changelog|citation|authors|copying|requirements|"
    r"dataset_(infos?|dict)|state|metadata|sample_?submission",
    re.IGNORECASE,
)
# What data sets call the texts that have no labels, which hpo has no use for.
_UNLABELLED: Final = ("unlabelled", "unlabeled", "unsupervised", "unsup")
_MOST_NAMED: Final = 5


def looks_like_data(entry: Path, split_names: Collection[str]) -> bool:
    """Whether a file or folder beside a training split may hold another.

    By its name alone: the suffix of a table, also compressed, or the name of a split, which is all
    that tells `test.json` from `notes.json`: JSON says anything.

    Args:
        split_names: Lower case.
    """
    name = entry.name.lower()
    if name.startswith(".") or name.endswith("~"):
        return False
    if entry.is_dir():
        return names_one_of(name, split_names) and _holds_files(entry)
    stem, *suffixes = name.split(".")
    last = f".{suffixes[-1]}" if suffixes else ""
    if is_no_data(entry):
        return False
    if last in _COMPRESSED and len(suffixes) > 1:
        last = f".{suffixes[-2]}"
    if last == ".json":
        return names_one_of(stem, split_names)
    return (
        last in (*OTHER_TABLES, *_COMPRESSED)
        or file_format(Path(f"{stem}{last}")) is not None
        or names_one_of(stem, split_names)
    )


def is_no_data(entry: Path) -> bool:
    """Whether a file says by its name that it is no table: a program, a picture, notes, a licence."""
    stem, *suffixes = entry.name.lower().split(".")
    last = f".{suffixes[-1]}" if suffixes else ""
    return last in _NO_DATA or _ABOUT_DATA.fullmatch(stem) is not None


def is_unlabelled(name: str) -> bool:
    """Whether a file or split says by its name that its texts have no labels."""
    return names_one_of(name, _UNLABELLED)


def names_one_of(name: str, split_names: Collection[str]) -> bool:
    """Whether a name is one of these, or has one as a word: `my_test`, `test-00000-of-00001`."""
    stem = name.lower().partition(".")[0]
    return not {stem, *re.split(r"[\W_]+", stem)}.isdisjoint(split_names)


def not_read(folder: Path, unread: Sequence[Path]) -> DataError:
    """The error for entries of a folder, one or more, that look like data and are not read."""
    first = unread[0]
    names = ", ".join(path.name + "/" * path.is_dir() for path in unread[:_MOST_NAMED])
    more = f" and {len(unread) - _MOST_NAMED} more" * (len(unread) > _MOST_NAMED)
    them = "it" if len(unread) == 1 else "them"
    verb = "is" if len(unread) == 1 else "are"
    return DataError(
        str(folder),
        found=f"{names}{more}, which {verb} not read",
        expected=f"no data but the files of the splits ({formats_in_words()})",
        hint=f"{_way_in(first, them)}, or move {them} out of the folder.",
    )


def _way_in(entry: Path, them: str) -> str:
    suffix = entry.suffix.lower()
    if entry.is_dir():
        return f"Make {them} one file for each split"
    if not entry.is_file():
        return f"Correct {them}, for {entry.name} leads to no file"
    if file_format(entry) is None and suffix in OTHER_TABLES:
        return way_to_a_format(entry)
    if suffix in _COMPRESSED and file_format(entry) is None:
        return f"Decompress {them}"
    if file_format(entry) is None:
        return f"Convert {them}"
    return f"Name {them} with data.validation_split or data.test_split"


def not_read_in_words(place: str, noun: str, names: Sequence[str]) -> str:
    """The warning for what the user knows of, or is known to be of no use.

    Args:
        noun: File or split.
    """
    are = f"1 {noun} is" if len(names) == 1 else f"{len(names)} {noun}s are"
    listed = ", ".join(names[:_MOST_NAMED]) + ", …" * (len(names) > _MOST_NAMED)
    return (
        f"{place}: {are} not used ({listed}); data.validation_split and data.test_split name"
        f" the {noun}s to use"
    )


def check_splits_left(
    place: str, left: Sequence[str], lacking: Mapping[str, Collection[str]]
) -> None:
    """Raise DataError where a hub split that is not read may be one that is lacking.

    Args:
        lacking: The usual names, by key, of the splits that would be made of training texts
            otherwise.
    """
    for key, usual in lacking.items():
        meant = [name for name in left if names_one_of(name, usual)]
        if meant:
            raise DataError(
                place,
                found=f"no {key} split, but {', '.join(meant[:_MOST_NAMED])}, which would not be read",
                expected=f"to be told which of them is the {key} split",
                hint=f"Set data.{key}_split to {meant[0]!r}.",
            )


def _holds_files(folder: Path) -> bool:
    try:
        return any(not path.name.startswith(".") for path in folder.iterdir())
    except OSError:
        return True
