"""A disk that fills: at any time, in the middle of a trial, while the cache is made."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.errors import DiskError, StorageError, TrackingError
from tests.faults.conftest import UNDISTURBED, Checked, end_in_peace
from tests.faults.crew import Crew, register
from tests.faults.findings import Result, results
from tests.faults.mischief import fill
from tests.faults.orders import CACHE_POINTS, Filling, Order
from tests.faults.place import Place
from tests.faults.test_databases import wait_for_finished

pytestmark = [pytest.mark.slow, pytest.mark.campaign, pytest.mark.timeout(600)]
TOLD = {error.exit_code for error in (DiskError, StorageError, TrackingError)}


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
    place = moved(place, small_disk)
    register(place, trials)
    for number in range(times):
        process = workers.start(Order(place, retry_seconds=5.0))
        wait_for_finished(place, 2 * (number + 1))
        filler = fill(small_disk / "filler")
        process.join(120)
        assert process.exitcode in TOLD
        filler.unlink()
    workers.run_to_the_end(Order(place, finish=True))
    checked(place, trials, fault="disk full", times=times)


def moved(place: Place, disk: Path) -> Place:
    """The same place with all but the cache on another disk."""
    for name in ("optuna.db", "mlflow.db"):
        shutil.move(place.folder / name, disk / name)
    return replace(
        place,
        folder=disk,
        storage_url=f"sqlite:///{disk}/optuna.db",
        tracking_uri=f"sqlite:///{disk}/mlflow.db",
    )


def test_a_disk_that_fills_in_the_middle_of_a_trial(
    place: Place, workers: Crew, checked: Checked, small_disk: Path, undisturbed: list[Result]
) -> None:
    points = ("log metrics", "report", "write the checkpoint's file", "write the model")
    place = replace(moved(place, small_disk), folder=place.folder, own_state=small_disk / ".hpo")
    register(place, UNDISTURBED)
    for point in points:
        filler = small_disk / "filler"
        fill = Filling(point, filler)
        process = workers.start(Order(place, fill=fill, max_deaths=10**6, retry_seconds=3.0))
        process.join(120)
        assert process.exitcode in TOLD, point
        filler.unlink()
        assert tells_of_the_disk(end_of(place, process.pid)), (point, end_of(place, process.pid))
    end_in_peace(workers, place)
    checked(place, UNDISTURBED, fault="disk full in the middle of a trial", times=len(points))
    assert results(place) == undisturbed


def end_of(place: Place, pid: int | None) -> list[str]:
    """What a worker's log says of its end, and any traceback."""
    lines = (place.folder / f"worker-{pid}.log").read_text().splitlines()
    return [line for line in lines if "ended by: " in line or "Traceback" in line]


def tells_of_the_disk(ended: list[str]) -> bool:
    return len(ended) == 1 and bool(re.search("disk is full|No space left", ended[0]))


def test_a_disk_that_fills_while_the_cache_is_made(
    place: Place, workers: Crew, checked: Checked, small_disk: Path, undisturbed: list[Result]
) -> None:
    """The study goes on without a cache, and has one again where there is room."""
    place = replace(place, cache=small_disk / "cache")
    register(place, UNDISTURBED)
    for number, point in enumerate(CACHE_POINTS):
        filler = small_disk / "filler"
        fill = Filling(point, filler)
        process = workers.start(Order(place, number, fill=fill, after_reports=3))
        process.join(120)
        assert filler.exists(), point
        log = (place.folder / f"worker-{process.pid}.log").read_text()
        assert "Traceback" not in log, log
        assert not list(place.cache.rglob("*.partial")), point
        shutil.rmtree(place.cache)
        filler.unlink()
    end_in_peace(workers, place)
    assert list(place.cache.glob("prefix/*/depth-*.bin"))
    fault = "disk full while hidden states and tokens are kept"
    checked(place, UNDISTURBED, fault=fault, times=len(CACHE_POINTS))
    assert results(place) == undisturbed
