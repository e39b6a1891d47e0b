"""A study whose best trials are trained again with new seeds before one of them becomes the champion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from hpo.leases.budget import NoTrial, claim_trial
from hpo.leases.heartbeat import Worker
from hpo.results.champion import Champion
from hpo.results.leaderboard import leaderboard
from hpo.results.refitted import known_refit
from hpo.results.report.facts import read_facts
from hpo.runtime.course import StudyCourse, confirmation_of, is_unconfirmed
from hpo.runtime.events import ConfirmationEvent, Event, TrialEnded
from hpo.runtime.finish import finish_study, known_champion
from hpo.runtime.outcomes import outcome_reader
from hpo.runtime.preparation import prepare
from hpo.runtime.removal import belongings, remove
from hpo.runtime.session import Session, open_session
from hpo.runtime.study_parts import check_idle
from hpo.runtime.trainings import new_texts
from hpo.runtime.wider import joined
from hpo.spec.locations import Locations
from hpo.spec.names import confirmation_name
from hpo.spec.study import StudySpec
from hpo.storage.storage import Storage, open_storage, registered_names
from hpo.studies.confirmations import confirmation_trials, run_key, scored_at
from hpo.studies.overview import overviews
from hpo.studies.progress import progress, studies_with_work
from hpo.studies.registration import submit
from hpo.studies.studies import open_study
from tests.storages import SpecFactory
from tests.tracking.reading import client, runs
from tests.waiting import wait_until

NAME, TRIALS, TOP, SEEDS = "study", 3, 2, 2


@dataclass
class Course:
    """A study through its confirmation, and what was told meanwhile."""

    spec: StudySpec
    storage: Storage
    session: Session
    champion: Champion
    events: list[Event]
    leave: Callable[[], None]

    @property
    def confirming(self) -> list[FrozenTrial]:
        return confirmation_trials(self.session.study)


@pytest.fixture(scope="module")
def spec(make_spec: SpecFactory) -> StudySpec:
    return make_spec(
        NAME,
        space={"freeze_depth": [2, 3], "learning_rate": {"low": 1e-4, "high": 1e-2}},
        study__trials=TRIALS,
        data__max_train_examples=64,
        training__batch_size=32,
        training__epochs=1,
        training__evaluations_per_epoch=1,
        tracking__keep="best",
        confirm__top=TOP,
        confirm__seeds=SEEDS,
    )


@pytest.fixture(scope="module")
def course(locations: Locations, spec: StudySpec) -> Iterator[Course]:
    prepared, events = prepare(spec, locations), list[Event]()
    with open_storage(locations.storage_url) as storage:
        submit(storage, spec)
        with ExitStack() as held:
            opened = open_session(
                storage, NAME, locations, prepared=prepared, on_event=events.append
            )
            session = held.enter_context(opened)
            its = held.enter_context(StudyCourse(session))
            assert its.until_done()
            assert known_champion(session.study) is None
            champion = finish_study(session)
            assert champion is not None
            session.tracker.flush(120)
            yield Course(spec, storage, session, champion, events, held.close)


def test_the_best_are_trained_again_with_the_same_new_seeds(course: Course) -> None:
    best = [entry.number for entry in course.session.study.read(leaderboard)[:TOP]]
    keys = sorted(run_key(trial) for trial in course.confirming)
    assert keys == sorted((number, seed, "new") for number in best for seed in range(SEEDS))
    params = {trial.number: trial.params for trial in course.session.study.load().get_trials()}
    for trial in course.confirming:
        assert trial.state is TrialState.COMPLETE
        assert trial.params == params[run_key(trial)[0]]
    assert len({trial.value for trial in course.confirming}) > 1  # for the seeds are others


def test_each_is_scored_at_the_searchs_best_evaluation_on_texts_that_chose_nothing(
    course: Course,
) -> None:
    entries = {entry.number: entry for entry in course.session.study.read(leaderboard)}
    for trial in course.confirming:
        at = entries[run_key(trial).trial].best_evaluations
        assert scored_at(trial) == at
        assert trial.value == trial.intermediate_values[at[0]]
    prepared = course.session.prepared
    drawn = [new_texts(prepared, repetition) for repetition in range(SEEDS)]
    for texts in drawn:
        assert texts.train.count(prepared.context.data) == len(prepared.context.data.train)
    assert not np.array_equal(drawn[0].validation.indices, drawn[1].validation.indices)


def test_the_champion_is_the_best_mean_and_its_own_trial_is_registered(course: Course) -> None:
    confirmation = course.champion.confirmation
    assert confirmation is not None
    assert confirmation.champion is not None
    entries = course.session.study.read(leaderboard)
    assert confirmation == confirmation_of(course.session.study, entries)
    assert course.champion.number == confirmation.champion.number
    assert course.champion.value == confirmation.champion.found
    assert course.champion.times_tested == 1
    assert confirmation.found.number == entries[0].number
    assert known_champion(course.session.study) == course.champion


def test_it_is_no_study_of_its_own_where_people_look(course: Course, locations: Locations) -> None:
    assert registered_names(locations.storage_url) == [NAME]
    [seen] = overviews(course.storage)
    assert seen.name == NAME
    assert seen.progress.finished == TRIALS
    assert seen.progress.confirmation is not None
    assert seen.progress.confirmation.finished == TOP * SEEDS
    assert seen.progress.is_done
    assert not studies_with_work(course.storage)


def test_its_trainings_are_runs_of_their_own_in_the_experiment_of_the_study(
    course: Course, locations: Locations
) -> None:
    def kinds() -> Counter[str]:
        found = runs(locations.tracking_uri, NAME)
        return Counter(run.info.run_name.partition("-")[0] for run in found)

    expected = {"confirmation": TOP * SEEDS, "trial": TRIALS, confirmation_name(NAME): 1, NAME: 1}
    wait_until(lambda: kinds() == expected, "all runs have arrived", seconds=120, poll_seconds=1)


def test_what_is_told_of_it_is_told_apart_from_the_search(course: Course) -> None:
    ended = [event for event in course.events if isinstance(event, ConfirmationEvent)]
    runs_told = [event.run for event in ended if isinstance(event.event, TrialEnded)]
    assert sorted(filter(None, runs_told)) == sorted(
        run_key(each)[:2] for each in course.confirming
    )
    assert ended[0].title == f"Confirming the best {TOP} with {SEEDS} new seeds each"
    assert sum(isinstance(event, TrialEnded) for event in course.events) == TRIALS


def test_once_confirmed_there_is_nothing_left_to_do(course: Course) -> None:
    before = len(course.confirming)
    assert not is_unconfirmed(course.session.study)
    with StudyCourse(course.session) as again:
        assert again.next_trial() is NoTrial.DONE
    assert finish_study(course.session) == course.champion
    assert len(course.confirming) == before


def test_the_champion_is_trained_once_more_on_all_texts_and_registered_beside_it(
    course: Course, locations: Locations
) -> None:
    confirm = course.spec.confirm.model_copy(update={"refit": "all"})
    submit(course.storage, course.spec.model_copy(update={"confirm": confirm}))
    prepared = course.session.prepared
    with open_session(course.storage, NAME, locations, prepared=prepared) as session:
        assert finish_study(session) == course.champion
        assert finish_study(session) == course.champion  # and it is not done twice
        made = known_refit(session.study.storage, session.study.study_id)
        session.tracker.flush(120)
    assert made is not None
    data = prepared.context.data
    assert made.texts == len(data.train) + len(data.validation) + len(data.test)
    assert (made.number, made.epochs) == (course.champion.number, 1.0)
    assert made.seconds
    assert read_facts(course.storage, NAME).refit_seconds == made.seconds
    registry = client(locations.tracking_uri)
    versions = registry.search_model_versions(f"name='{NAME}'")
    assert len(versions) == 2
    champion, refit = (
        registry.get_model_version_by_alias(NAME, alias) for alias in ("champion", "refit")
    )
    assert champion.version != refit.version
    assert "No text is left that it was not trained on" in refit.description


def test_splits_are_joined_text_by_text(course: Course) -> None:
    data = course.session.prepared.context.data
    both = joined([data.train, data.validation])
    assert len(both) == len(data.train) + len(data.validation)
    for split, offset in ((data.train, 0), (data.validation, len(data.train))):
        for index in (0, len(split) - 1):
            there = both.tokens[both.rows(np.array([offset + index]))]
            assert np.array_equal(there, split.tokens[split.rows(np.array([index]))])
            assert both.labels[offset + index] == split.labels[index]


def test_a_raised_budget_confirms_what_is_not_confirmed_yet(
    course: Course, locations: Locations
) -> None:
    study = course.spec.study.model_copy(update={"trials": TRIALS + 1})
    submit(course.storage, course.spec.model_copy(update={"study": study}))
    with (
        open_session(course.storage, NAME, locations, prepared=course.session.prepared) as session,
        StudyCourse(session) as its,
    ):
        assert its.until_done()
        entries = session.study.read(leaderboard)
        assert len(entries) == TRIALS + 1
        best = {entry.number for entry in entries[:TOP]}
        assert best <= {run_key(trial)[0] for trial in course.confirming}
        assert len({run_key(trial) for trial in course.confirming}) == len(course.confirming)
        assert confirmation_of(session.study, entries) is not None


def test_a_training_that_failed_is_not_tried_again(
    sqlite_storage: Storage, spec: StudySpec
) -> None:
    """Of a study whose trials others have made; nothing is trained here."""
    submit(sqlite_storage, spec.model_copy(update={"study": spec.study}))
    study = open_study(sqlite_storage, NAME)
    for value in (0.7, 0.8, 0.9):
        trial = study.load().ask()
        trial.suggest_categorical("freeze_depth", [2, 3])
        trial.suggest_float("learning_rate", 1e-4, 1e-2)
        study.load().tell(trial, value)
    assert is_unconfirmed(study)
    confirming = open_study(sqlite_storage, confirmation_name(NAME))
    with Worker(sqlite_storage) as worker:
        for values in (None, 0.5, None, 0.6):
            claim = claim_trial(confirming, worker)
            assert not isinstance(claim, NoTrial)
            with claim:
                claim.suggest()
                state = TrialState.FAIL if values is None else TrialState.COMPLETE
                claim.finish(state, values, reason="it did")
        assert claim_trial(confirming, worker) is NoTrial.DONE
    assert not is_unconfirmed(study)
    found = confirmation_of(study, study.read(leaderboard))
    assert found is not None
    assert found.champion is not None
    assert [each.number for each in found.failed] == [2]
    assert (found.champion.number, found.champion.mean) == (1, 0.55)
    assert progress(sqlite_storage, NAME).is_done


def test_what_confirms_a_study_is_deleted_with_it(course: Course, locations: Locations) -> None:
    [study] = overviews(course.storage)
    mine = belongings(course.storage, study, locations)
    assert [part.name for part in mine.parts] == [confirmation_name(NAME), NAME]
    assert mine.trials == TRIALS + 1 + len(course.confirming)
    course.leave()
    remove(
        course.storage,
        mine,
        locations,
        dead=check_idle(course.storage, study, locations.state),
        outcome_of=lambda: outcome_reader(course.storage, locations.state),
    )
    assert optuna.get_all_study_names(course.storage.optuna) == []
    assert not runs(locations.tracking_uri, NAME)
    assert not [path for path in locations.state.rglob("studies/*/*") if path.is_file()]
