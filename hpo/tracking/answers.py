"""Every way in which MLflow and the libraries under it fail, told apart: for good, or for now."""

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
# What a file system says of a name that it does not take, today or tomorrow.
_NEVER = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}
_CHANGEABLE_STATUS = {401, 403, 404, 407, 408, 409, 423, 425, 429}
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


class RetryableError(Exception):
    """The server cannot do it now; the same call may succeed later."""


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
    reason = redact_text(" ".join(str(error).split()) or type(error).__name__)[:500]
    code = getattr(error, "error_code", None)
    if isinstance(code, str):
        status = re.search(r"failed with error code (\d{3})", reason)
        if status and int(status.group(1)) not in _CHANGEABLE_STATUS and status.group(1)[0] == "4":
            return PermanentError(reason)
        if code in _CHANGEABLE:
            return RetryableError(_in_short(reason))
        return PermanentError(reason, doubtful=code == "BAD_REQUEST")
    response = getattr(error, "response", None)
    if response is not None and hasattr(response, "status_code"):
        http_status = int(response.status_code)
        if http_status == 501 or (
            http_status // 100 == 4 and http_status not in _CHANGEABLE_STATUS
        ):
            return PermanentError(reason)
        return RetryableError(_in_short(reason))
    if isinstance(error, FileNotFoundError) or getattr(error, "errno", None) in _NEVER:
        return PermanentError(reason)
    outside = type(error).__module__.partition(".")[0]
    if isinstance(error, OSError) or outside in _PASSING_TROUBLES:
        return RetryableError(_in_short(reason))
    logger.debug("An unexpected error from MLflow", exc_info=error)
    return PermanentError(f"{type(error).__name__}: {reason}", doubtful=True)


def _in_short(reason: str) -> str:
    """The cause out of a message that wraps it three times."""
    for pattern, words in _CAUSES:
        found = re.search(pattern, reason)
        if found:
            return found.expand(words)
    return reason[:200]
