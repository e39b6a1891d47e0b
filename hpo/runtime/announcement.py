"""Before a champion is announced: whether it is where people will look for it, and whole.

What is gone is published again from what is kept; where that cannot be, it is said.
"""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hpo.errors import ModelError, StorageError, StudyGoneError, TrackingError
from hpo.leases.once import Once
from hpo.outbox.outbox import blocked_in
from hpo.results.champion import Champion, publish_again
from hpo.results.leaderboard import leaderboard
from hpo.results.presentation import CHAMPION_KEY, present_study, present_trial, trial_runs
from hpo.runtime.finish import promotion_of
from hpo.runtime.outcomes import set_trial_run
from hpo.runtime.session import Session
from hpo.runtime.trained_part import trained_parts
from hpo.studies.memory import remember
from hpo.tracking.registry import Registered
from hpo.waiting import Deadline

logger = logging.getLogger(__name__)

_FLUSH_SECONDS = 30.0
# Whoever promoted it may be about to publish it, on another machine.
_PATIENCE_SECONDS = 20.0
_LOOK_SECONDS = 1.0


def announce_champion(
    session: Session, champion: Champion, *, republish: bool = True
) -> Registered:
    """Look at what MLflow has of the champion, and tell the study's pages.

    Args:
        session: A study that is finished.
        champion: As the study knows it.
        republish: Whether to publish again what is gone.

    Raises:
        StudyGoneError: The study was deleted.
    """
    seen, study = _seen(session, champion, republish=republish), session.study
    if seen.name not in (None, champion.registered_name):
        champion = replace(champion, registered_name=str(seen.name))
        remember(study.storage, study.study_id, CHAMPION_KEY, champion.as_json())
    present_study(study, session.tracker, champion, seen.uri)
    return seen


def _seen(session: Session, champion: Champion, *, republish: bool) -> Registered:
    if session.tracker.champion_waits(_FLUSH_SECONDS):
        return _waits(session)
    try:
        seen = _look(session, champion)
        if seen.uri is None and republish:
            seen = _mended(session, champion, seen)
    except TrackingError as error:
        return Registered(None, f"MLflow cannot be asked for it ({error.place}: {error.found})")
    _unlink_lost_runs(session, champion.number)
    return seen


def _waits(session: Session) -> Registered:
    state = session.work.state
    why = "".join(f"; MLflow does not take it: {reason}" for reason in blocked_in(state)[:1])
    return Registered(None, f"it waits for MLflow in {state / 'outbox'}{why}")


def _look(session: Session, champion: Champion) -> Registered:
    refusal = session.tracker.refusal()
    if refusal is not None:
        return Registered(None, f"MLflow refuses it: {refusal}")
    return session.tracker.find_champion(
        champion.number, champion.registered_name, champion.source.key
    )


def _mended(session: Session, champion: Champion, seen: Registered) -> Registered:
    """The champion published again; what is to be said where that cannot be."""
    study = session.study
    promotion = Once(study.storage, study.study_id, promotion_of(champion.source))
    deadline = Deadline(_PATIENCE_SECONDS)
    while (turn := promotion.begin()) is None and not deadline.is_over:
        time.sleep(_LOOK_SECONDS)
        seen = _look(session, champion)
        if seen.uri is not None:
            return seen
    with turn or nullcontext():  # whoever has it does not come to an end; twice is as good as once
        return _published_again(session, champion, seen)


def _published_again(session: Session, champion: Champion, seen: Registered) -> Registered:
    study, context = session.study, session.prepared.context
    if session.tracker.refusal() is not None:
        return seen
    entries = study.read(leaderboard)
    try:
        with TemporaryDirectory(prefix="hpo-download-") as folder:
            publish_again(
                champion,
                champion.source.lead_entry(entries),
                trained_parts(session, champion.source, entries, Path(folder)),
                model=context.model,
                tracker=session.tracker,
                study_name=study.name,
                metric=study.spec.study.metric,
            )
    except StudyGoneError:
        raise
    except (ModelError, StorageError, TrackingError) as error:
        return Registered(None, f"{seen.words}, and it cannot be published again: {error}")
    logger.warning("The champion is published again: %s", seen.words)
    if session.tracker.champion_waits(_FLUSH_SECONDS):
        return _waits(session)
    return _look(session, champion)


def _unlink_lost_runs(session: Session, best: int) -> None:
    """Take the links to trials' runs away that MLflow no longer has, and say so.

    Where the best trial's run is there, so are the others: one look at each end of a study is enough.
    """
    study = session.study
    runs = trial_runs(study.storage, study.study_id)
    linked = {number: run_id for number, (run_id, _) in runs.items() if run_id}
    try:
        if best not in linked or not session.tracker.runs_that_are_gone([linked[best]]):
            return
        gone = session.tracker.runs_that_are_gone(linked.values())
    except TrackingError as error:
        logger.info("The trials' runs are not looked for: %s", error)
        return
    lost = sorted(number for number, run_id in linked.items() if run_id in gone)
    for number in lost:
        set_trial_run(study.storage, study.uid, number, run_id=linked[number], url="")
        present_trial(study.storage, study.uid, number)
    logger.warning(
        "MLflow no longer has the runs of %d of %d trials; what came of them is in the storage",
        len(lost),
        len(linked),
    )
