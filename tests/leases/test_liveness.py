"""Telling the living from the dead by processes and beats, never by the time of day."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hpo.leases.liveness import (
    HeldLease,
    Observer,
    fate,
    process_start,
    this_machine,
    this_worker,
)
from tests.waiting import wait_until


class StoppedClock:
    """A monotonic clock that tests move."""

    def __init__(self) -> None:
        self.now = 1e6

    def __call__(self) -> float:
        return self.now


def hold(
    beat: int = 0, *, machine: str = "elsewhere", token: str = "t", claim_id: int = 1
) -> HeldLease:
    return HeldLease(claim_id, token, machine, os.getpid(), process_start(os.getpid()) or "", beat)


def test_this_process_is_alive_and_of_this_machine() -> None:
    me = this_worker()
    assert fate(me.pid, me.process_started) == "alive"
    assert me.machine == this_machine()
    assert me.worker != this_worker().worker


def test_a_process_is_gone_once_it_has_ended_even_before_its_parent_has_noticed() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_start(child.pid)
    assert started is not None
    assert fate(child.pid, started) == "alive"
    child.kill()
    # A zombie: nobody has waited for it.
    wait_until(lambda: fate(child.pid, started) == "gone", "it is gone", seconds=2)
    child.communicate()
    assert fate(child.pid, started) == "gone"


def test_a_pid_that_went_to_another_process_is_not_the_worker() -> None:
    assert fate(os.getpid(), "12345") == "gone"


def test_a_beat_that_stands_still_for_the_lease_is_death() -> None:
    clock = StoppedClock()
    observer = Observer(60, machine="here", clock=clock)
    looks = []
    for _ in range(6):
        looks.append(observer.dead(1, [hold()]))
        clock.now += 15
    assert looks == [set()] * 4 + [{1}] * 2


def test_a_beat_begins_the_lease_anew() -> None:
    clock = StoppedClock()
    observer = Observer(60, machine="here", clock=clock)
    for second in range(600):
        clock.now += 1
        assert observer.dead(1, [hold(beat=second // 50)]) == set()


def test_a_new_attempt_begins_the_lease_anew() -> None:
    clock = StoppedClock()
    observer = Observer(60, machine="here", clock=clock)
    for attempt in range(10):
        for _ in range(3):
            assert observer.dead(1, [hold(token=f"t{attempt}")]) == set()
            clock.now += 15


@pytest.mark.parametrize("gap", [61.0, 3600.0, 1e9])
def test_time_in_which_the_observer_did_not_look_hardly_counts(gap: float) -> None:
    clock = StoppedClock()
    observer = Observer(60, machine="here", clock=clock)
    observer.dead(1, [hold()])
    clock.now += gap
    assert observer.dead(1, [hold()]) == set()


def test_studies_are_watched_apart() -> None:
    clock = StoppedClock()
    observer = Observer(60, machine="here", clock=clock)
    for _ in range(4):
        observer.dead(1, [hold()])
        observer.dead(2, [])
        clock.now += 15
    assert observer.dead(1, [hold()]) == {1}


def test_a_dead_process_of_this_machine_needs_no_lease() -> None:
    gone = HeldLease(1, "t", this_machine()[:255], os.getpid(), "12345", 0)
    assert Observer(60).dead(1, [gone]) == {1}


def test_a_process_of_another_machine_is_not_looked_up_here() -> None:
    gone = HeldLease(1, "t", "elsewhere", os.getpid(), "12345", 0)
    assert Observer(60).dead(1, [gone]) == set()
