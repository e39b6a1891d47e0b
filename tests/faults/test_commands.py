"""`python -m hpo.run` with two workers: its parent killed, all killed, all told to stop, twice at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.faults.conftest import FULL, ROOT, Checked
from tests.faults.crew import register
from tests.faults.place import Place
from tests.faults.test_databases import finished, wait_for_finished

pytestmark = [pytest.mark.slow, pytest.mark.campaign, pytest.mark.timeout(600)]

TIMES = 3 if FULL else 1
Start = Callable[[Place, int], subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command in a process group of its own."""
    started: list[subprocess.Popen[str]] = []

    def begin(place: Place, trials: int) -> subprocess.Popen[str]:
        file = place.study_file(trials)
        command = [sys.executable, "-m", "hpo.run", str(file), "--workers", "2", "--quiet"]
        environment = {**os.environ, **place.environment(), "PYTHONPATH": str(ROOT)}
        with (place.folder / "commands.log").open("a") as log:
            process = subprocess.Popen(
                command,
                cwd=place.folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                text=True,
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def words(place: Place) -> str:
    return (place.folder / "commands.log").read_text()[-3000:]


def to_the_end(place: Place, trials: int, start: Start) -> None:
    process = start(place, trials)
    assert process.wait(240) == 0, words(place)


def hit(place: Place, trials: int, start: Start, act: Callable[[int], None]) -> list[int]:
    """Start the command, do something to it in the middle of its work, TIMES over; its exit codes."""
    codes = []
    register(place, trials)
    for _ in range(TIMES):
        already = finished(place)
        process = start(place, trials)
        wait_for_finished(place, already + 2)
        act(process.pid)
        codes.append(process.wait(120))
    return codes


def test_a_parent_that_is_killed(place: Place, checked: Checked, start: Start) -> None:
    trials = 8 * TIMES
    codes = hit(place, trials, start, lambda pid: os.kill(pid, signal.SIGKILL))
    assert codes == [-signal.SIGKILL] * TIMES
    to_the_end(place, trials, start)
    checked(place, trials, fault="kill -9 of the parent", times=TIMES)


def test_parent_and_workers_killed_at_once(place: Place, checked: Checked, start: Start) -> None:
    trials = 8 * TIMES
    codes = hit(place, trials, start, lambda pid: os.killpg(pid, signal.SIGKILL))
    assert codes == [-signal.SIGKILL] * TIMES
    to_the_end(place, trials, start)
    checked(place, trials, fault="kill -9 of everything at once", times=TIMES)


def test_everything_told_to_stop(place: Place, checked: Checked, start: Start) -> None:
    trials = 8 * TIMES
    codes = hit(place, trials, start, lambda pid: os.killpg(pid, signal.SIGTERM))
    assert codes == [130] * TIMES, words(place)
    to_the_end(place, trials, start)
    checked(place, trials, fault="SIGTERM to everything", times=TIMES)


def test_two_parents_on_one_study(place: Place, checked: Checked, start: Start) -> None:
    trials = 12
    both = [start(place, trials) for _ in range(2)]
    assert [process.wait(240) for process in both] == [0, 0], words(place)
    checked(place, trials, fault="two parents on one study", times=1)
