"""An ensemble of a finished study made by this process, beside its champion or in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hpo.execution.machine_resources import machine_resources
from hpo.results.ensembles.made import Ensemble
from hpo.results.leaderboard import leaderboard
from hpo.runtime.ensemble_choice import no_complete_trial, shares
from hpo.runtime.ensembling import champion_of_trials, make_ensemble
from hpo.runtime.finish import crown
from hpo.runtime.session import Session, open_session
from hpo.spec.ensemble_methods import USUAL_SIZES, EnsembleMethod
from hpo.spec.locations import Locations
from hpo.storage.storage import Storage
from hpo.studies.progress import progress
from hpo.tracking.keys import CHAMPION_ALIAS


@contextmanager
def open_finished(
    storage: Storage, name: str, locations: Locations, should_stop: Callable[[], bool]
) -> Iterator[Session]:
    """Join a study that has finished trials, with all of this machine.

    Raises:
        ModelError: It has none; nothing is written then.
    """
    if not progress(storage, name).finished:
        raise no_complete_trial(name)
    with open_session(storage, name, locations, should_stop=should_stop) as session:
        [resources] = machine_resources(1)
        resources.take()
        yield session


def ensemble_of(
    session: Session,
    method: EnsembleMethod,
    *,
    size: int | None,
    promote: bool,
    tell: Callable[[str], None],
) -> Ensemble:
    """Make an ensemble, score it honestly and register it.

    Args:
        session: Of the study.
        method: How.
        size: Members at most; None: as many as are usual.
        promote: Make it the study's champion.
        tell: Is told how far it is, in lines for people.
    """
    make = _promoted if promote else make_ensemble
    return make(session, method, size=size, tell=tell)


def _promoted(
    session: Session, method: EnsembleMethod, *, size: int | None, tell: Callable[[str], None]
) -> Ensemble:
    """The ensemble, as the study's champion."""
    source, comparison = champion_of_trials(session, method, size=size, tell=tell)
    entries = session.study.read(leaderboard)
    champion = crown(session, entries, source, comparison.ensemble)
    assert source.combination is not None
    return Ensemble(
        method=method,
        size=size or USUAL_SIZES[method],
        members=source.trials,
        weights=shares(source.combination),
        of_trials=tuple(entry.number for entry in entries),
        comparison=comparison,
        test=champion.test,
        registered_name=champion.registered_name,
        alias=CHAMPION_ALIAS,
        times_tested=champion.times_tested,
    )
