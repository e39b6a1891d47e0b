"""`python -m hpo.run [STUDY] --trials N`: work on a study until it has N finished trials."""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hpo.errors import OptionError
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
    settle_places,
    stop_on_signals,
)
from hpo.printable import printable

if TYPE_CHECKING:
    from hpo.execution.executor import Executor
    from hpo.runtime.finish import Summary
    from hpo.runtime.preparation import Prepared
    from hpo.runtime.session import Session
    from hpo.spec.locations import Locations
    from hpo.spec.study import StudySpec
    from hpo.storage.storage import Storage
    from hpo.terminal import View


class _Stop:
    """A request to stop, and whether a person or the clock made it."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.out_of_time = False

    def ask(self) -> None:
        self._asked.set()

    def say_time_is_up(self) -> None:
        self.out_of_time = not self._asked.is_set()
        self._asked.set()

    def is_set(self) -> bool:
        return self._asked.is_set()


def main() -> int:
    """Create or continue a study and work on it until its budget is met."""
    parser = OneLineParser(
        prog="hpo.run",
        description="Create or continue a study, work on it until it has N finished trials, "
        "and say what came of it.",
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
    from hpo.search.points import read_points
    from hpo.spec.numbers import parse_duration

    spec, locations = read_spec(options), read_locations(options)
    seconds = parse_duration(options.timeout, "--timeout") if options.timeout else None
    asked = _asked_workers(options.workers)
    if options.ui:
        from hpo.execution.dashboard import check_installed

        check_installed()
    check_early(spec, locations)
    read_points(options.enqueue, spec)
    if options.dry_run:
        return _tell_plan(options, spec, locations)
    stop = _Stop()
    stop_on_signals(stop.ask)
    with _early_workers(asked) as executor:
        from hpo.runtime.preparation import prepare
        from hpo.storage.storage import open_storage
        from hpo.terminal import tell_data

        prepared = prepare(spec, locations, *([] if options.quiet else [say]))
        tell_data(prepared, quiet=options.quiet)
        settle_places(locations)
        with open_storage(locations.storage_url) as storage:
            if seconds is not None:
                timer = threading.Timer(seconds, stop.say_time_is_up)
                timer.daemon = True
                timer.start()
            summary = _work(options, spec, prepared, locations, storage, executor, stop)
    if options.json:
        json.dump(summary.as_json(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _tell(summary, locations)
    return DONE


def _tell_plan(options: argparse.Namespace, spec: StudySpec, locations: Locations) -> int:
    from hpo.runtime.plan import plan_of
    from hpo.runtime.preparation import prepare
    from hpo.terminal import tell_data
    from hpo.wrapping import wrapped

    prepared = prepare(spec, locations, *([] if options.quiet else [say]))
    tell_data(prepared, quiet=options.quiet)
    plan = plan_of(spec, prepared, locations)
    if options.json:
        json.dump(plan.as_json(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        for line in plan.in_words():
            sys.stdout.write(wrapped(line, sys.stdout) + "\n")
    return DONE


def _work(
    options: argparse.Namespace,
    spec: StudySpec,
    prepared: Prepared,
    locations: Locations,
    storage: Storage,
    executor: Executor | None,
    stop: _Stop,
) -> Summary:
    from hpo.outbox.outbox import waiting_in
    from hpo.results.leaderboard import leaderboard
    from hpo.runtime.confirmation import confirm_champion
    from hpo.runtime.finish import finish_study, known_champion, summarise, tidy
    from hpo.runtime.session import open_session
    from hpo.search.points import read_points
    from hpo.studies.registration import submit
    from hpo.studies.studies import open_study
    from hpo.terminal import StudyState, make_view

    points = read_points(options.enqueue, spec, prepared.n_layer)
    progress = submit(storage, spec, fingerprints=prepared.fingerprints, points=points, say=say)
    entries = open_study(storage, spec.name, n_layer=prepared.n_layer).read(leaderboard)
    state = StudyState(
        wanted=progress.wanted,
        finished=progress.finished,
        best=entries[0].value if entries else None,
        maximize=spec.direction == "maximize",
    )
    if progress.is_done:
        have = f"its {progress.wanted} finished trials already ({progress.finished})"
        say(f"Study {spec.name} has {have}.")
        if points:
            say("Points wait until it is to have more: raise --trials.")
    view = make_view(state, quiet=options.quiet)
    try:
        with (
            _uis(options.ui, locations),
            open_session(
                storage,
                spec.name,
                locations,
                prepared=prepared,
                on_event=view.on_event,
                should_stop=stop.is_set,
            ) as session,
        ):
            done = progress.is_done or _train(session, locations, executor, view, stop)
            champion = finish_study(session) if done else known_champion(session.study)
            view.close()
            registered = None
            if champion is not None:
                registered = confirm_champion(session, champion, republish=done)
            study_url = session.tracker.study_url
        # Workers that ended with the server away have left outboxes too.
        waiting = waiting_in(locations.state)
        summary = summarise(session.study, champion, study_url, waiting, registered)
        if done:
            tidy(session)
    finally:
        view.close()
    if not done:
        _say_stopped(summary, out_of_time=stop.out_of_time)
    return summary


def _train(
    session: Session,
    locations: Locations,
    executor: Executor | None,
    view: View,
    stop: _Stop,
) -> bool:
    from hpo.execution.executor import Job
    from hpo.execution.machine_resources import machine_resources

    if executor is None:
        [resources] = machine_resources(1)
        resources.take()
        return session.work.until_done()
    jobs = [
        Job(session.study.name, locations, resources)
        for resources in machine_resources(executor.size)
    ]
    return executor.run(jobs, view.on_event, stop.is_set)


@contextmanager
def _uis(wanted: bool, locations: Locations) -> Iterator[None]:
    """Both UIs meanwhile, where they are wanted."""
    if not wanted:
        yield
        return
    from hpo.execution.servers import uis_meanwhile

    with uis_meanwhile(locations, say):
        yield


@contextmanager
def _early_workers(workers: int) -> Iterator[Executor | None]:
    """Worker processes that begin their imports while this one checks; None for one worker."""
    if workers == 1:
        yield None
        return
    from hpo.execution.processes import WorkerPool

    pool = WorkerPool(workers)
    try:
        yield pool
    finally:
        pool.close()


def _asked_workers(text: str) -> int:
    from hpo.execution.machine_resources import automatic_workers

    if text == "auto":
        return automatic_workers()
    if re.fullmatch(r"[0-9]{1,4}", text) and int(text) >= 1:
        return int(text)
    expected = "auto, or a number of 1 or more"
    if text.isdecimal() and len(text) > 4:
        expected = "auto, or a number of four digits at most"
    raise OptionError(
        "--workers", found=repr(text), expected=expected, hint="Write e.g. --workers 2."
    )


def _say_stopped(summary: Summary, *, out_of_time: bool) -> None:
    finished = summary.counts.finished
    why = "Time is up" if out_of_time else "Stopped"
    text = f"{why} at {finished} finished trials; all is kept. The same command goes on from here."
    if not out_of_time:
        raise Interrupted(text)
    say(text)


def _tell(summary: Summary, locations: Locations) -> None:
    from hpo.links import after_a_run
    from hpo.terminal import print_summary

    print_summary(summary, sys.stdout)
    lines = ["", *after_a_run(locations, summary.study_url)]
    if summary.waiting_for_mlflow:
        lines.append(
            f"{summary.waiting_for_mlflow} operations still wait for MLflow; "
            "the next run, or `python -m hpo.doctor --flush`, sends them."
        )
    sys.stdout.write("\n".join(map(printable, lines)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
