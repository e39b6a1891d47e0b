"""fastText's lines, `__label__good a text`: not read, and what makes a table of them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

from hpo.errors import DataError

_LINE: Final = re.compile(rb"(?:\xef\xbb\xbf)?__label__[^\s,;|]+ +\S")


def refuse_fasttext(path: Path) -> None:
    """Raise DataError with the command that makes a table of it where a file begins as fastText's do."""
    with path.open("rb") as file:
        if not _LINE.match(file.read(4_096)):
            return
    rows = r"sed -E 's/^__label__([^ ]+) +/\1\t/' " + shlex.quote(path.name)
    raise DataError(
        str(path),
        found="fastText's format, a label before each text (__label__…)",
        expected="a column for the texts and one for the labels",
        hint=rf"Make a table of it: `(printf 'label\ttext\n'; {rows}) > train.tsv`.",
    )
