# PYTHON_ARGCOMPLETE_OK
"""`python -m hpo.report STUDY… [--output FILE]`: one HTML page about a study, or several side by side."""

from __future__ import annotations

import argparse
import sys

from hpo.completion import offering, stored_studies
from hpo.options import DONE, OneLineParser, add_storage_option, command, say
from hpo.spec.locations import Locations


def main() -> int:
    """Write one HTML page about a study, or several side by side."""
    parser = OneLineParser(
        prog="hpo.report",
        description="Write one HTML page about a study, finished or under way, or about several side by "
        "side. It needs no network: it can be sent, kept and printed.",
        examples=(
            "hpo.report quickstart",
            "hpo.report first second --output comparison.html --overwrite",
        ),
    )
    studies = parser.add_argument("studies", nargs="+", metavar="STUDY", help="the name of a study")
    offering(studies, stored_studies)
    parser.add_argument("--output", metavar="FILE", default="report.html", help="(report.html)")
    parser.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    add_storage_option(parser)
    return command(_report, parser)


def _report(options: argparse.Namespace) -> int:
    from hpo.results.report.writing import report_file, write_report

    target = report_file(options.output, overwrite=options.overwrite)
    names = list(dict.fromkeys(options.studies))
    size = write_report(target, names, Locations.of(storage=options.storage).storage_url)
    say(f"{target}: {', '.join(names)} ({size / 1e6:.1f} MB)")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
