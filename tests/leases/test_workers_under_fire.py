"""Many workers on one study, killed, stopped and cut off at random: a log of what they were told,
then a check.

After Jepsen: each worker writes down what the storage acknowledged; a nemesis does its worst; in
the end the budget must be met exactly, all that was acknowledged be there, and nothing have been
done twice.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.process
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from hpo.leases.budget import NoTrial, claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.leases.lease import LeaseLost
from hpo.spec.study import StudySpec
from hpo.storage.storage import open_storage
from hpo.studies.progress import progress
from hpo.studies.registration import submit
from hpo.studies.studies import open_study

SpecFactory = Callable[..., StudySpec]
Process = multiprocessing.process.BaseProcess
FORK = multiprocessing.get_context("fork")
STEPS = 4


def value_of(number: int, step: int) -> float:
    return number + step / 10


def work(url: str, log: Path, seed: int, step_seconds: float, lease_seconds: float) -> None:
    """A worker with trials that take no training: report, report, finish, and write down each
    word.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    dice = random.Random(seed)
    with (
        open_storage(url, retry_seconds=60, wait_seconds=60) as storage,
        Worker(storage, lease_seconds=lease_seconds, max_deaths=1000) as worker,
        log.open("a", buffering=1) as file,
    ):
        study = open_study(storage, "study")

        def note(event: str, claim: Claim, **more: object) -> None:
            # One write of one short line, appended: whole even when the next instant is the last.
            line = {"event": event, "number": claim.number, "attempt": claim.attempt, **more}
            file.write(json.dumps(line) + "\n")

        while (claim := claim_trial(study, worker)) is not NoTrial.DONE:
            if not isinstance(claim, Claim):
                time.sleep(0.02)
                continue
            note("begun", claim)
            try:
                note("drawn", claim, params=claim.suggest())
                for step in range(1, STEPS + 1):
                    time.sleep(dice.random() * 2 * step_seconds)
                    claim.report(value_of(claim.number, step), step)
                    note("reported", claim, step=step)
                state = dice.choice([TrialState.COMPLETE] * 3 + [TrialState.PRUNED])
                if claim.attempt == 1 and dice.random() < 0.1:
                    state = TrialState.FAIL
                value = value_of(claim.number, 9) if state is TrialState.COMPLETE else None
                claim.finish(state, value)
                note("finished", claim, state=state.name)
            except LeaseLost:
                note("lost", claim)


class Crew:
    """Worker processes that are replaced as they fall."""

    def __init__(
        self, url: str, log: Path, size: int, *, step_seconds: float, lease_seconds: float = 60
    ) -> None:
        self._args = (url, log)
        self._pace = (step_seconds, lease_seconds)
        self._seeds = iter(range(10**6))
        self.processes = [self._start() for _ in range(size)]

    def _start(self) -> Process:
        process = FORK.Process(target=work, args=(*self._args, next(self._seeds), *self._pace))
        process.start()
        return process

    def kill(self, index: int) -> None:
        self.processes[index].kill()
        # Waited for later: a zombie, too, must be seen to be dead.
        fallen, self.processes[index] = self.processes[index], self._start()
        fallen.join(10)

    def signal(self, index: int, number: int) -> None:
        pid = self.processes[index].pid
        assert pid is not None
        os.kill(pid, number)

    def wait(self, seconds: float) -> list[int | None]:
        end = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0.0, end - time.monotonic()))
        return [process.exitcode for process in self.processes]

    def end(self) -> None:
        for process in self.processes:
            if process.is_alive():
                process.kill()
            process.join(10)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


@pytest.fixture
def crews() -> Iterator[list[Crew]]:
    started: list[Crew] = []
    yield started
    for crew in started:
        crew.end()


def is_done(url: str) -> bool:
    with open_storage(url) as storage:
        return progress(storage, "study").is_done


def check(url: str, log: Path, trials: int) -> list[dict[str, Any]]:
    """Hold what the storage has against what the workers were told."""
    with open_storage(url) as storage:
        stored = {t.number: t for t in open_study(storage, "study").load().trials}
        found = progress(storage, "study")
    told = [json.loads(line) for line in log.read_text().splitlines()]
    states = Counter(trial.state for trial in stored.values())
    assert states[TrialState.COMPLETE] + states[TrialState.PRUNED] == trials
    assert states[TrialState.RUNNING] == states[TrialState.WAITING] == 0
    assert (found.finished, found.held, found.free) == (trials, 0, 0)
    assert sorted(stored) == list(range(len(stored)))  # no number twice, none left out
    endings = [each for each in told if each["event"] == "finished"]
    assert max(Counter(each["number"] for each in endings).values()) == 1
    for each in told:
        trial = stored[each["number"]]
        if each["event"] == "finished":
            assert trial.state.name == each["state"]
        elif each["event"] == "drawn":
            assert trial.params == each["params"]
        elif each["event"] == "reported":
            assert each["step"] in trial.intermediate_values
    begun = Counter((each["number"], each["attempt"]) for each in told if each["event"] == "begun")
    assert max(begun.values()) == 1  # no attempt was given to two workers
    for number, trial in stored.items():
        if trial.state is TrialState.COMPLETE:
            assert trial.value == value_of(number, 9)
        if trial.state.is_finished() and trial.state is not TrialState.FAIL:
            expected = {step: value_of(number, step) for step in range(1, STEPS + 1)}
            assert trial.intermediate_values == expected
    return told


def prepared(url: str, make_spec: SpecFactory, trials: int) -> None:
    with open_storage(url) as storage:
        submit(storage, make_spec(study__trials=trials))


def test_six_workers_meet_the_budget_exactly(
    storage_url: str, make_spec: SpecFactory, log: Path, crews: list[Crew]
) -> None:
    prepared(storage_url, make_spec, 20)
    crews.append(Crew(storage_url, log, 6, step_seconds=0.002))
    assert crews[0].wait(60) == [0] * 6
    check(storage_url, log, 20)


def test_workers_started_on_a_finished_study_add_nothing(
    sqlite_url: str, make_spec: SpecFactory, log: Path, crews: list[Crew]
) -> None:
    prepared(sqlite_url, make_spec, 3)
    for _ in range(2):
        crews.append(Crew(sqlite_url, log, 2, step_seconds=0.0))
        assert crews[-1].wait(60) == [0] * 2
    check(sqlite_url, log, 3)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1])
def test_the_budget_is_met_exactly_though_workers_are_killed_at_random_instants(
    storage_url: str, make_spec: SpecFactory, log: Path, crews: list[Crew], seed: int
) -> None:
    dice = random.Random(seed)
    trials, kills = 120, 60
    prepared(storage_url, make_spec, trials)
    crew = Crew(storage_url, log, 4, step_seconds=0.08)
    crews.append(crew)
    for _ in range(kills):
        time.sleep(dice.random() * 0.5)
        crew.kill(dice.randrange(4))
    assert crew.wait(120) == [0] * 4
    told = check(storage_url, log, trials)
    again = [each for each in told if each["event"] == "begun" and each["attempt"] > 1]
    assert len(again) >= kills / 3  # the kills did hit trials


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(240)
def test_stopped_workers_lose_their_trials_and_write_nothing_when_they_are_resumed(
    storage_url: str, make_spec: SpecFactory, log: Path, crews: list[Crew]
) -> None:
    dice = random.Random(7)
    trials = 40
    prepared(storage_url, make_spec, trials)
    crew = Crew(storage_url, log, 4, step_seconds=0.1, lease_seconds=1.0)
    crews.append(crew)
    end = time.monotonic() + 25
    while time.monotonic() < end and not is_done(storage_url):
        index = dice.randrange(4)
        crew.signal(index, signal.SIGSTOP)
        time.sleep(1.6 + dice.random())
        crew.signal(index, signal.SIGCONT)
        time.sleep(0.3)
    assert crew.wait(120) == [0] * 4
    told = check(storage_url, log, trials)
    assert any(each["event"] == "lost" for each in told)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(240)
def test_workers_outlive_restarts_of_the_server(
    restartable_postgres: Any, make_spec: SpecFactory, log: Path, crews: list[Crew]
) -> None:
    server = restartable_postgres
    prepared(server.url, make_spec, 60)
    crew = Crew(server.url, log, 3, step_seconds=0.1)
    crews.append(crew)
    for _ in range(3):
        time.sleep(2)
        server.stop()
        time.sleep(1)
        server.start()
        time.sleep(1)
        server.cut_connections()
    assert crew.wait(120) == [0] * 3
    check(server.url, log, 60)
    crew.end()
