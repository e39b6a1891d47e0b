"""What happens to machines: a full disk, a clock that is set back, a file that is cut short."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.errors import StorageError, TrackingError
from tests.faults.conftest import FULL, Checked, end_in_peace
from tests.faults.crew import Crew, register
from tests.faults.orders import Doom, Order, Peaceful
from tests.faults.place import Place
from tests.faults.test_databases import wait_for_finished

pytestmark = [pytest.mark.slow, pytest.mark.campaign, pytest.mark.timeout(600)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_stops_the_study_with_one_error_and_loses_nothing(
    place: Place, workers: Crew, checked: Checked, small_disk: Path
) -> None:
    trials, times = 8, 2
    for name in ("optuna.db", "mlflow.db"):
        shutil.move(place.folder / name, small_disk / name)
    place = replace(
        place,
        folder=small_disk,
        storage_url=f"sqlite:///{small_disk}/optuna.db",
        tracking_uri=f"sqlite:///{small_disk}/mlflow.db",
    )
    register(place, trials)
    for number in range(times):
        process = workers.start(Order(place, retry_seconds=5.0))
        wait_for_finished(place, 2 * (number + 1))
        filler = fill(small_disk)
        process.join(120)
        assert process.exitcode in (StorageError.exit_code, TrackingError.exit_code)
        filler.unlink()
    workers.run_to_the_end(Order(place, finish=True))
    checked(place, trials, fault="disk full", times=times)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb") as file:
        block = b"\0" * (1 << 20)
        try:
            while True:
                file.write(block)
                file.flush()
        except OSError:
            return filler


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


def test_clocks_that_jump_back_an_hour(place: Place, workers: Crew, checked: Checked) -> None:
    trials = 12
    register(place, trials)
    workers.under_fire(Peaceful(Order(place, seed=4, clock_jumps=3600.0)), size=2)
    workers.run_to_the_end(Order(place, finish=True))
    checked(place, trials, fault="clock set back an hour, at every other report", times=trials)


def test_checkpoints_that_are_cut_short(place: Place, workers: Crew, checked: Checked) -> None:
    trials, times = 6, 12 if FULL else 6
    register(place, trials)
    for number in range(times):
        doom = Doom("write a checkpoint", "after")
        process = workers.start(Order(place, number, doom, max_deaths=10**6))
        process.join(60)
        written = list(place.state.glob("studies/*/checkpoints/*.safetensors"))
        assert written, "a checkpoint lies there"
        for path in written:
            os.truncate(path, path.stat().st_size * number // times)
    end_in_peace(workers, place)
    checked(place, trials, fault="checkpoint cut short, its worker killed", times=times)


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
