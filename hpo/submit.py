# PYTHON_ARGCOMPLETE_OK
"""`python -m hpo.submit STUDY --trials N`: register a study and its budget for workers elsewhere."""

from __future__ import annotations

import argparse
import sys

from hpo.options import (
    DONE,
    OneLineParser,
    add_place_options,
    add_study_options,
    check_early,
    command,
    read_locations,
    read_spec,
    say,
)
from hpo.printable import printable
from hpo.spec.numbers import whole_number

_WAIT_SECONDS = 15.0  # a database that is just starting


def main() -> int:
    """Register a study and its budget for workers elsewhere."""
    parser = OneLineParser(
        prog="hpo.submit",
        description="Register a study and its budget in the storage for workers elsewhere, and return. "
        "Again with another --trials, it sets the budget anew.",
        examples=("hpo.submit study.toml --trials 100",),
    )
    add_study_options(parser)
    add_place_options(parser)
    parser.add_argument(
        "--priority",
        type=whole_number("--priority"),
        metavar="P",
        help="studies of a higher one are worked on first (default: 0)",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="do not load data and model here first; the workers will",
    )
    return command(_submit, parser)


def _submit(options: argparse.Namespace) -> int:
    from hpo.search.points import read_points
    from hpo.storage.storage import open_storage
    from hpo.studies.registration import submit

    spec, locations = read_spec(options), read_locations(options)
    check_early(spec, locations, wait_seconds=_WAIT_SECONDS)
    fingerprints, points = None, read_points(options.enqueue, spec)
    if not options.no_check:
        from hpo.runtime.preparation import prepare
        from hpo.terminal import tell_data

        prepared = prepare(spec, locations, say)
        tell_data(prepared)
        fingerprints = prepared.fingerprints
        points = read_points(options.enqueue, spec, prepared.n_layer)
    with open_storage(locations.storage_url, wait_seconds=_WAIT_SECONDS) as storage:
        progress = submit(
            storage,
            spec,
            priority=options.priority,
            fingerprints=fingerprints,
            points=points,
            say=say,
        )
    sys.stdout.write(
        f"Study {printable(progress.name)}: {progress.finished} of {progress.wanted} trials finished, "
        f"priority {progress.priority}.\n"
    )
    return DONE


if __name__ == "__main__":
    sys.exit(main())
