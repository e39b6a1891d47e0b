"""Calls to a database that may be away for a while: which faults pass, and how long we wait for that."""

from __future__ import annotations

import logging
import random
import sqlite3
import time
from collections.abc import Callable
from typing import Final, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy import exc

from hpo.errors import StorageError
from hpo.redaction import redact_text

logger = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULT_RETRY_SECONDS: Final = 120.0
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0

# Locked or busy: another writer has it. I/O errors come and go with network disks.
_PASSING_SQLITE_CODES: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL}
)
# Classes and codes of PostgreSQL's Appendix A: connection, serialisation and deadlock, too many
# connections, lock and statement time-outs, shutdown and start-up, idle-in-transaction time-out.
_PASSING_SQLSTATES: Final = frozenset(
    {"40001", "40P01", "53300", "55P03", "57014", "57P01", "57P02", "57P03", "25P03", "25P04"}
)

_DAMAGE: Final = ("malformed", "not a database", "Could not decode", "no such column")
DAMAGE_HINT: Final = "Restore it from a copy, save what `sqlite3 FILE .recover` still reads, or use another --storage."


def database_error(error: BaseException) -> exc.SQLAlchemyError | None:
    """The SQLAlchemy error behind an exception of ours or of Optuna's; None where there is none."""
    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        return database_error(error.__cause__)
    return error if isinstance(error, exc.SQLAlchemyError) else None


def is_passing(error: BaseException) -> bool:
    """Whether the same call may well succeed later with nothing mended by a person."""
    cause = database_error(error)
    # The pool is exhausted; or Optuna went on for one more statement after its connection broke.
    if isinstance(cause, exc.TimeoutError | exc.PendingRollbackError):
        return True
    if not isinstance(cause, exc.DBAPIError):
        return False
    if cause.connection_invalidated:
        return True
    original = cause.orig
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", None)
        # Extended result codes keep the primary code in their low byte.
        return code is not None and code & 0xFF in _PASSING_SQLITE_CODES
    if not isinstance(cause, exc.OperationalError | exc.InternalError | exc.InterfaceError):
        return False
    state = getattr(original, "sqlstate", None)
    # No state: libpq could not connect at all. Class 08: the connection broke.
    return state is None or state.startswith("08") or state in _PASSING_SQLSTATES


def with_retries(
    call: Callable[[], T],
    *,
    doing: str,
    place: str,
    seconds: float = DEFAULT_RETRY_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Make a database call, again and again while the database is away.

    Args:
        call: Is repeated as a whole, so it must come to the same end when an earlier try went
            through unseen.
        doing: What the call does, in words, for the log.
        place: The storage's URL without secrets.
        seconds: For how long a fault that passes is waited out, with growing pauses of at most 5 s.

    Raises:
        StorageError: That time is up, or at once for a fault that does not pass by waiting.
    """
    began = clock()
    pause = _FIRST_PAUSE_SECONDS
    failures = 0
    while True:
        try:
            result = call()
        except (exc.SQLAlchemyError, StorageInternalError) as error:
            cause = database_error(error) or error
            if not is_passing(error):
                raise fault_in_words(cause, doing=doing, place=place) from error
            failures += 1
            left = seconds - (clock() - began)
            if left <= 0:
                raise StorageError(
                    place,
                    found=f"no answer for {seconds:.0f} s while {doing} ({one_line(cause)})",
                    expected="a database that answers",
                    hint="Start it again; what is finished is kept, and the same command goes on.",
                ) from error
            if failures == 1:
                logger.warning("The database is away while %s: %s", doing, one_line(cause))
            sleep(min(pause * random.uniform(0.5, 1.0), left))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        else:
            if failures:
                logger.info("The database is back after %.1f s.", clock() - began)
            return result


def fault_in_words(cause: BaseException, *, doing: str, place: str) -> StorageError:
    """The error for a fault that waiting does not mend."""
    message = one_line(cause)
    found = f"a database error while {doing} ({message})"
    expected = "a database that can be read and written"
    hint = "Look into the database's own log."
    if "database or disk is full" in message or "No space left" in message:
        found, hint = f"no space left on its disk while {doing}", "Free some space, then run again."
    elif "readonly database" in message or "read-only" in message:
        hint = "Give this user the right to write to it."
    elif "no such table" in message or "UndefinedTable" in message:
        found = f"its tables gone while {doing}"
        hint = "Do not delete a storage while workers use it; run the command again."
    elif any(word in message for word in _DAMAGE):
        expected, hint = "a file that is as it was written", DAMAGE_HINT
    return StorageError(place, found=found, expected=expected, hint=hint)


def one_line(error: BaseException) -> str:
    """An exception's message without SQL, parameters, secrets and line breaks."""
    original = getattr(error, "orig", None) or error
    text = redact_text(" ".join(str(original).split()))
    return text if len(text) <= 300 else text[:297] + "..."
