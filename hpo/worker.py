# PYTHON_ARGCOMPLETE_OK
"""`python -m hpo.worker`: take trials of the studies in a storage whose budgets are not met."""

from __future__ import annotations

import argparse
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from hpo.completion import offering, stored_studies
from hpo.options import (
    DONE,
    OneLineParser,
    add_place_options,
    check_early,
    command,
    read_locations,
    say,
    settle_places,
    stop_on_signals,
)
from hpo.spec.numbers import whole_number

if TYPE_CHECKING:
    from hpo.runtime.events import Event
    from hpo.spec.locations import Locations
    from hpo.tracking.registry import Registered

_LOOK_SECONDS = 2.0
_MOST_THREADS = 4096
_WAIT_SECONDS = 120.0  # a database that starts with the rest of a compose file


def main() -> int:
    """Take trials of the studies in a storage."""
    parser = OneLineParser(
        prog="hpo.worker",
        description="Take trials of any (or one) study in the storage whose budget is not met, the highest "
        "priority first; wait for more; stop cleanly on SIGTERM, the trial at work given back.",
        examples=("hpo.worker", "hpo.worker --storage postgresql://user@host/hpo"),
    )
    study = parser.add_argument("--study", metavar="NAME", help="work on this study only")
    offering(study, stored_studies)
    add_place_options(parser)
    parser.add_argument(
        "--threads",
        type=whole_number("--threads", least=1, most=_MOST_THREADS),
        metavar="N",
        help="threads of this worker (default: all cores)",
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="keep no hidden states of frozen blocks"
    )
    parser.add_argument(
        "--exit-when-done", action="store_true", help="end when no study has budget left"
    )
    parser.add_argument("--quiet", action="store_true", help="no line for each trial")
    return command(_work, parser)


def _work(options: argparse.Namespace) -> int:
    locations = read_locations(options)
    check_early(None, locations, wait_seconds=_WAIT_SECONDS)
    stop = threading.Event()
    stop_on_signals(stop.set)
    if not _has_something_to_serve(options, locations):
        return DONE
    if not _storage_is_there(locations, stop):
        say("stopped cleanly")
        return DONE
    from hpo.execution.machine_resources import WorkerResources, available_cores
    from hpo.runtime.service import Service
    from hpo.storage.storage import open_storage

    settle_places(locations)
    WorkerResources(options.threads or available_cores()).take()
    with (
        suppress(KeyboardInterrupt),  # while data are fetched
        open_storage(locations.storage_url, wait_seconds=_WAIT_SECONDS) as storage,
        Service(
            storage,
            locations,
            study=options.study,
            on_event=(lambda event: None) if options.quiet else _tell,
            on_study=lambda name: say(f"working on study {name}"),
            on_champion=_tell_champion,
            stop=stop,
        ) as service,
    ):
        service.run(exit_when_done=options.exit_when_done)
    say("stopped cleanly")
    return DONE


def _tell_champion(study: str, seen: Registered) -> None:
    if seen.uri is None:
        say(f"warning: the champion of study {study} is not registered: {seen.words}")
    else:
        say(f"champion of study {study}: {seen.uri}" + (f" ({seen.words})" if seen.words else ""))


def _has_something_to_serve(options: argparse.Namespace, locations: Locations) -> bool:
    """Whether there is work, or there may be; creates nothing. Raises StudyGoneError.

    A worker may be started before its study is submitted, as compose starts all services at once; one
    that ends when all is done has nothing to wait for.
    """
    from hpo.redaction import redacted
    from hpo.storage.storage import registered_names
    from hpo.studies.renamed import WAY_ON, study_not_found

    names = registered_names(locations.storage_url)
    if options.study is None or options.study in names:
        if names:
            return True
        what_then = "nothing to do" if options.exit_when_done else "waiting until one is submitted"
        say(f"no study in {redacted(locations.storage_url)}: {what_then}")
        return not options.exit_when_done
    unknown = study_not_found(locations.storage_url, options.study, names)
    if options.exit_when_done or unknown.hint == WAY_ON:
        raise unknown
    say(f"no study {options.study} yet: waiting until it is submitted ({unknown.hint})")
    return True


def _storage_is_there(locations: Locations, stop: threading.Event) -> bool:
    """Wait until somebody has submitted a study to a SQLite file; whether to go on.

    On a server whoever comes first makes the tables, for other services wait for them too.
    """
    from hpo.storage.storage import registered_names

    url = locations.storage_url
    while url.startswith("sqlite") and not registered_names(url):
        if stop.wait(_LOOK_SECONDS):
            return False
    return True


def _tell(event: Event) -> None:
    from hpo.runtime.events import TrialEnded, TrialStarted, bare, name_of

    told, name = bare(event), name_of(event)
    match told:
        case TrialStarted():
            say(f"{name} begun (attempt {told.attempt})")
        case TrialEnded():
            value = "" if told.value is None else f" {told.value:.4f}"
            reason = f" ({told.reason})" if told.reason else ""
            say(f"{name} {told.state.lower()}{value} in {told.seconds:.1f} s{reason}")


if __name__ == "__main__":
    sys.exit(main())
