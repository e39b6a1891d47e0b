"""Clocks that jump by hours: nobody's lease is stolen, and a time limit is neither blown nor endless."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.faults.conftest import ROOT, Checked
from tests.faults.crew import Crew, register
from tests.faults.orders import Order, Peaceful
from tests.faults.place import Place
from tests.faults.test_databases import finished

pytestmark = [pytest.mark.slow, pytest.mark.campaign, pytest.mark.timeout(600)]
HOUR, WORKERS = 3600.0, 2


@pytest.mark.parametrize(
    ("jumps", "how"),
    [
        ((-HOUR,), "set back an hour"),
        ((5 * HOUR, -7 * HOUR, 30 * HOUR), "set forward and back by hours"),
    ],
    ids=["back", "both"],
)
def test_clocks_that_jump(
    place: Place, workers: Crew, checked: Checked, jumps: tuple[float, ...], how: str
) -> None:
    trials = 12
    register(place, trials)
    workers.under_fire(Peaceful(Order(place, seed=4, clock_jumps=jumps)), size=2)
    workers.run_to_the_end(Order(place, finish=True))
    fault = f"clock {how}, at every other report"
    found = checked(place, trials, fault=fault, times=trials)
    assert found.attempts == trials, "nobody took a trial from one who lives"


@pytest.fixture
def jumping(place: Place, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables of a process whose clock jumps twice a second."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("the clock is made with a C compiler, for Linux")
    shim, ahead, done = tmp_path / "clock.so", tmp_path / "ahead", threading.Event()
    source = Path(__file__).with_name("jumping_clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    set_ahead(ahead, 0)

    def jump() -> None:
        for hours in itertools.cycle((5, -7, 30, -1)):
            if done.wait(0.5):
                return
            set_ahead(ahead, hours * 3600)

    thread = threading.Thread(target=jump, daemon=True)
    thread.start()
    yield {"LD_PRELOAD": str(shim), "JUMPING_CLOCK": str(ahead)}
    done.set()
    thread.join()


def set_ahead(file: Path, seconds: int) -> None:
    with file.open("r+b" if file.exists() else "xb") as whole:
        whole.write(struct.pack("q", seconds))


def search(place: Place, trials: int, clock: Mapping[str, str], *more: str) -> str:
    """`hpo.run` with two workers to its end; what it said."""
    command = [sys.executable, "-m", "hpo.run", str(place.study_file(trials))]
    command += ["--workers", str(WORKERS)]
    environment = {**os.environ, **place.environment(), "PYTHONPATH": str(ROOT), **clock}
    log = place.folder / "commands.log"
    with log.open("w") as file:
        ended = subprocess.run(
            [*command, *more], cwd=place.folder, env=environment, stdout=file, stderr=file
        )
    told = log.read_text()
    assert ended.returncode == 0, told[-3000:]
    return told


def test_a_command_whose_clock_jumps(
    place: Place, checked: Checked, jumping: Mapping[str, str]
) -> None:
    trials = 12
    told = search(place, trials, jumping)
    assert not re.search(r"\d h\b|-\d+(\.\d+)? s", told), told[-3000:]
    found = checked(place, trials, fault="clock of the whole command jumps by hours", times=trials)
    assert found.attempts == trials, "nobody took a trial from one who lives"


def test_a_time_limit_under_a_clock_that_jumps(
    place: Place, checked: Checked, jumping: Mapping[str, str]
) -> None:
    seconds, most = 20.0, 400
    begun = time.monotonic()
    search(place, most, jumping, "--timeout", f"{seconds:.0f}s")
    took = time.monotonic() - begun
    trials = finished(place) + WORKERS  # room for those that the time limit gave back
    assert trials < most
    assert seconds <= took < seconds + 120.0
    search(place, trials, {})
    checked(place, trials, fault="time limit under a clock that jumps", times=1)
