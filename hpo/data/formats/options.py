"""What a study says of how its files are written, where that is not found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class ReadOptions:
    """How files are written.

    Attributes:
        encoding: Of text files, as Python names it; None: found out.
        header: Whether the first line names the columns; without it they are called 1, 2, ….
    """

    encoding: str | None = None
    header: bool = True


AS_USUAL: Final = ReadOptions()
"""A first line with the columns' names, in an encoding that is found out."""
