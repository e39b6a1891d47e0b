"""`python -m hpo.report STUDY… [--output FILE]`: one HTML page about a study, or several side by side."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hpo.errors import DiskError, OptionError
from hpo.options import DONE, OneLineParser, add_storage_option, command, say
from hpo.spec.locations import Locations, path_of, why_unwritable

_EXAMPLES = """\
examples:
  hpo.report quickstart
  hpo.report first second --output comparison.html --overwrite
"""


def main() -> int:
    """Write one HTML page about a study, or several side by side."""
    parser = OneLineParser(
        prog="hpo.report",
        description="Write one HTML page about a study, finished or under way, or about several side by "
        "side. It needs no network: it can be sent, kept and printed.",
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="the name of a study")
    parser.add_argument("--output", metavar="FILE", default="report.html", help="(report.html)")
    parser.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    add_storage_option(parser)
    return command(_report, parser)


def _report(options: argparse.Namespace) -> int:
    target = _target(options.output, overwrite=options.overwrite)
    names = list(dict.fromkeys(options.studies))
    locations = Locations.of(storage=options.storage)
    page = _page(names, locations.storage_url)
    from hpo.atomic import write_whole

    try:
        write_whole(target, page.encode(), durable=False)
    except OSError as error:
        raise DiskError(
            str(target),
            found=error.strerror or str(error),
            expected="a file that can be written",
            hint="Free some space, or name another --output.",
        ) from error
    say(f"{target}: {', '.join(names)} ({len(page.encode()) / 1e6:.1f} MB)")
    return DONE


def _target(text: str, *, overwrite: bool) -> Path:
    """Where the page is to be written. Raises OptionError where it cannot be."""
    target = path_of(text, _unusable)
    folder = target.absolute().parent
    if target.is_dir():
        raise _unusable("a folder")
    if not folder.is_dir():
        raise _unusable(f"no folder {target.parent}")
    reason = why_unwritable(folder)
    if reason is not None:
        raise _unusable(f"the folder {target.parent}, which cannot be written ({reason})")
    if target.exists() and not overwrite:
        raise OptionError(
            "--output",
            found=f"{target}, which exists",
            expected="a new file",
            hint="Name another with --output, or add --overwrite.",
        )
    return target


def _unusable(found: str) -> OptionError:
    return OptionError("--output", found=found, expected="the path of a file", hint="Correct it.")


def _page(names: list[str], url: str) -> str:
    """The report of the studies.

    Raises:
        StudyGoneError: One of them is not there.
        StorageError: The storage cannot be used.
    """
    from hpo.storage.storage import open_storage, registered_names
    from hpo.studies.renamed import study_not_found

    known = registered_names(url)
    for name in names:
        if name not in known:
            raise study_not_found(url, name, known)
    from hpo.results.report.facts import read_facts
    from hpo.results.report.page import report_page

    with open_storage(url) as storage:
        return report_page([read_facts(storage, name) for name in names])


if __name__ == "__main__":
    sys.exit(main())
