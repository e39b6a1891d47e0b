"""Waiting for a database: what is waited out, for how long, and what is told at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy import exc

from hpo.errors import StorageError
from hpo.storage.retries import with_retries


def sqlite_fault(code: int, message: str) -> exc.OperationalError:
    original = sqlite3.OperationalError(message)
    original.sqlite_errorcode = code
    return exc.OperationalError("SELECT secret", {}, original)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def failing(times: int, error: Exception) -> Callable[[], str]:
    left = [times]

    def call() -> str:
        if left[0]:
            left[0] -= 1
            raise error
        return "done"

    return call


def run(call: Callable[[], str], time: Time, seconds: float = 120) -> str:
    return with_retries(
        call,
        doing="counting",
        place="sqlite:///x.db",
        seconds=seconds,
        clock=time.clock,
        sleep=time.sleep,
    )


def test_a_locked_database_is_waited_for() -> None:
    time = Time()
    assert run(failing(7, sqlite_fault(sqlite3.SQLITE_BUSY, "database is locked")), time) == "done"
    assert 0 < time.now < 30


def test_optunas_wrapping_of_the_fault_is_seen_through() -> None:
    wrapped = StorageInternalError("An exception is raised during the commit.")
    wrapped.__cause__ = sqlite_fault(sqlite3.SQLITE_BUSY, "database is locked")
    assert run(failing(3, wrapped), Time()) == "done"


def test_the_wait_ends_with_an_error_when_its_time_is_up() -> None:
    time = Time()
    fault = sqlite_fault(sqlite3.SQLITE_BUSY, "database is locked")
    with pytest.raises(StorageError, match="no answer for 120 s while counting") as caught:
        run(failing(10**6, fault), time)
    assert 115 <= time.now <= 121
    assert "SELECT" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (sqlite3.SQLITE_FULL, "database or disk is full", "Free some space"),
        (sqlite3.SQLITE_READONLY, "attempt to write a readonly database", "right to write"),
        (sqlite3.SQLITE_ERROR, "no such table: trials", "Do not delete"),
        (sqlite3.SQLITE_CORRUPT, "database disk image is malformed", "Restore it"),
    ],
)
def test_what_waiting_does_not_mend_is_told_at_once(code: int, message: str, hint: str) -> None:
    time = Time()
    with pytest.raises(StorageError) as caught:
        run(failing(1, sqlite_fault(code, message)), time)
    assert hint in caught.value.hint
    assert time.now == 0


def test_other_exceptions_pass_through() -> None:
    with pytest.raises(ZeroDivisionError):
        run(failing(1, ZeroDivisionError()), Time())
