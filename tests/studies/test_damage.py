"""A byte of the database that changes by itself: the same answer or a refusal, and never another answer."""

from __future__ import annotations

import itertools
import json
import random
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState
from sqlalchemy import text

from hpo.errors import StorageError
from hpo.leases.heartbeat import Worker
from hpo.model.saved import TRAINED_FILE
from hpo.model.trial_facts import FACTS_FILE
from hpo.results.leaderboard import leaderboard
from hpo.results.presentation import present_trial
from hpo.runtime.kept_models import KeptModels
from hpo.runtime.outcomes import set_trial_run
from hpo.runtime.trained_part import fetched_part
from hpo.spec.study import StudySpec
from hpo.storage.storage import Storage, check_storage, open_storage
from hpo.studies.registration import submit
from hpo.studies.studies import open_study
from tests.model.trial_facts import SOME_FACTS
from tests.storages import SPACE, SpecFactory
from tests.studies.answers import CHAMPION, TRIALS, all_rows, anew, answer, begin, claimed, restore

SPECS: dict[str, dict[str, Any]] = {
    "tpe": {"pruner": {"name": "successive_halving", "n_startup_trials": 0}},
    "nsga2": {"sampler": {"name": "nsga2", "population_size": 2}},
    "grid": {"space": {name: SPACE[name] for name in ("batch_size", "epochs")}},
}


@dataclass(frozen=True)
class Kept:
    """The bytes of a storage that was closed, its study file, and what a process makes of it."""

    folder: Path
    data: bytes
    spec: StudySpec
    answer: str

    def answer_with(self, position: int, byte: int) -> str:
        """The same with one byte of the file changed. Raises StorageError where it is refused."""
        changed = bytearray(self.data)
        changed[position] = byte
        return answer_of(self.folder, bytes(changed), self.spec)

    def places_of(self, stored: bytes) -> list[int]:
        """Where these bytes begin, anywhere in the file."""
        places, at = [], self.data.find(stored)
        while at >= 0:
            places.append(at)
            at = self.data.find(stored, at + 1)
        assert places, stored
        return places


def answer_of(folder: Path, data: bytes, spec: StudySpec) -> str:
    file = folder / "optuna.db"
    for left in folder.glob("optuna.db*"):
        left.unlink()
    file.write_bytes(data)
    url = f"sqlite:///{file}"
    check_storage(url)
    with open_storage(url, retry_seconds=1) as storage:
        return answer(storage, spec, go_on=True)


@pytest.fixture(scope="module", params=SPECS)
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp(request.param)
    spec = study_of(request.param)
    with open_storage(f"sqlite:///{folder}/optuna.db") as storage:
        begin(storage, spec)
    data = (folder / "optuna.db").read_bytes()
    return Kept(folder, data, spec, answer_of(folder, data, spec))


def study_of(sampler: str) -> StudySpec:
    keys = {"sampler": sampler, "space": SPACE, "pruner": "none", **SPECS[sampler]}
    document = {"study": {"name": "study", "trials": TRIALS}, "search": keys}
    return StudySpec.model_validate(document)


def others(kept: Kept, positions: list[int], dice: random.Random) -> list[str]:
    """Flips at the positions that gave another answer; any exception but a refusal passes through."""
    found: list[str] = []
    refusals: list[StorageError] = []
    for position in positions:
        before = kept.data[position]
        byte = before ^ dice.choice([1 << dice.randrange(8), dice.randrange(1, 256)])
        try:
            if kept.answer_with(position, byte) != kept.answer:
                around = kept.data[max(0, position - 20) : position + 20]
                found.append(f"{before:#x} to {byte:#x} at {position}: {around!r}")
        except StorageError as error:
            refusals.append(error)
    assert refusals, "no flip was noticed at all"
    assert all("optuna.db" in error.place for error in refusals)
    assert not any("\n" in str(error) for error in refusals)
    return found


def test_the_whole_file_gives_the_same_answer_each_time(kept: Kept) -> None:
    assert answer_of(kept.folder, kept.data, kept.spec) == kept.answer


@pytest.mark.slow
def test_a_flip_on_any_page_gives_the_same_answer_or_a_refusal(kept: Kept) -> None:
    dice = random.Random(15)
    pages = [range(at, at + 4096) for at in range(0, len(kept.data), 4096)]
    # Most of a page is zeros that nobody reads.
    written = [[at for at in page if kept.data[at]] for page in pages]
    positions = [dice.choice(page) for page in written if page for _ in range(2)]
    assert others(kept, positions, dice) == []


def test_a_flip_in_what_is_believed_gives_the_same_answer_or_a_refusal(kept: Kept) -> None:
    dice = random.Random(16)
    cells = [struct.pack(">d", 0.32 + 0.07 * index) for index in (0, 6)]
    cells += [struct.pack(">d", 0.3 + 0.07 * 2 + 0.02), b"COMPLETE", b"the loss became nan"]
    cells += [b'"study":{"name":"study"', b'{"number": 3, "value": 0.8125', b"seconds", b"1.5"]
    cells += [b"sha256:", b"hpo:seal", b'CategoricalDistribution"', b"MAXIMIZE", b"CREATE TABLE"]
    positions = []
    for cell in cells:
        place = dice.choice(kept.places_of(cell))
        positions += [place + dice.randrange(len(cell)) for _ in range(2)]
    assert others(kept, positions, dice) == []


# What a bit that turned could make of each cell, in SQL, so that it holds where no file can be flipped.
CHANGES = {
    "value": "UPDATE trial_values SET value = value + 0.125",
    "kind of value": "UPDATE trial_values SET value_type = 'INF_POS'",
    "parameter": "UPDATE trial_params SET param_value = 1",
    "parameter under way": "UPDATE trial_params SET param_value = 1 WHERE trial_id = {resting}",
    "range": "UPDATE trial_params SET distribution_json = replace(distribution_json, '5', '7')",
    "report": "UPDATE trial_intermediate_values SET intermediate_value = 0.25",
    "attribute": "UPDATE trial_user_attributes SET value_json = '0.75' WHERE key = 'accuracy'",
    "reason": "UPDATE trial_user_attributes SET value_json = '\"x\"' WHERE key = 'hpo.reason'",
    "link": "UPDATE trial_user_attributes SET value_json = '\"x\"' WHERE key = 'mlflow_url'",
    "rung": "UPDATE trial_system_attributes SET value_json = '0.9' WHERE key LIKE 'completed_%'",
    "seal": "UPDATE trial_system_attributes SET value_json = '\"x\"' WHERE key = 'hpo:seal'",
    "no JSON": "UPDATE trial_user_attributes SET value_json = '0,75' WHERE key = 'accuracy'",
    "state": "UPDATE trials SET state = 'FAIL' WHERE number = 0",
    "back to work": "UPDATE trials SET state = 'RUNNING' WHERE number = 0",
    "number": "UPDATE trials SET number = 100 WHERE number = 0",
    "number under way": "UPDATE trials SET number = 100 WHERE trial_id = {resting}",
    "end": "UPDATE trials SET datetime_complete = '2001-01-01 00:00:00' WHERE number = 0",
    "study file": "UPDATE hpo_studies SET spec_json = replace(spec_json, 'accuracy', 'log_loss')",
    "budget": "UPDATE hpo_studies SET trials = 4",
    "champion": "UPDATE hpo_memory SET value_json = replace(value_json, '0.8125', '0.9125')",
    "direction": "UPDATE study_directions SET direction = 'MINIMIZE'",
    "status": "UPDATE hpo_claims SET status = 'hold' WHERE trial_id = {resting}",
    "done too early": "UPDATE hpo_claims SET status = 'finished' WHERE trial_id = {resting}",
    "deaths": "UPDATE hpo_claims SET deaths = 2 WHERE trial_id = {resting}",
    "slot": "UPDATE hpo_claims SET grid_slot = 3",
    "a study's attribute": "UPDATE study_system_attributes SET value_json = '{{' WHERE key LIKE '%ver'",
}


def test_whatever_is_changed_behind_our_back_is_refused_with_its_place(storage: Storage) -> None:
    spec = study_of("tpe")
    begin(storage, spec)
    before, tables = answer(anew(storage), spec, go_on=False), all_rows(storage)
    with storage.read() as connection:
        query = text("SELECT trial_id FROM hpo_claims WHERE status = 'free'")
        resting = connection.execute(query).scalar_one()
    for cell, statement in CHANGES.items():
        with storage.write() as connection:
            assert connection.execute(text(statement.format(resting=resting))).rowcount, cell
        with pytest.raises(StorageError) as caught:
            raise AssertionError(f"{cell}: {answer(anew(storage), spec, go_on=False)}")
        assert caught.value.place.startswith(storage.redacted.split("://")[0][:6]), cell
        assert caught.value.hint, cell
        assert caught.value.exit_code == 2
        restore(storage, tables)
    assert answer(anew(storage), spec, go_on=False) == before


def test_what_a_version_without_seals_wrote_is_taken_as_it_is(storage: Storage) -> None:
    spec = study_of("tpe")
    begin(storage, spec)
    before = leaderboard(open_study(anew(storage), "study").load())
    with storage.write() as connection:
        connection.execute(text("DELETE FROM trial_system_attributes WHERE key LIKE 'hpo:%seal'"))
        for table, column in (("hpo_studies", "spec_json"), ("hpo_memory", "value_json")):
            # The seal is a line of its own before the text.
            connection.execute(text(f"UPDATE {table} SET {column} = substr({column}, 73)"))
    found = answer(anew(storage), spec, go_on=False)
    assert repr(before) in found
    assert repr(CHAMPION) in found
    # By now its trials are sealed.
    with storage.write() as connection:
        connection.execute(text("UPDATE trial_values SET value = value + 0.125"))
    with pytest.raises(StorageError, match="study study, trial 0"):
        open_study(anew(storage), "study")


def test_a_trigger_that_says_something_else_is_written_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    open_storage(url).close()
    query = "SELECT sql FROM sqlite_master WHERE name = 'hpo_study_deleted'"
    with open_storage(url) as storage, storage.write() as connection:
        said = connection.execute(text(query)).scalar_one()
        connection.execute(text("DROP TRIGGER hpo_study_deleted"))
        connection.execute(text(said.replace("study_id = OLD", "study_id < OLD")))
    with open_storage(url) as storage, storage.read() as connection:
        assert connection.execute(text(query)).scalar_one() == said


def test_a_damaged_study_leaves_the_others_of_its_file_alone(
    sqlite_storage: Storage, make_spec: SpecFactory
) -> None:
    begin(sqlite_storage, study_of("tpe"))
    submit(sqlite_storage, make_spec("other", study__trials=1))
    with sqlite_storage.write() as connection:
        connection.execute(text("UPDATE trial_values SET value = 0.99"))
    study = open_study(anew(sqlite_storage), "other")
    with Worker(study.storage) as worker:
        claimed(study, worker).suggest()
    with pytest.raises(StorageError, match="study study, trial 0"):
        open_study(anew(sqlite_storage), "study")


@pytest.mark.parametrize(
    ("says", "taken"),
    [
        ({"study": "study", "number": 3}, True),
        ({"study": "its earlier name", "number": 3}, True),
        ({"study": "study", "number": 2}, False),
        ({"study": "other", "number": 3}, False),
        (None, False),
    ],
)
def test_what_mlflow_has_of_a_trial_is_taken_only_where_it_says_so_itself(
    tmp_path: Path, says: object, taken: bool
) -> None:
    (tmp_path / FACTS_FILE).write_text(json.dumps({**SOME_FACTS, "trial": says}))
    (tmp_path / TRAINED_FILE).touch()
    tracker = SimpleNamespace(
        flush=lambda seconds: None,
        download_trial_model=lambda *_: tmp_path,
        left_model=lambda facts: None,
    )
    session: Any = SimpleNamespace(
        models=KeptModels(tmp_path, "study", "u"),
        study=SimpleNamespace(names=("study", "its earlier name")),
        tracker=tracker,
    )
    assert fetched_part(session, 3, tmp_path) == (tmp_path if taken else None)


@pytest.mark.slow
def test_a_trial_that_changes_while_it_is_read_is_not_taken_for_damaged(
    storage: Storage, make_spec: SpecFactory
) -> None:
    submit(storage, make_spec(study__trials=1))
    study = open_study(storage, "study")
    with Worker(storage) as worker:
        claim = claimed(study, worker)
        claim.suggest()
        claim.finish(TrialState.COMPLETE, 0.5)
    done = threading.Event()

    def link_again_and_again() -> None:
        for number in itertools.count():
            if done.is_set():
                return
            run_id = f"{number:032x}"
            set_trial_run(storage, study.uid, claim.number, run_id=run_id, url=f"http://m/{run_id}")

    writers = [threading.Thread(target=link_again_and_again) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(80):
            assert anew(storage).optuna.get_trial(claim.trial_id).value == 0.5
            present_trial(storage, study.uid, claim.number)
    finally:
        done.set()
        for writer in writers:
            writer.join()
