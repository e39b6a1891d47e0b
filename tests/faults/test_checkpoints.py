"""Checkpoints that are corrupted between a kill and the resume: found, told, and begun anew from what is sound."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import FULL, UNDISTURBED, Checked, end_in_peace
from tests.faults.crew import Crew, register
from tests.faults.findings import Result, results
from tests.faults.orders import Doom, Order
from tests.faults.place import Place
from tests.faults.test_machine import flip

pytestmark = [pytest.mark.slow, pytest.mark.campaign, pytest.mark.timeout(600)]
Corrupt = Callable[[Path, float], None]


def cut(path: Path, part: float) -> None:
    os.truncate(path, int(path.stat().st_size * part))


def empty(path: Path, _part: float) -> None:
    os.truncate(path, 0)


def turn(path: Path, part: float) -> None:
    flip(path, int(path.stat().st_size * part))


def zero(path: Path, part: float) -> None:
    """What a power cut leaves of a block that never reached the disk."""
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * part))
        file.write(b"\0" * 4096)


@pytest.mark.parametrize(
    ("corrupt", "how"),
    [(cut, "cut short"), (empty, "emptied"), (turn, "with a byte flipped"), (zero, "zeroed")],
)
def test_a_corrupted_checkpoint_is_found_told_and_begun_anew(
    place: Place,
    workers: Crew,
    checked: Checked,
    undisturbed: list[Result],
    corrupt: Corrupt,
    how: str,
) -> None:
    times, corrupted = 12 if FULL else 4, 0
    register(place, UNDISTURBED)
    for number in range(times):
        doom = Doom("write a checkpoint", "after", 1 + number % 2)
        process = workers.start(Order(place, number, doom, max_deaths=10**6))
        process.join(60)
        written = list(place.state.glob("studies/*/checkpoints/*.safetensors"))
        assert written, "a checkpoint lies there"
        for path in written:
            corrupt(path, (number + 1) / (times + 1))
            corrupted += 1
    end_in_peace(workers, place)
    logs = "".join(log.read_text() for log in place.folder.glob("worker-*.log"))
    assert logs.count(" is damaged (") == corrupted
    checked(place, UNDISTURBED, fault=f"checkpoint {how}, its worker killed", times=corrupted)
    assert results(place) == undisturbed
