# PYTHON_ARGCOMPLETE_OK
"""`python -m hpo.run [STUDY] --trials N`: work on a study until it has N finished trials."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hpo.options import (
    DONE,
    Interrupted,
    OneLineParser,
    add_place_options,
    add_study_options,
    check_early,
    command,
    read_locations,
    read_spec,
    say,
    stop_on_signals,
)
from hpo.printable import printable

if TYPE_CHECKING:
    from hpo.runtime.events import View
    from hpo.runtime.finish import Summary
    from hpo.runtime.preparation import Prepared
    from hpo.runtime.watching import Watch
    from hpo.spec.locations import Locations
    from hpo.spec.study import StudySpec


def main() -> int:
    """Create or continue a study and work on it until its budget is met."""
    parser = OneLineParser(
        prog="hpo.run",
        description="Create or continue a study, work on it until it has N finished trials, "
        "and say what came of it.",
        examples=(
            "hpo.run --trials 20",
            "hpo.run --data reviews.csv --model gpt2 --trials 50 --workers 2",
            "hpo.run study.toml --set training.weight_decay=0.1 --dry-run",
            "hpo.run --replay quickstart#17",
        ),
    )
    add_study_options(parser)
    add_place_options(parser)
    parser.add_argument(
        "--workers",
        default="auto",
        metavar="W|auto",
        help="worker processes on this machine (default: auto)",
    )
    parser.add_argument(
        "--timeout", metavar="DURATION", help="stop after e.g. 90s, 30m, 2h; run again to go on"
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="keep no hidden states of frozen blocks"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on standard output at the end"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument(
        "--ui", action="store_true", help="serve the MLflow UI and the Optuna dashboard meanwhile"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done; write nothing but caches"
    )
    parser.add_argument(
        "--replay",
        metavar="STUDY#N",
        help="train that trial again from what is stored of it, and say whether every number is the same",
    )
    return command(_run, parser)


def _run(options: argparse.Namespace) -> int:
    if options.replay:
        from hpo.replaying import replay_trial

        return replay_trial(options)
    from hpo.execution.local_run import asked_workers, run_on_this_machine
    from hpo.search.points import read_points
    from hpo.spec.numbers import parse_duration

    spec, locations = read_spec(options), read_locations(options)
    seconds = parse_duration(options.timeout, "--timeout") if options.timeout else None
    workers = asked_workers(options.workers)
    if options.ui:
        from hpo.execution.dashboard import check_installed

        check_installed()
    check_early(spec, locations)
    points = read_points(options.enqueue, spec)
    if options.dry_run:
        return _tell_plan(options, spec, locations, len(points))
    watch = _watch(options, locations)
    stop_on_signals(watch.stop.ask)
    summary, done = run_on_this_machine(
        spec, locations, watch, workers=workers, points=options.enqueue, seconds=seconds
    )
    if not done:
        _say_stopped(summary, out_of_time=watch.stop.out_of_time)
    if options.json:
        json.dump(summary.as_json(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _tell(summary, locations)
    return DONE


def _watch(options: argparse.Namespace, locations: Locations) -> Watch:
    """The person at the terminal."""
    from hpo.runtime.watching import Standing, Stop, Watch
    from hpo.study_state import StudyState
    from hpo.terminal import make_view, tell_data

    def view(standing: Standing) -> View:
        return make_view(StudyState(**vars(standing)), quiet=options.quiet)

    def data(prepared: Prepared) -> None:
        tell_data(prepared, quiet=options.quiet)

    download = (lambda _line: None) if options.quiet else say
    return Watch(view, Stop(), say, download, data, _uis(options.ui, locations))


def _tell_plan(
    options: argparse.Namespace, spec: StudySpec, locations: Locations, points: int
) -> int:
    from hpo.runtime.plan import plan_of
    from hpo.runtime.preparation import prepare
    from hpo.terminal import tell_data
    from hpo.wrapping import wrapped

    prepared = prepare(spec, locations, *([] if options.quiet else [say]))
    tell_data(prepared, quiet=options.quiet)
    plan = plan_of(spec, prepared, locations, points)
    if options.json:
        json.dump(plan.as_json(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        for line in plan.in_words():
            sys.stdout.write(wrapped(line, sys.stdout) + "\n")
    return DONE


@contextmanager
def _uis(wanted: bool, locations: Locations) -> Iterator[None]:
    """Both UIs meanwhile, where they are wanted."""
    if not wanted:
        yield
        return
    from hpo.execution.servers import uis_meanwhile

    with uis_meanwhile(locations, say):
        yield


def _say_stopped(summary: Summary, *, out_of_time: bool) -> None:
    from hpo.spec.numbers import counted

    finished = counted(summary.counts.finished, "finished trial")
    why = "Time is up" if out_of_time else "Stopped"
    text = f"{why} at {finished}; all is kept. The same command goes on from here."
    if not out_of_time:
        raise Interrupted(text)
    say(text)


def _tell(summary: Summary, locations: Locations) -> None:
    from hpo.links import after_a_run
    from hpo.terminal import print_summary, waiting_in_words

    print_summary(summary, sys.stdout)
    lines = ["", *after_a_run(locations, summary.study_url)]
    if summary.waiting_for_mlflow:
        lines.append(waiting_in_words(summary.waiting_for_mlflow, summary.blocked))
    sys.stdout.write("\n".join(map(printable, lines)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
