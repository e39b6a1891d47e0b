"""A table of replacements that somebody gives: `word<TAB>replacement<TAB>…`, a line a word."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from hpo.data.augmentation import Replacements
from hpo.data.formats.text import decoded
from hpo.data.table import shortened
from hpo.data.words import is_unspaced, words_of
from hpo.errors import DataError
from hpo.spec.locations import path_of

_KEY = "training.augment.table"


@dataclass(frozen=True)
class ReplacementTable:
    """What words are replaced by.

    Attributes:
        replacements: Of each word, in lower case.
        fingerprint: The same for the same replacements.
    """

    replacements: Replacements
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        listed = repr(sorted(self.replacements.items()))
        object.__setattr__(self, "fingerprint", hashlib.sha256(listed.encode()).hexdigest())


def read_replacements(name: str) -> ReplacementTable:
    """Read a table. Blank lines are passed over, and several lines of one word count as one.

    Raises:
        DataError: There is none, or a line is wrong.
    """
    path = path_of(name, lambda reason: _no_table(name, reason))
    if not path.is_file():
        raise _no_table(name, "a folder" if path.is_dir() else "no such file")
    replacements = Replacements()
    for number, line in enumerate(decoded(path).text.splitlines(), 1):
        if line.strip():
            word, new = _read_line(line, f"{path}, line {number}")
            replacements[word] = (*replacements.get(word, ()), *new)
    return ReplacementTable(replacements)


def _read_line(line: str, place: str) -> tuple[str, tuple[str, ...]]:
    word, *new = (part.strip() for part in line.split("\t"))
    if not new or not word or not all(new):
        raise DataError(
            place,
            found=shortened(line) if line.strip("\t ") == line else "an empty field",
            expected="a word, a tab and its replacement, or several with tabs between them",
            hint="Correct that line.",
        )
    parts = words_of(word).words
    if "".join(parts) != word or not (len(parts) == 1 or all(map(is_unspaced, parts))):
        raise DataError(
            place,
            found=shortened(word),
            expected="a single word, for words are what is replaced",
            hint="Remove that line.",
        )
    return word.lower(), tuple(new)


def _no_table(name: str, found: str) -> DataError:
    return DataError(
        f"{_KEY} = {name!r}",
        found=found,
        expected="a text file of lines word<TAB>replacement",
        hint="Check the path.",
    )
