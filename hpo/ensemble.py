# PYTHON_ARGCOMPLETE_OK
"""`python -m hpo.ensemble STUDY --method M`: make an ensemble of a finished study's trials."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from typing import TYPE_CHECKING

from hpo.completion import offering, stored_studies
from hpo.options import (
    DONE,
    Interrupted,
    OneLineParser,
    add_place_options,
    check_early,
    command,
    read_locations,
    say,
    settle_places,
    stop_on_signals,
)
from hpo.printable import printable
from hpo.spec.ensemble_methods import USUAL_SIZES
from hpo.spec.numbers import whole_number

if TYPE_CHECKING:
    from hpo.results.ensembles.made import Ensemble
    from hpo.runtime.session import Session
    from hpo.spec.locations import Locations
    from hpo.storage.storage import Storage

_STOPPED = "Stopped; members that are finished are kept. The same command goes on from here."


def main() -> int:
    """Make an ensemble of a finished study's trials, score it honestly and register it."""
    parser = OneLineParser(
        prog="hpo.ensemble",
        description="Make an ensemble of a study's complete trials, compare it with the best single "
        "trial on validation texts that neither was chosen by, test it once, and register it "
        "beside the study's champion with the alias `ensemble`.",
        examples=("hpo.ensemble quickstart --method greedy",),
    )
    study = parser.add_argument(
        "study",
        nargs="?",
        default="quickstart",
        metavar="STUDY",
        help="name of a study in the storage (quickstart)",
    )
    offering(study, stored_studies)
    parser.add_argument(
        "--method",
        default="greedy",
        choices=list(USUAL_SIZES),
        metavar="METHOD",
        help="of the study's trials: vote (mean of the best), greedy (the usual one; Caruana et al., 2004), stacking, "
        "soup and uniform_soup (one model, mean of the weights); with training: bagging, boosting",
    )
    parser.add_argument(
        "--size",
        type=whole_number("--size", least=2, most=100),
        metavar="N",
        help="members at most, or rounds of greedy ("
        + ", ".join(f"{method} {size}" for method, size in USUAL_SIZES.items())
        + ")",
    )
    parser.add_argument(
        "--promote",
        action="store_true",
        help="make it the study's champion, in place of the best trial (vote, greedy, stacking)",
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on standard output at the end"
    )
    add_place_options(parser)
    return command(_ensemble, parser)


def _ensemble(options: argparse.Namespace) -> int:
    locations = read_locations(options)
    _check_name(options.study, locations)
    check_early(None, locations)
    stop = threading.Event()
    stop_on_signals(stop.set)
    from hpo.storage.storage import open_storage

    settle_places(locations)
    with open_storage(locations.storage_url) as storage:
        try:
            ensemble, lines = _make(options, storage, locations, stop)
        except KeyboardInterrupt as stopped:
            raise Interrupted(_STOPPED) from stopped
    if options.json:
        json.dump(ensemble.as_json(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("\n".join(map(printable, lines)) + "\n")
    return DONE


def _make(
    options: argparse.Namespace, storage: Storage, locations: Locations, stop: threading.Event
) -> tuple[Ensemble, list[str]]:
    """The ensemble, and what people are told of it."""
    from hpo.execution.ensemble_run import ensemble_of, open_finished

    with open_finished(storage, options.study, locations, stop.is_set) as session:
        ensemble = ensemble_of(
            session, options.method, size=options.size, promote=options.promote, tell=say
        )
        lines = ensemble.in_words(session.study.spec.study.metric)
        _tell_of_mlflow(session, ensemble)
    return ensemble, lines


def _tell_of_mlflow(session: Session, ensemble: Ensemble) -> None:
    """Say where it is, unless that is where everybody will look."""
    from hpo.errors import TrackingError
    from hpo.results.ensembles.publishing import find_ensemble
    from hpo.tracking.keys import ENSEMBLE_ALIAS

    refusal = session.tracker.refusal()
    if refusal is not None:
        say(f"warning: MLflow did not take it: {refusal}")
    elif session.tracker.champion_waits(60.0):
        say("warning: it still waits for MLflow; the next run sends it")
    elif ensemble.alias == ENSEMBLE_ALIAS:
        try:
            seen = find_ensemble(ensemble, session.tracker)
        except TrackingError as error:
            say(f"warning: MLflow cannot be asked for it ({error.found})")
            return
        if seen.uri is None:
            say(f"warning: it is not registered, for {seen.words}")
        elif seen.uri != ensemble.uri:
            say(f"note: {ensemble.uri} is another one by now; this one is {seen.uri}")


def _check_name(name: str, locations: Locations) -> None:
    """Raise StudyGoneError for a study that is not there, before anything slow is imported."""
    from hpo.studies.renamed import check_registered

    check_registered(locations.storage_url, name)


if __name__ == "__main__":
    sys.exit(main())
