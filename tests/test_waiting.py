from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from hpo.waiting import Deadline, each_in_time, wait_until


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


def test_each_in_time_gives_all_items_and_raises_what_they_raise() -> None:
    def counted() -> Iterator[int]:
        yield from range(100)
        raise ValueError("after them")

    given = each_in_time(counted(), Deadline(60))
    assert [next(given) for _ in range(100)] == [*range(100)]
    with pytest.raises(ValueError, match="after them"):
        next(given)
    assert [*each_in_time(iter(()), Deadline(60))] == []


def test_each_in_time_gives_up_at_the_deadline_and_closes_what_it_read_from() -> None:
    closed = threading.Event()

    def waiting() -> Iterator[int]:
        try:
            while True:
                yield 1
                time.sleep(0.05)
        finally:
            closed.set()

    with pytest.raises(TimeoutError):
        [*each_in_time(waiting(), Deadline(0.2))]
    assert closed.wait(10)
    closed.clear()
    given = each_in_time(waiting(), Deadline(60))
    next(given)
    given.close()
    assert closed.wait(10)
