"""How `--help` of a command looks: its options in groups, and examples below them."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping
from typing import Any, Final

STUDY, DATA, PLACES = "the study", "data and model", "where things are kept"
_COLUMNS: Final = 79
_EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "hpo.run": (
        "hpo.run --trials 20",
        "hpo.run --data reviews.csv --model gpt2 --trials 50 --workers 2",
        "hpo.run study.toml --set training.weight_decay=0.1 --dry-run",
        "hpo.run --replay quickstart#17",
    ),
    "hpo.ui": ("hpo.ui --open", "hpo.ui --storage sqlite:///other.db --mlflow-port 6001"),
    "hpo.submit": ("hpo.submit study.toml --trials 100",),
    "hpo.worker": ("hpo.worker", "hpo.worker --storage postgresql://user@host/hpo"),
    "hpo.doctor": ("hpo.doctor", "hpo.doctor --flush"),
    "hpo.ensemble": ("hpo.ensemble quickstart --method greedy",),
}


def group(parser: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """The group of a command's options that has this title, made at its first mention."""
    known = {each.title: each for each in parser._action_groups}
    return known.get(title) or parser.add_argument_group(title)


def layout_of(command: str, description: str) -> dict[str, Any]:
    """A parser's description, broken for a terminal of 80 columns, and the examples below its options."""
    lines = _EXAMPLES.get(command)
    return {
        "description": textwrap.fill(description, _COLUMNS),
        "epilog": None if lines is None else "\n  ".join(("examples:", *lines)),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
