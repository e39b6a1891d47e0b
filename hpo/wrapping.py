"""Lines broken for a terminal between words, and elsewhere left whole."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable
from typing import TextIO

from hpo.printable import printable

# The spaces that belong to a number: `trial 7`, `121 test texts`, `95 % interval`.
_WITH_A_NUMBER = re.compile(r"(?<=\w) (?=\d)|(?<=\d) (?=[\w%])")
_NO_BREAK = "\u00a0"


def wrapped(text: str, stream: TextIO, indent: str = "  ") -> str:
    """A line for a stream, made printable: on a terminal broken between words, elsewhere whole.

    Args:
        indent: Before the lines that go on with it.
    """
    text = printable(text)
    if not stream.isatty():
        return text
    width = max(shutil.get_terminal_size().columns - 1, len(indent) + 20)
    lines = textwrap.wrap(
        _WITH_A_NUMBER.sub(_NO_BREAK, text),
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(_NO_BREAK, " ") or text


def packed(items: Iterable[str], margin: int = 0) -> str:
    """Items side by side on a terminal, none of them broken.

    Args:
        margin: Columns that are left free.
    """
    width = max(shutil.get_terminal_size().columns - 1 - margin, 20)
    whole = "  ".join(printable(item).replace(" ", _NO_BREAK) for item in items)
    return textwrap.fill(whole, width, break_long_words=False).replace(_NO_BREAK, " ")
