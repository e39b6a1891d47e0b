"""Waiting for something that may not come: deadlines, and looking again until something holds."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
_Item = TypeVar("_Item")
_AHEAD = 16  # items that are made before they are asked for


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


class BreakOff:
    """Whether the main thread is at what a signal may break off at once, for it is simply done again."""

    _depth = 0

    @classmethod
    def is_due(cls) -> bool:
        """Whether it is."""
        return cls._depth > 0

    @classmethod
    @contextmanager
    def allowed(cls) -> Iterator[None]:
        """While it lasts, it is."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        cls._depth += 1
        try:
            yield
        finally:
            cls._depth -= 1


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


def each_in_time(items: Iterator[_Item], deadline: Deadline) -> Generator[_Item]:
    """What an iterator gives, however long each of its steps takes, until the deadline.

    The steps are made by a thread, for some heed no time-out: to look up a name, or to read from a
    server that sends a byte a second. It ends after the step at which it is given up.

    Args:
        items: Is closed at the end, if it is a generator.
        deadline: For all of them together.

    Raises:
        TimeoutError: The moment has come.
        Exception: Whatever the iterator raises.
    """
    made: queue.Queue[tuple[bool, object]] = queue.Queue(_AHEAD)
    given_up = threading.Event()

    def put(is_item: bool, value: object) -> None:
        while not given_up.is_set():
            try:
                made.put((is_item, value), timeout=0.2)
                break
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put(True, item)
                if given_up.is_set():
                    break
            put(False, None)
        except Exception as error:  # noqa: BLE001 - it is raised again where it is waited for
            put(False, error)
        finally:
            getattr(items, "close", lambda: None)()

    threading.Thread(target=make, name="each-in-time", daemon=True).start()
    try:
        while True:
            try:
                is_item, value = made.get(timeout=deadline.seconds_left)
            except queue.Empty:
                raise TimeoutError from None
            if isinstance(value, Exception) and not is_item:
                raise value
            if not is_item:
                return
            yield value  # type: ignore[misc]
    finally:
        given_up.set()


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
