"""Names of encodings, as Python knows them."""

from __future__ import annotations

import codecs
from typing import Final

# Any table of texts has such characters, and a damaged one is read past its faults.
_SAMPLE: Final = 'text,label\n"a b",1\n'
_ERRORS: Final = ("strict", "replace", "surrogateescape")


def is_encoding(name: str) -> bool:
    """Whether text can be written and read in an encoding: there are codecs of bytes alone, and of host names."""
    try:
        written = _SAMPLE.encode(codecs.lookup(name).name)
        return all(written.decode(name, errors) == _SAMPLE for errors in _ERRORS)
    except (LookupError, ValueError):
        return False
