"""Every way in which MLflow and the libraries under it fail, told apart: for good, for now, or until somebody acts."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from hpo.redaction import redact_text

logger = logging.getLogger(__name__)

# Answers that a person or time can change: credentials, a proxy's page, a lock, an overload.
_CHANGEABLE = {
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "CUSTOMER_UNAUTHORIZED",
    "ENDPOINT_NOT_FOUND",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "TEMPORARILY_UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "RESOURCE_CONFLICT",
    "ABORTED",
    "CANCELLED",
    "INTERNAL_ERROR",
    "INVALID_STATE",
    "DATA_LOSS",
    "IO_ERROR",
}
# Those of them that time alone does not change.
_BLOCKED = {"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "ENDPOINT_NOT_FOUND"}
# What a file system says of a name that it does not take, today or tomorrow.
_NEVER = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}
_CHANGEABLE_STATUS = {401, 403, 404, 407, 408, 409, 413, 423, 425, 429}
_BLOCKED_STATUS = {401, 403, 404, 407, 413, 507}
# Libraries under MLflow whose errors are those of a network, a disk or a database.
_PASSING_TROUBLES = {"requests", "urllib3", "sqlalchemy", "sqlite3", "filelock", "alembic"}
_CAUSES = (
    (r"Connection refused", "connection refused"),
    (r"Read timed out|ReadTimeout|timed out", "no answer in time"),
    (r"Connection reset|Connection aborted|RemoteDisconnected", "connection lost"),
    (r"Name or service not known|NameResolutionError|getaddrinfo", "its name is not known"),
    (r"Network is unreachable|No route to host", "no route to it"),
    (r"too many (\d{3}) error", r"it answers \1"),
    (r"failed with error code (\d{3})", r"it answers \1"),
    (r"database is locked", "its database is locked"),
)
# What file systems and databases say, also through a server, that goes on until somebody acts.
_BLOCKS = (
    (r"(readonly database|read-only transaction)", r"its database may not be written (\1)"),
    (r"database or disk is full", "the disk of its database is full"),
    (r"file is not a database", "its file is not a database"),
    (r"database disk image is malformed", "its database is damaged"),
    (r"unable to open database file", "its database cannot be opened"),
    (r"(no such (?:table|column): \w+)", r"its database is not as MLflow made it (\1)"),
    (r"(out-of-date database schema)", r"its database is another MLflow's (\1)"),
    (r"(CERTIFICATE_VERIFY_FAILED)", r"its certificate is not trusted (\1)"),
    (
        r"(Access ?Denied|Unable to locate credentials|InvalidAccessKeyId|SignatureDoesNotMatch|NoSuchBucket)",
        r"its store of artifacts says: \1",
    ),
    (r"(password authentication failed|permission denied for \w+)", r"its database says: \1"),
    (
        r"((?:Permission denied|Operation not permitted|Read-only file system|No space left on device"
        r"|Disk quota exceeded|Not a directory|Is a directory|Too many levels of symbolic links"
        r"|File exists)(?:: '[^']*')?)",
        r"\1",
    ),
)


class RetryableError(Exception):
    """The server cannot do it now; the same call may succeed later."""


class BlockedError(RetryableError):
    """It will not do it before somebody has acted: rights, a full disk, credentials. Nothing is given up."""


class PermanentError(Exception):
    """The server will never do it.

    Attributes:
        doubtful: MLflow gives this answer for passing troubles of its database too, so that a few
            repeats are worth while.
    """

    def __init__(self, reason: str, *, doubtful: bool = False) -> None:
        super().__init__(reason)
        self.doubtful = doubtful


@contextmanager
def answers() -> Iterator[None]:
    """Turn whatever MLflow and the libraries under it raise into RetryableError or PermanentError."""
    try:
        yield
    except (RetryableError, PermanentError):
        raise
    except Exception as error:
        raise _answer(error) from error


def _answer(error: Exception) -> RetryableError | PermanentError:
    reason = redact_text(" ".join(str(error).split()) or type(error).__name__)
    code, status = getattr(error, "error_code", None), _status(error, reason)
    refused = _refusal(error, reason[:500], code, status)
    if refused is not None and not refused.doubtful:
        return refused
    blocked = _blocked(reason)
    if blocked is None and (status in _BLOCKED_STATUS or code in _BLOCKED):
        blocked = _in_short(reason)
    if blocked is not None:
        return BlockedError(blocked)
    return refused or RetryableError(_in_short(reason))


def _refusal(
    error: Exception, reason: str, code: object, status: int | None
) -> PermanentError | None:
    """What is refused for good, or perhaps; None where a person or time can change it."""
    if status is not None and (status == 501 or status // 100 == 4):
        return None if status in _CHANGEABLE_STATUS else PermanentError(reason)
    if isinstance(code, str):
        if code in _CHANGEABLE:
            return None
        return PermanentError(reason, doubtful=code == "BAD_REQUEST")
    if isinstance(error, FileNotFoundError) or getattr(error, "errno", None) in _NEVER:
        return PermanentError(reason)
    outside = type(error).__module__.partition(".")[0]
    if status is not None or isinstance(error, OSError) or outside in _PASSING_TROUBLES:
        return None
    logger.debug("An unexpected error from MLflow", exc_info=error)
    return PermanentError(f"{type(error).__name__}: {reason}", doubtful=True)


def _status(error: Exception, reason: str) -> int | None:
    """The HTTP status of an answer that was not MLflow's own; None where there is none."""
    response = getattr(error, "response", None)
    if response is not None and hasattr(response, "status_code"):
        return int(response.status_code)
    told = re.search(r"failed with error code (\d{3})", reason)
    return int(told.group(1)) if told and hasattr(error, "error_code") else None


def _blocked(reason: str) -> str | None:
    """What somebody must mend, in a few words; None where nothing in the message says so."""
    for pattern, words in _BLOCKS:
        found = re.search(pattern, reason, re.IGNORECASE)
        if found:
            return found.expand(words)
    return None


def _in_short(reason: str) -> str:
    """The cause out of a message that wraps it three times."""
    for pattern, words in _CAUSES:
        found = re.search(pattern, reason)
        if found:
            return found.expand(words)
    return reason[:200]
