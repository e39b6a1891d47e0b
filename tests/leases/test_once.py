"""What a study wants done once: by one process at a time, whatever the clocks of the machines say."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import StudyGoneError
from hpo.leases.liveness import this_worker
from hpo.leases.once import Once, TurnLost
from hpo.runtime import finish
from hpo.runtime.course import StudyCourse
from hpo.runtime.finish import finish_study, known_champion
from hpo.runtime.preparation import prepare
from hpo.runtime.session import Session, open_session
from hpo.spec.locations import Locations
from hpo.storage.storage import Storage, open_storage
from hpo.studies.memory import recall, remember
from hpo.studies.registration import submit
from tests.leases.test_liveness import StoppedClock
from tests.storages import SpecFactory

FORK = multiprocessing.get_context("fork")
LEASE, HOUR, KEY, RESULT = 0.8, 3600.0, "crowning trial 3", "champion"


@pytest.fixture
def study_id(storage: Storage, make_spec: SpecFactory) -> int:
    return submit(storage, make_spec()).study_id


def gets(once: Once) -> bool:
    turn = once.begin()
    if turn is None:
        return False
    with turn:
        return True


def until_it_gets(once: Once) -> float:
    """Ask until the turn is ours; how many seconds that took."""
    began = time.monotonic()
    while not gets(once):
        time.sleep(LEASE / 8)
        assert time.monotonic() - began < 30 * LEASE
    return time.monotonic() - began


def in_another_process(act: Callable[[Connection], None]) -> tuple[Any, Connection]:
    """`act` in a process of its own, and the other end of what it is given to talk by."""
    here, there = FORK.Pipe()
    process = FORK.Process(target=act, args=(there,), daemon=True)
    process.start()
    return process, here


def test_of_all_who_ask_at_once_one_gets_the_turn(storage: Storage, study_id: int) -> None:
    together, turns = threading.Barrier(6), []

    def ask(number: int) -> None:
        once = Once(storage, study_id, KEY, machine=f"machine {number}")
        together.wait()
        turns.append(once.begin())

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(turn is not None for turn in turns) == 1


def test_a_turn_is_anothers_once_its_block_has_ended_well_or_not(
    storage: Storage, study_id: int
) -> None:
    mine, theirs = Once(storage, study_id, KEY), Once(storage, study_id, KEY, machine="elsewhere")
    turn = mine.begin()
    assert turn is not None
    with turn:
        assert not gets(theirs)
        assert not gets(mine)
        assert gets(Once(storage, study_id, "crowning trial 4"))
    assert gets(theirs)
    turn = mine.begin()
    assert turn is not None
    with pytest.raises(OSError, match="full"), turn:
        raise OSError("full")
    assert gets(theirs)


def test_what_came_of_it_is_kept_with_the_end_of_the_turn(storage: Storage, study_id: int) -> None:
    turn, theirs = Once(storage, study_id, KEY).begin(), Once(storage, study_id, KEY, machine="b")
    assert turn is not None
    with turn:
        turn.check()
        turn.end_with(RESULT, {"number": 3})
        turn.end_with(RESULT, {"number": 3})  # its answer was lost, so it is said again
        assert recall(storage, study_id, RESULT) == {"number": 3}
        assert gets(theirs)  # there is nothing left to wait for


def test_a_holder_that_lost_its_turn_keeps_nothing_and_leaves_the_other_alone(
    storage: Storage, study_id: int
) -> None:
    clock = StoppedClock()
    lost, theirs = (
        Once(storage, study_id, KEY).begin(),
        Once(storage, study_id, KEY, lease_seconds=60, machine="elsewhere", clock=clock),
    )
    assert lost is not None  # and never entered: it does not beat
    for _ in range(4):
        assert theirs.begin() is None
        clock.now += 15
    turn = theirs.begin()
    assert turn is not None
    with pytest.raises(TurnLost), lost:
        lost.check()
    with pytest.raises(TurnLost):
        lost.end_with(RESULT, {"number": 7})
    assert recall(storage, study_id, RESULT) is None
    turn.check()
    assert not gets(Once(storage, study_id, KEY, machine="a third"))


@pytest.mark.parametrize("offset", [HOUR, -HOUR])
def test_a_living_holder_whose_clock_is_off_is_never_overtaken_and_a_silent_one_after_the_lease(
    storage_url: str, make_spec: SpecFactory, monkeypatch: pytest.MonkeyPatch, offset: float
) -> None:
    def hold(pipe: Connection) -> None:
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + offset)
        with open_storage(storage_url) as storage:
            turn = Once(storage, study_id, KEY, machine="far", lease_seconds=LEASE).begin()
            assert turn is not None
            with turn:
                pipe.send("begun")
                pipe.recv()

    with open_storage(storage_url) as storage:
        study_id = submit(storage, make_spec()).study_id
        storage.engine.dispose()  # no connection is shared with the child
        process, pipe = in_another_process(hold)
        assert pipe.recv() == "begun"
        once = Once(storage, study_id, KEY, machine="near", lease_seconds=LEASE)
        ends = time.monotonic() + 5 * LEASE
        while time.monotonic() < ends:
            assert not gets(once)
            time.sleep(LEASE / 8)
        os.kill(process.pid, signal.SIGSTOP)  # alive, as far as the process table says
        assert until_it_gets(once) > LEASE / 2
        os.kill(process.pid, signal.SIGKILL)
        process.join()


def test_a_holder_of_this_machine_that_died_has_lost_its_turn_at_once(
    storage_url: str, make_spec: SpecFactory
) -> None:
    def die(pipe: Connection) -> None:
        with open_storage(storage_url) as storage:
            assert Once(storage, study_id, KEY).begin() is not None
            pipe.send("begun")
            os.kill(os.getpid(), signal.SIGKILL)

    with open_storage(storage_url) as storage:
        study_id = submit(storage, make_spec()).study_id
        storage.engine.dispose()
        process, pipe = in_another_process(die)
        assert pipe.recv() == "begun"
        process.join()
        assert gets(Once(storage, study_id, KEY))


@pytest.mark.parametrize("begun", [-HOUR, 0.0, HOUR])
def test_a_holder_of_an_earlier_version_counts_as_one_that_never_beats(
    storage: Storage, study_id: int, begun: float
) -> None:
    me, clock = this_worker(), StoppedClock()
    row = {"pid": me.pid, "started": me.process_started, "begun": time.time() + begun}
    remember(storage, study_id, KEY, {**row, "machine": "far"})
    once = Once(storage, study_id, KEY, lease_seconds=60, clock=clock)
    for _ in range(4):
        assert not gets(once)
        clock.now += 15
    assert gets(once)
    remember(storage, study_id, KEY, {**row, "machine": me.machine, "started": "12345"})
    assert gets(Once(storage, study_id, KEY))  # a process of this machine that is gone


def test_a_turn_at_a_deleted_study_is_answered_with_that(sqlite_storage: Storage) -> None:
    with pytest.raises(StudyGoneError):
        Once(sqlite_storage, 99, KEY).begin()


class Promotion:
    """Two workers, of two machines whose clocks are an hour apart, that see the end of a study at once."""

    def __init__(self, folder: Path, make_spec: SpecFactory, patch: pytest.MonkeyPatch) -> None:
        self.looks: list[str] = []
        self.published: list[str] = []
        self.held = ExitStack()
        self.sessions: dict[str, Session] = {}
        self._join(folder, make_spec)
        now = time.time
        me = threading.current_thread
        patch.setattr(time, "time", lambda: now() + (HOUR if me().name == "ahead" else 0.0))
        patch.setattr(finish, "_LOOK_SECONDS", LEASE / 8)
        patch.setattr(
            finish,
            "Once",
            lambda *asked: Once(*asked, lease_seconds=LEASE, machine=me().name),
        )
        patch.setattr(finish, "promote", partial(self._promote, finish.promote))

    def finish(self) -> dict[str, Any]:
        champions = {}

        def end(name: str) -> None:
            champions[name] = finish_study(self.sessions[name])

        threads = [threading.Thread(target=end, args=(name,), name=name) for name in self.sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return champions

    def while_testing(self, name: str) -> None:
        """What happens while a worker looks at the test split."""
        time.sleep(5 * LEASE)

    def _promote(self, promote: Any, *args: Any, before_publishing: Any, **options: Any) -> Any:
        name = threading.current_thread().name

        def tested() -> None:
            self.looks.append(name)
            self.while_testing(name)
            before_publishing()
            self.published.append(name)

        return promote(*args, before_publishing=tested, **options)

    def _join(self, folder: Path, make_spec: SpecFactory) -> None:
        state, cache = folder / "state", folder / "cache"
        storage_url, tracking = f"sqlite:///{folder}/optuna.db", f"sqlite:///{folder}/mlflow.db"
        locations = Locations(storage_url, tracking, state, cache, 10**9)
        options = {"training__epochs": 1, "training__freeze_depth": 4}
        spec = make_spec(
            space={"learning_rate": [1e-3]},
            study__trials=1,
            data__max_train_examples=64,
            **options,
        )
        storage = self.held.enter_context(open_storage(storage_url))
        submit(storage, spec)
        prepared = prepare(spec, locations)
        for name in ("ahead", "right"):
            self.sessions[name] = self.held.enter_context(
                open_session(storage, spec.name, locations, prepared=prepared)
            )
        assert StudyCourse(self.sessions["right"]).until_done()


@pytest.fixture
def promotion(tmp_path: Path, make_spec: SpecFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    promotion = Promotion(tmp_path, make_spec, monkeypatch)
    with promotion.held:
        yield promotion


def test_the_test_split_is_looked_at_once_by_two_whose_clocks_are_an_hour_apart(
    promotion: Promotion,
) -> None:
    champions = promotion.finish()
    assert len(promotion.looks) == 1
    assert champions["ahead"] == champions["right"] is not None
    assert champions["right"].times_tested == 1


def test_a_worker_that_hung_while_it_promoted_publishes_nothing_after_it_was_overtaken(
    promotion: Promotion, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtaken = threading.Event()

    def while_testing(name: str) -> None:
        if len(promotion.looks) == 1:
            assert overtaken.wait(60)
        else:
            overtaken.set()

    monkeypatch.setattr(promotion, "while_testing", while_testing)
    # As a process that is stopped: it neither works nor beats.
    monkeypatch.setattr("hpo.leases.once.Turn._beat", lambda self: None)
    champions = promotion.finish()
    first, second = promotion.looks
    assert {first, second} == {"ahead", "right"}
    assert promotion.published == [second]
    assert champions[first] == champions[second] == known_champion(promotion.sessions[first].study)
