"""How `--help` of a command looks: its options in groups, and examples below them."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from typing import Any, Final

from hpo.version import __version__

STUDY, DATA, PLACES = "the study", "data and model", "where things are kept"
_COLUMNS: Final = 79


def group(parser: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """The group of a command's options that has this title, made at its first mention."""
    known = {each.title: each for each in parser._action_groups}
    return known.get(title) or parser.add_argument_group(title)


def add_version(parser: argparse.ArgumentParser) -> None:
    """Have a command tell the version, as `hpo` does; its help does not mention it."""
    told = f"hpo {__version__}"
    parser.add_argument("--version", action="version", version=told, help=argparse.SUPPRESS)


def layout_of(description: str, examples: Sequence[str]) -> dict[str, Any]:
    """A parser's description, broken for a terminal of 80 columns, and the examples below its options."""
    return {
        "description": textwrap.fill(description, _COLUMNS),
        "epilog": "\n  ".join(("examples:", *examples)) if examples else None,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
