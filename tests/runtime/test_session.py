"""A process's part in studies, with real trials: the same data for all, stops, and studies that are deleted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from hpo.errors import (
    DataError,
    HpoError,
    ModelError,
    StorageError,
    StudyGoneError,
    TrackingError,
)
from hpo.model import frozen_features
from hpo.outbox.spool import Spool, Spooled
from hpo.runtime import study_work
from hpo.runtime.course import StudyCourse
from hpo.runtime.events import Event, FeatureProgress, TrialEnded, TrialEvaluated, TrialStarted
from hpo.runtime.preparation import Prepared, prepare
from hpo.runtime.service import Service
from hpo.runtime.session import open_session
from hpo.spec.locations import Locations
from hpo.spec.study import StudySpec
from hpo.storage.storage import Storage, open_storage
from hpo.studies.progress import progress
from hpo.studies.registration import submit
from hpo.studies.studies import open_study
from tests.storages import SpecFactory
from tests.tracking.reading import run_named

EXAMPLES = 64


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one MLflow store serves all tests, for it takes seconds to be made."""
    return tmp_path_factory.mktemp("session")


@pytest.fixture
def locations(tmp_path: Path, shared: Path) -> Locations:
    return Locations(
        f"sqlite:///{tmp_path}/optuna.db",
        f"sqlite:///{shared}/mlflow.db",
        tmp_path / "state",
        tmp_path / "cache",
        10**9,
    )


@pytest.fixture
def opened(locations: Locations) -> Iterator[Storage]:
    with open_storage(locations.storage_url) as storage:
        yield storage


@pytest.fixture
def spec(make_spec: SpecFactory) -> StudySpec:
    """Two trials of a fraction of a second: the demo's model, all but its last layer frozen."""
    return make_spec(
        space={"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
        study__trials=2,
        data__max_train_examples=EXAMPLES,
        training__batch_size=32,
        training__epochs=1,
        training__freeze_depth=3,
        training__evaluations_per_epoch=1,
    )


def with_other_data(prepared: Prepared) -> Prepared:
    return replace(prepared, data=replace(prepared.data, fingerprint="f" * 64))


def with_another_model(prepared: Prepared) -> Prepared:
    model = replace(prepared.context.model, fingerprint="f" * 64)
    return replace(prepared, context=replace(prepared.context, model=model))


def named(spec: StudySpec, name: str) -> StudySpec:
    return spec.model_copy(update={"study": spec.study.model_copy(update={"name": name})})


@pytest.mark.parametrize(
    ("changed", "kind", "what"),
    [(with_other_data, DataError, "data"), (with_another_model, ModelError, "model")],
)
def test_what_differs_from_what_the_first_session_saw_is_refused_and_the_same_is_not(
    opened: Storage,
    locations: Locations,
    spec: StudySpec,
    changed: Callable[[Prepared], Prepared],
    kind: type[HpoError],
    what: str,
) -> None:
    submit(opened, spec)  # as `hpo.submit --no-check` does, which has not seen the data
    prepared = prepare(spec, locations)
    for _ in range(2):
        with open_session(opened, "study", locations, prepared=prepared):
            pass
    with (
        pytest.raises(kind) as caught,
        open_session(opened, "study", locations, prepared=changed(prepared)),
    ):
        raise AssertionError("the session was opened")
    assert caught.value.place == "study study"
    assert what in caught.value.found
    assert caught.value.hint == f"Put the old {what} back, or use another --name."
    assert caught.value.exit_code == 2


def test_a_stop_while_hidden_states_are_computed_gives_the_trial_back_at_once(
    opened: Storage, locations: Locations, spec: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(frozen_features.PASS_TOKENS, "cpu", 128)  # so that it takes many steps
    submit(opened, spec)
    stop, events = threading.Event(), list[Event]()

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, FeatureProgress):
            stop.set()

    with open_session(
        opened,
        "study",
        locations,
        prepared=prepare(spec, locations),
        on_event=listen,
        should_stop=stop.is_set,
    ) as session:
        assert not StudyCourse(session).until_done()
    computed = [each for each in events if isinstance(each, FeatureProgress)]
    assert len(computed) == 1
    assert computed[0].done < computed[0].total
    assert not any(isinstance(each, TrialEvaluated) for each in events)
    (ended,) = (each for each in events if isinstance(each, TrialEnded))
    assert ended.state == "RELEASED"
    found = progress(opened, "study")
    assert (found.free, found.held, found.failed, found.finished) == (1, 0, 0, 0)
    with opened.read() as connection:
        assert connection.exec_driver_sql("SELECT deaths FROM hpo_claims").scalar_one() == 0
    assert not list(locations.cache.glob("prefix/*/depth-*"))


def serve(
    opened: Storage,
    locations: Locations,
    on_event: Callable[[Event], None],
    on_study: Callable[[str], None] = lambda name: None,
) -> None:
    stop = threading.Event()
    with Service(
        opened, locations, study=None, on_event=on_event, on_study=on_study, stop=stop
    ) as service:
        service.run(exit_when_done=True)


@pytest.mark.parametrize("moment", ["before a trial", "in a trial", "after a trial"])
def test_a_study_deleted_under_a_worker_is_left_and_the_others_are_served(
    opened: Storage, locations: Locations, spec: StudySpec, moment: str
) -> None:
    submit(opened, named(spec, "doomed"), priority=1)
    submit(opened, named(spec, "safe"))
    deleted: list[str] = []

    def delete(at: str) -> None:
        if at == moment and not deleted:
            optuna.delete_study(study_name="doomed", storage=opened.url)
            deleted.append(at)

    def listen(event: Event) -> None:
        if isinstance(event, TrialStarted):
            delete("in a trial")
        elif isinstance(event, TrialEnded):
            delete("after a trial")

    serve(opened, locations, listen, lambda name: delete("before a trial"))
    assert deleted
    assert optuna.get_all_study_names(opened.optuna) == ["safe"]
    assert progress(opened, "safe").is_done


def test_a_study_deleted_and_submitted_anew_is_another_one(
    opened: Storage, locations: Locations, spec: StudySpec
) -> None:
    submit(opened, spec)
    with open_session(opened, "study", locations, prepared=prepare(spec, locations)) as session:
        optuna.delete_study(study_name="study", storage=opened.url)
        submit(opened, spec)
        with pytest.raises(StudyGoneError):
            session.work.next_trial()
    assert open_study(opened, "study").load().get_trials() == []


def test_a_worker_without_the_studys_data_passes_it_over_and_serves_the_others(
    opened: Storage, locations: Locations, spec: StudySpec
) -> None:
    other = with_other_data(prepare(spec, locations)).fingerprints
    submit(opened, named(spec, "not mine"), priority=1, fingerprints=other)
    submit(opened, named(spec, "mine"))
    served: list[str] = []
    stop = threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, TrialEnded) and progress(opened, "mine").is_done:
            stop.set()

    with Service(
        opened, locations, study=None, on_event=listen, on_study=served.append, stop=stop
    ) as service:
        service.run(exit_when_done=True)
    assert served == ["not mine", "mine"]
    assert progress(opened, "not mine").finished == 0
    states = [trial.state for trial in open_study(opened, "mine").load().get_trials()]
    assert states == [TrialState.COMPLETE] * 2


def test_a_model_that_finds_no_room_in_the_outbox_is_logged_when_the_run_is_closed(
    opened: Storage, locations: Locations, spec: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool.add_folder

    def full(self: Spool, source: Path, *, move: bool = False, bounded: bool = True) -> Spooled:
        if bounded:
            raise TrackingError("outbox", found="full", expected="room", hint="Make some.")
        return spool(self, source, move=move, bounded=bounded)

    submit(opened, named(spec, "crowded"))
    monkeypatch.setattr(Spool, "add_folder", full)
    with open_session(opened, "crowded", locations, prepared=prepare(spec, locations)) as session:
        assert StudyCourse(session).until_done()
        tracker = session.work.tracker
    assert tracker.trials_with_models() == {0, 1}
    for name in ("trial-0000", "trial-0001"):
        run = run_named(locations.tracking_uri, "crowded", name)
        assert run.info.status == "FINISHED"
        assert "val/best_accuracy" in run.data.metrics


def test_a_model_is_not_lost_where_the_storage_fails_right_after_its_trial_has_ended(
    opened: Storage, locations: Locations, spec: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StorageError("storage", found="no answer", expected="an answer", hint="Wait.")

    submit(opened, named(spec, "unlucky"))
    prepared = prepare(spec, locations)
    with monkeypatch.context() as faulty:
        faulty.setattr(study_work, "show_with_trial", away)
        with (
            pytest.raises(StorageError),
            open_session(opened, "unlucky", locations, prepared=prepared) as session,
        ):
            StudyCourse(session).until_done()
    with open_session(opened, "unlucky", locations, prepared=prepared) as session:
        assert StudyCourse(session).until_done()
        tracker = session.work.tracker
    assert tracker.trials_with_models() == {0, 1}
    for name in ("trial-0000", "trial-0001", "unlucky"):
        assert run_named(locations.tracking_uri, "unlucky", name).info.status == "FINISHED"
