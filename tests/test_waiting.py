from __future__ import annotations

import time

import pytest

from hpo.waiting import Deadline, wait_until


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_deadline_comes_after_its_seconds(clock: Clock) -> None:
    deadline = Deadline(5)
    assert (deadline.is_over, deadline.seconds_left) == (False, 5)
    clock.sleep(4)
    assert (deadline.is_over, deadline.seconds_left) == (False, 1)
    clock.sleep(2)
    assert (deadline.is_over, deadline.seconds_left) == (True, 0)


def test_what_holds_is_not_waited_for(clock: Clock) -> None:
    assert wait_until(lambda: True, 0, poll_seconds=1)
    assert clock.now == 1000


def test_waiting_ends_with_the_first_look_at_which_the_condition_holds(clock: Clock) -> None:
    assert wait_until(lambda: clock.now >= 1003.5, 10, poll_seconds=1)
    assert clock.now == 1004


def test_a_condition_that_never_holds_is_looked_at_a_last_time_when_the_time_is_up(
    clock: Clock,
) -> None:
    looks = []
    assert not wait_until(lambda: looks.append(clock.now) is not None, 2.5, poll_seconds=1)
    assert looks == [1000, 1001, 1002, 1002.5]
