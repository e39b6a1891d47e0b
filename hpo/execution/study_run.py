"""A run of a study: registered, its trials trained here, its champion made, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hpo.execution.executor import Executor, Job
from hpo.execution.machine_resources import machine_resources
from hpo.outbox.outbox import blocked_in, waiting_in
from hpo.results.leaderboard import leaderboard
from hpo.runtime.announcement import announce_champion
from hpo.runtime.course import StudyCourse, is_unconfirmed
from hpo.runtime.events import View
from hpo.runtime.finish import Summary, finish_study, known_champion, summarise, tidy
from hpo.runtime.session import Session, open_session
from hpo.runtime.watching import Standing, Watch
from hpo.search.points import read_points
from hpo.spec.numbers import counted
from hpo.studies.registration import submit
from hpo.studies.studies import open_study

if TYPE_CHECKING:
    from hpo.runtime.preparation import Prepared
    from hpo.spec.locations import Locations
    from hpo.storage.storage import Storage


def run_study(
    storage: Storage,
    prepared: Prepared,
    locations: Locations,
    watch: Watch,
    *,
    executor: Executor | None = None,
    points: Sequence[str] = (),
) -> tuple[Summary, bool]:
    """Create or continue a study, and work on it until its budget is met or it is to stop.

    Args:
        storage: Where it is registered.
        prepared: Its file, data and model.
        locations: Where everything else is kept.
        watch: Who looks at it.
        executor: Its workers; None: this process is the only one.
        points: To be tried next, as JSON.

    Returns:
        The study as it stands then, and whether its budget is met.

    Raises:
        HpoError: What stops it.
    """
    spec = prepared.spec
    asked = read_points(points, spec, prepared.n_layer)
    progress = submit(
        storage, spec, fingerprints=prepared.fingerprints, points=asked, say=watch.say
    )
    entries = open_study(storage, spec.name, n_layer=prepared.n_layer).read(leaderboard)
    if progress.is_searched:
        have = f"its {counted(progress.wanted, 'finished trial')} already ({progress.finished})"
        watch.say(f"Study {spec.name} has {have}.")
        if asked:
            watch.say("Points wait until it is to have more: raise --trials.")
    view = watch.view(
        Standing(
            wanted=progress.wanted,
            finished=progress.finished,
            best=entries[0].value if entries else None,
            maximize=spec.direction == "maximize",
        )
    )
    try:
        with (
            watch.beside,
            open_session(
                storage,
                spec.name,
                locations,
                prepared=prepared,
                on_event=view.on_event,
                should_stop=watch.stop.is_set,
            ) as session,
        ):
            is_over = progress.is_searched and not is_unconfirmed(session.study)
            done = is_over or _train(session, locations, executor, view, watch)
            champion = finish_study(session) if done else known_champion(session.study)
            view.close()
            registered = None
            if champion is not None:
                registered = announce_champion(session, champion, republish=done)
            study_url = session.tracker.study_url
        # Workers that ended with the server away have left outboxes too.
        waiting, blocked = waiting_in(locations.state), blocked_in(locations.state)
        summary = summarise(session.study, champion, study_url, waiting, registered)
        summary = replace(summary, blocked=blocked)
        if done:
            tidy(session)
    finally:
        view.close()
    return summary, done


def _train(
    session: Session,
    locations: Locations,
    executor: Executor | None,
    view: View,
    watch: Watch,
) -> bool:
    if executor is None:
        [resources] = machine_resources(1)
        resources.take()
        with StudyCourse(session) as course:
            return course.until_done()
    jobs = [
        Job(session.study.name, locations, resources)
        for resources in machine_resources(executor.size)
    ]
    return executor.run(jobs, view.on_event, watch.stop.is_set)
