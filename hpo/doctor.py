# PYTHON_ARGCOMPLETE_OK
"""`python -m hpo.doctor`: check storage, tracking server, device, hub, cache and disk."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from hpo.errors import OptionError
from hpo.options import (
    DONE,
    FAILED,
    OneLineParser,
    add_place_options,
    command,
    read_locations,
)
from hpo.printable import printable

if TYPE_CHECKING:
    from hpo.execution.checkup import Finding

_SIGNS = {"ok": "ok  ", "note": "note", "fault": "FAIL"}


def main() -> int:
    """Check storage, tracking server, device, hub, cache and disk."""
    parser = OneLineParser(
        prog="hpo.doctor",
        description="Check what a study needs, say what is wrong and how to mend it. Exit code 1 if anything is.",
        examples=("hpo.doctor", "hpo.doctor --flush"),
    )
    add_place_options(parser)
    parser.add_argument(
        "--flush",
        action="store_true",
        help="send what still waits for MLflow, from whatever process it was left by, and what it refused",
    )
    parser.add_argument(
        "--timeout",
        metavar="DURATION",
        help="how long --flush may take (default: 2m)",
    )
    return command(_examine, parser)


def _examine(options: argparse.Namespace) -> int:
    from hpo.execution.checkup import checkup, flush
    from hpo.spec.numbers import parse_duration

    locations = read_locations(options)
    seconds = parse_duration(options.timeout or "2m", "--timeout")
    if options.timeout is not None and not options.flush:
        raise OptionError(
            "--timeout",
            found="it without --flush",
            expected="--flush, which it limits",
            hint="Add --flush, or leave it out.",
        )
    findings = [flush(locations, seconds)] if options.flush else []
    for finding in findings:
        _show(finding)
    for finding in checkup(locations):
        findings.append(finding)
        _show(finding)
    return FAILED if any(finding.grade == "fault" for finding in findings) else DONE


def _show(finding: Finding) -> None:
    said = printable(f"{finding.subject}: {finding.words}")
    hint = f"\n      {printable(finding.hint)}" if finding.hint else ""
    sys.stdout.write(f"{_SIGNS[finding.grade]}  {said}{hint}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
