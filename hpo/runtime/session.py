"""One process's part in a study: storage, tracker and heartbeat opened together, closed together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hpo.leases.heartbeat import Worker
from hpo.model.frozen_features import BuildProgress
from hpo.results.presentation import CHAMPION_KEY, present_study
from hpo.runtime.early_checks import check_state, mark_state
from hpo.runtime.events import FeatureProgress, Listener
from hpo.runtime.kept_models import KeptModels
from hpo.runtime.outcomes import outcome_reader, run_linker
from hpo.runtime.preparation import Prepared, prepare
from hpo.runtime.study_work import StudyWork
from hpo.spec.locations import Locations
from hpo.spec.study_file import study_toml
from hpo.storage.storage import Storage
from hpo.studies.fingerprints import check_fingerprints
from hpo.studies.memory import recall
from hpo.studies.reading import note_reading
from hpo.studies.studies import OpenStudy, load_spec, open_study
from hpo.tracking.tracker import StudyTracker
from hpo.tracking.views import TrialsTable
from hpo.training.loop import TrialInterrupted


@dataclass(frozen=True)
class Session:
    """What a process needs to work on a study and to finish it."""

    study: OpenStudy
    prepared: Prepared
    tracker: StudyTracker
    models: KeptModels
    work: StudyWork
    locations: Locations


@contextmanager
def open_session(
    storage: Storage,
    name: str,
    locations: Locations,
    *,
    prepared: Prepared | None = None,
    on_event: Listener = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Session]:
    """Join a registered study.

    Args:
        storage: Where the study is registered.
        name: The study's.
        locations: Where everything else is kept.
        prepared: Its data and model, where the caller has them already.
        on_event: Told of the work on each trial.
        should_stop: Asked after each step, and while hidden states are computed or waited for.

    Raises:
        DataError: The study's trials were trained on other data.
        ModelError: They were trained from another model.
        StudyGoneError: There is no such study.
    """
    if prepared is None:
        prepared = prepare(load_spec(storage, name), locations)
    prepared.context.features.on_progress = _build_progress(on_event, should_stop)
    study = open_study(storage, name, n_layer=prepared.n_layer)
    check_fingerprints(storage, study.study_id, name, prepared.fingerprints)
    note_reading(storage, study.study_id, prepared.reading)
    check_state(locations.state)
    mark_state(locations.state)
    with (
        _open_tracker(study, prepared, locations) as tracker,
        Worker(storage, on_given_up=tracker.fail_attempt) as worker,
    ):
        work = StudyWork(
            study=study,
            prepared=prepared,
            tracker=tracker,
            worker=worker,
            state=locations.state,
            on_event=on_event,
            should_stop=should_stop,
        )
        if recall(storage, study.study_id, CHAMPION_KEY) is None:
            present_study(study, tracker)
        models = KeptModels(locations.state, name, study.uid)
        yield Session(study, prepared, tracker, models, work, locations)


def _open_tracker(study: OpenStudy, prepared: Prepared, locations: Locations) -> StudyTracker:
    return StudyTracker.open(
        locations.tracking_uri,
        study.spec.name,
        locations.state,
        study_uid=study.uid,
        registered_as=study.earlier.registered_as,
        run_name=study.name,
        study_file=study_toml(prepared.spec),
        environment=prepared.environment(),
        dataset=prepared.dataset_info(),
        table=None if study.confirms else _table(study),
        on_run_opened=run_linker(study.storage),
        outcome_of=outcome_reader(study.storage, locations.state),
        system_metrics=prepared.spec.tracking.system_metrics,
    )


def _table(study: OpenStudy) -> TrialsTable:
    return TrialsTable(
        study.spec.study.metric,
        tuple(study.space),
        maximize=study.spec.direction == "maximize",
    )


def _build_progress(on_event: Listener, should_stop: Callable[[], bool]) -> BuildProgress:
    """Tell of hidden states that are computed, and end the trial that waits for them when asked to."""

    def on_progress(depth: int, done: int, total: int) -> None:
        if should_stop():
            raise TrialInterrupted
        on_event(FeatureProgress(depth, done, total))

    return on_progress
