"""What happens to machines: they are gone with their disks, and their disks flip bytes."""

from __future__ import annotations

import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.conftest import FULL, Checked, end_in_peace
from tests.faults.crew import Crew, register
from tests.faults.orders import Doom, Order
from tests.faults.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.campaign, pytest.mark.timeout(600)]


def test_machines_that_are_gone_leave_no_run_open_and_may_come_back(
    place: Place, workers: Crew, checked: Checked
) -> None:
    """Each has a disk of its own, so that nobody else can send what it still had for MLflow."""
    trials, times = 6, 4
    register(place, trials)
    gone = [replace(place, own_state=place.folder / f"gone-{number}") for number in range(times)]
    for number, machine in enumerate(gone):
        process = workers.start(Order(machine, number, Doom("set attributes", "before")))
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
    end_in_peace(workers, place)
    for machine in gone:
        end_in_peace(workers, machine)
    checked(place, trials, fault="machine gone with its disk, and back", times=times)


def test_bytes_that_flip_in_files_that_are_kept(
    place: Place, workers: Crew, checked: Checked, tmp_path: Path
) -> None:
    trials = 6
    place = replace(place, cache=tmp_path / "cache")  # of its own, for it is damaged
    kinds = (
        "state/studies/*/checkpoints/*.safetensors",
        "cache/prefix/*/depth-*.bin",
        "state/studies/*/models/trial-*[02468]/trained.safetensors",
        "state/outbox/*.spool/*/*",
    )
    place = replace(place, own_state=tmp_path / "state")
    register(place, trials)
    flipped = 0
    for number in range(len(kinds) * (2 if FULL else 1)):
        # Killed after some trials' models, and with operations that wait.
        doom = Doom("write a checkpoint", "after", 1 + number % 3)
        process = workers.start(Order(place, number, doom, max_deaths=10**6))
        process.join(60)
        for path in filter(Path.is_file, tmp_path.glob(kinds[number % len(kinds)])):
            if path.stat().st_size and not waits_for_an_even_trial(path):
                flip(path, path.stat().st_size // 2)
                flipped += 1
    assert flipped
    end_in_peace(workers, place)
    fault = "a byte flipped in files that are kept, their worker killed"
    checked(place, trials, fault=fault, times=flipped)


def waits_for_an_even_trial(path: Path) -> bool:
    """Whether a file waits for MLflow that is a copy of a kept model that is damaged, and the last whole one."""
    facts = path.with_name("trial.json")
    if ".spool" not in str(path) or not facts.exists():
        return False
    number = re.search(rb'"number": (\d+)', facts.read_bytes())
    return number is None or int(number[1]) % 2 == 0


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        [byte] = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))
