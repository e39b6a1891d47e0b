"""Waiting for something that may not come: deadlines, and looking again until something holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Deadline:
    """A moment that lies some seconds ahead, by a clock that nobody sets.

    Args:
        seconds: From now on.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """Never below 0."""
        return max(0.0, self._end - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether the moment has come."""
        return time.monotonic() >= self._end


def wait_until(condition: Callable[[], bool], seconds: float, *, poll_seconds: float) -> bool:
    """Wait until a condition holds; it is looked at once at least, and a last time when the time is up.

    Args:
        condition: Is asked at once, and after each pause.
        seconds: The longest wait.
        poll_seconds: The pause between two looks.

    Returns:
        Whether the condition held in time.
    """
    deadline = Deadline(seconds)
    while not condition():
        if deadline.is_over:
            return False
        time.sleep(min(poll_seconds, deadline.seconds_left))
    return True


def within(seconds: float, call: Callable[[], T], *, name: str) -> T:
    """What a call returns or raises that heeds no deadline of its own, such as the look for a host's name.

    It is made in a thread, which is left to itself where the time is up.

    Args:
        seconds: The longest wait.
        call: What is called.
        name: Of the thread.

    Raises:
        TimeoutError: The time is up.
    """
    done: Future[T] = Future()

    def make() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the call is waited for
            done.set_exception(error)

    threading.Thread(target=make, name=name, daemon=True).start()
    return done.result(seconds)
