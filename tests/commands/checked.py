"""What every command does before anything slow, at once and told in a line where it fails."""

from __future__ import annotations

import argparse
import io
import sys
from contextlib import redirect_stderr

import pytest

from hpo.options import (
    BAD_INPUT,
    DONE,
    OneLineParser,
    add_place_options,
    add_study_options,
    check_early,
    command,
    read_locations,
    read_spec,
)
from tests.test_printable import is_one_line


def checked(*arguments: str) -> int:
    """Read options, study and places; the exit code, which is good or that of bad input told in one line."""
    parser = OneLineParser(prog="hpo.run", description="")
    add_study_options(parser)
    add_place_options(parser)
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(said):
        patch.setattr(sys, "argv", ["hpo.run", *arguments])
        code = command(_check, parser)
    lines = said.getvalue().split("\n")[:-1]
    assert code in (DONE, BAD_INPUT)
    assert all(is_one_line(line) and line.startswith(("error: ", "warning: ")) for line in lines)
    assert sum(line.startswith("error: ") for line in lines) == (code == BAD_INPUT)
    return code


def _check(options: argparse.Namespace) -> int:
    check_early(read_spec(options), read_locations(options))
    return DONE
