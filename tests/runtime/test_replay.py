"""Trials trained again from what is stored of them: the same numbers, or what differs, and nothing written."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState
from sqlalchemy import update

from hpo.errors import DataError, OptionError, StorageError, StudyGoneError
from hpo.leases.budget import claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.runtime.course import StudyCourse
from hpo.runtime.preparation import prepare
from hpo.runtime.replay import replay
from hpo.runtime.session import open_session
from hpo.spec.locations import Locations
from hpo.storage.optuna_rows import set_attribute
from hpo.storage.optuna_tables import (
    TRIAL_INTERMEDIATE_VALUES,
    TRIAL_PARAMS,
    TRIAL_SYSTEM_ATTRIBUTES,
)
from hpo.storage.seals import seal_trial
from hpo.storage.storage import Storage, open_storage
from hpo.studies.finished_trials import named_trial
from hpo.studies.provenance import ENVIRONMENTS, changes
from hpo.studies.registration import submit
from hpo.studies.studies import open_study
from tests.storages import SpecFactory

pytestmark = pytest.mark.slow


@pytest.fixture
def locations(tmp_path: Path) -> Locations:
    return Locations(
        f"sqlite:///{tmp_path}/optuna.db",
        f"sqlite:///{tmp_path}/mlflow.db",
        tmp_path / "state",
        tmp_path / "cache",
        10**9,
    )


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    rows = [(f"a {word} film, number {n}", word) for n in range(40) for word in ("good", "bad")]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


@pytest.fixture
def trained(locations: Locations, reviews: Path, make_spec: SpecFactory) -> Callable[..., None]:
    """Makes a study of two trials over the reviews, of a moment each."""

    def train(**keys: object) -> None:
        spec = make_spec(
            space={"learning_rate": {"low": 1e-3, "high": 1e-2}},
            study__trials=2,
            data__source=str(reviews),
            training__batch_size=8,
            training__epochs=1,
            training__freeze_depth=4,
            training__evaluations_per_epoch=3,
            **keys,
        )
        prepared = prepare(spec, locations)
        with open_storage(locations.storage_url) as storage:
            submit(storage, spec)
            with open_session(storage, "study", locations, prepared=prepared) as session:
                assert StudyCourse(session).until_done()

    return train


def edited(locations: Locations, edit: Callable[[Storage, int], None]) -> None:
    """Change something of the first trial, its seal with it."""
    with open_storage(locations.storage_url) as storage:
        trial_id = storage.optuna.get_all_trials(1)[0]._trial_id
        edit(storage, trial_id)
        with storage.write() as connection:
            seal_trial(connection, trial_id)


@pytest.mark.parametrize("folds", [0, 2])
def test_a_trial_gives_the_same_numbers_again_and_nothing_is_written(
    trained: Callable[..., None], locations: Locations, tmp_path: Path, folds: int
) -> None:
    trained(**({"validation__folds": folds} if folds else {}))
    kept = [tmp_path / "optuna.db", tmp_path / "mlflow.db"]
    before = [path.read_bytes() for path in kept]
    replayed = replay("study", 1, locations, lambda _line: None)
    assert replayed.verdict.startswith("Trial 1 of study: all ")
    assert not replayed.changed
    assert replayed.compared > 3
    assert [path.read_bytes() for path in kept] == before


def test_other_numbers_are_told_from_the_first_on_with_what_has_changed(
    trained: Callable[..., None], locations: Locations
) -> None:
    trained()

    def edit(storage: Storage, trial_id: int) -> None:
        values = TRIAL_INTERMEDIATE_VALUES
        with storage.write() as connection:
            connection.execute(
                update(values)
                .where(values.c.trial_id == trial_id, values.c.step == 2)
                .values(intermediate_value=0.123)
            )
            table, before = TRIAL_SYSTEM_ATTRIBUTES, [{"torch": "1.0"}]
            set_attribute(connection, table, trial_id, ENVIRONMENTS, before)

    edited(locations, edit)
    said: list[str] = []
    replayed = replay("study", 0, locations, said.append)
    assert any(line.startswith("changed: torch: 1.0 then, ") for line in said)
    [different] = replayed.different
    assert different.startswith("evaluation 2: 0.123 then, ")
    assert "the first at evaluation 2" in replayed.verdict


def test_another_value_in_the_storage_is_damage(
    trained: Callable[..., None], locations: Locations
) -> None:
    trained()
    with open_storage(locations.storage_url) as storage, storage.write() as connection:
        connection.execute(update(TRIAL_PARAMS).values(param_value=0.002))
    with pytest.raises(StorageError, match="damage"):
        replay("study", 0, locations, lambda _line: None)


def test_other_data_are_refused(
    trained: Callable[..., None], locations: Locations, reviews: Path
) -> None:
    trained()
    reviews.write_text(reviews.read_text().replace("number 7", "number seven"))
    with pytest.raises(DataError, match=r"other data than its trials .* Put the old data back"):
        replay("study", 0, locations, lambda _line: None)


def test_what_cannot_be_replayed_is_told(locations: Locations, make_spec: SpecFactory) -> None:
    def refused(named: str) -> str:
        with pytest.raises((OptionError, StudyGoneError)) as caught:
            replay(*named_trial(named, locations.storage_url), locations, lambda _line: None)
        return str(caught.value)

    assert "no study study; expected a study that was submitted" in refused("study#0")
    with open_storage(locations.storage_url) as storage:
        spec = make_spec(study__trials=3)
        submit(storage, spec, points=[{"learning_rate": 1e-4}, {"learning_rate": 1e-5}])
        study = open_study(storage, "study")
        with Worker(storage) as worker:
            failed, running = (claim_trial(study, worker) for _ in range(2))
            assert isinstance(failed, Claim)
            assert isinstance(running, Claim)
            failed.finish(TrialState.FAIL, reason="the loss is NaN")
            assert "a trial that failed (the loss is NaN)" in refused("study#0")
            assert "a trial that is still under way" in refused("study#1")
            running.suggest()
            running.finish(TrialState.COMPLETE, 0.5)
    assert "no trial 7 among the 2 of the study; " in refused("study#7")
    assert "The nearest is study#1." in refused("study#7")
    assert "Did you mean study?" in refused("studdy#1")
    for named in ("study", "#1", "study#", "study#x", "study#-1"):
        assert "expected a study and the number of one of its trials" in refused(named)


def test_each_attempts_versions_are_compared() -> None:
    then = [{"torch": "1", "numpy": "2", "threads": "1"}, {"torch": "2", "numpy": "2"}]
    now = {"torch": "2", "numpy": "2", "threads": "8", "new": "1"}
    assert changes(then, now) == ["new: nothing then, 1 now", "torch: 1 and 2 then, 2 now"]
    assert changes([], now) == []
