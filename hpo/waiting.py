"""Waiting for something that may not come: deadlines, and looking again until something holds."""

from __future__ import annotations

import time
from collections.abc import Callable


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
