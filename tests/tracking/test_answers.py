"""What fails for good, for now, or until somebody acts; and that the last of these is told with its reason."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
import requests
import sqlalchemy as sa

from hpo.outbox.outbox import Outbox, blocked_in, waiting_in
from hpo.outbox.records import EndRun, LogArtifact, OpenRun, RunRef
from hpo.tracking import drain_abandoned
from hpo.tracking.answers import BlockedError, PermanentError, RetryableError, answers
from hpo.tracking.drain import Drainer
from hpo.tracking.local_store import prepare_environment
from tests.tracking.reading import statuses

Fate = Literal["dropped", "waits", "waits for somebody"]

SYSTEM: dict[Fate, tuple[int, ...]] = {
    "dropped": (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOENT),
    "waits": (errno.EAGAIN, errno.EINTR, errno.EIO, errno.ETIMEDOUT, errno.EMFILE, errno.EBUSY),
    "waits for somebody": (
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR),
        *(errno.EISDIR, errno.ELOOP, errno.EEXIST),
    ),
}
DATABASE: dict[Fate, tuple[str, ...]] = {
    "waits": ("database is locked", "database table is locked", "interrupted"),
    "waits for somebody": (
        *("attempt to write a readonly database", "database or disk is full"),
        *("file is not a database", "database disk image is malformed"),
        *("unable to open database file", "no such table: runs", "no such column: runs.x"),
        "cannot execute INSERT in a read-only transaction",
        'password authentication failed for user "mlflow"',
    ),
}
STATUS: dict[Fate, tuple[int, ...]] = {
    "dropped": (400, 405, 411, 414, 422, 431, 451, 501),
    "waits": (408, 409, 423, 425, 429, 500, 502, 503, 504),
    "waits for somebody": (401, 403, 404, 407, 413, 507),
}
CODE: dict[Fate, tuple[str, ...]] = {
    "dropped": ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS"),
    "waits": ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "RESOURCE_EXHAUSTED", "DATA_LOSS"),
    "waits for somebody": ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"),
}


def fate_of(error: Exception) -> Fate:
    with pytest.raises((PermanentError, RetryableError)) as told, answers():
        raise error
    if isinstance(told.value, BlockedError):
        return "waits for somebody"
    return "waits" if isinstance(told.value, RetryableError) else "dropped"


@pytest.mark.parametrize(("fate", "number"), [(f, n) for f, ns in SYSTEM.items() for n in ns])
def test_what_a_file_system_answers(fate: Fate, number: int) -> None:
    assert fate_of(OSError(number, os.strerror(number), "/there/x")) == fate, os.strerror(number)


@pytest.mark.parametrize(("fate", "said"), [(f, s) for f, ss in DATABASE.items() for s in ss])
def test_what_a_database_answers_itself_and_through_mlflow(fate: Fate, said: str) -> None:
    from mlflow.exceptions import MlflowException, RestException
    from mlflow.protos.databricks_pb2 import BAD_REQUEST, TEMPORARILY_UNAVAILABLE

    error = sqlite3.OperationalError(said)
    wrapped = sa.exc.OperationalError("INSERT INTO runs", {}, error)
    assert fate_of(error) == fate
    assert fate_of(wrapped) == fate
    assert fate_of(MlflowException(str(wrapped), TEMPORARILY_UNAVAILABLE)) == fate
    answer = {"error_code": "INTERNAL_ERROR", "message": str(wrapped)}
    assert fate_of(RestException(answer)) == fate
    if fate == "waits for somebody":
        assert fate_of(MlflowException(str(wrapped), BAD_REQUEST)) == fate


@pytest.mark.parametrize(("fate", "status"), [(f, s) for f, ss in STATUS.items() for s in ss])
def test_what_a_server_answers_that_is_not_mlflow(fate: Fate, status: int) -> None:
    from mlflow.exceptions import MlflowException, get_error_code

    response = requests.Response()
    response.status_code = status
    assert fate_of(requests.HTTPError(f"{status} for url /x", response=response)) == fate
    said = f"API request to endpoint /x failed with error code {status} != 200. Response body: ''"
    assert fate_of(MlflowException(said, get_error_code(status))) == fate


@pytest.mark.parametrize(("fate", "code"), [(f, c) for f, cs in CODE.items() for c in cs])
def test_what_mlflow_answers(fate: Fate, code: str) -> None:
    from mlflow.exceptions import RestException

    assert fate_of(RestException({"error_code": code, "message": "no"})) == fate
    # What somebody wrote into a name says nothing of a disk.
    if fate == "dropped":
        assert fate_of(RestException({"error_code": code, "message": "'Disk is full'"})) == fate


RUN = RunRef("blocked", "r")


def leave_behind(state: Path, uri: str) -> None:
    with Outbox.create(state, uri) as outbox:
        outbox.append(OpenRun(RUN, "r", 1), EndRun(RUN, "FINISHED", 2))


def test_a_store_that_may_not_be_written_is_told_of_and_loses_nothing(
    local_store: str, tmp_path: Path
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    leave_behind(tmp_path, local_store)
    file = Path(local_store.removeprefix("sqlite:///"))
    file.chmod(0o400)
    report = drain_abandoned(tmp_path)
    assert (report.waiting, report.refused) == (2, 0)
    assert report.blocked == {"its database may not be written (readonly database)"}
    assert blocked_in(tmp_path) == list(report.blocked)
    file.chmod(0o600)
    assert drain_abandoned(tmp_path).waiting == 0
    assert statuses(local_store, RUN.experiment) == {"r": "FINISHED"}


def test_what_is_in_the_way_of_artifacts_is_told_once_and_forgotten_once_it_is_gone(
    local_store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    state, in_the_way = tmp_path / ".hpo", tmp_path / "mlruns"
    in_the_way.write_text("a file")
    with Outbox.create(state, local_store) as outbox, Outbox.create(state, local_store) as other:
        for each in (outbox, other):
            spooled = each.spool.add_file(b"notes", "notes.txt")
            each.append(
                OpenRun(RUN, "r", 1),
                LogArtifact(RUN, spooled.path, "", spooled.digest),
                spooled=spooled,
            )
        drainers = [Drainer(each, local_store) for each in (outbox, other)]
        for drainer in drainers:
            drainer.start()
            assert drainer.flush(3) == 1
        told = caplog.text.count("takes nothing before somebody mends this")
        assert (told, caplog.text.count("cannot be used")) == (1, 0)
        [reason] = blocked_in(state)
        assert str(in_the_way) in reason
        in_the_way.unlink()
        for drainer in drainers:
            assert drainer.flush(30) == 0
            drainer.stop(10)
        assert blocked_in(state) == []


@contextmanager
def server_that_answers(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"no")

        do_GET = do_POST = do_PUT = do_PATCH = _refuse  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_server_that_answers_403_is_told_of_and_what_waits_arrives_later(
    local_store: str, tmp_path: Path
) -> None:
    prepare_environment()
    with server_that_answers(403) as uri:
        leave_behind(tmp_path, uri)
        report = drain_abandoned(tmp_path)
    assert (report.waiting, report.blocked, report.away) == (2, {"it answers 403"}, {uri})
    assert blocked_in(tmp_path) == ["it answers 403"]
    # The same address says nothing at all now, which passes by itself.
    report = drain_abandoned(tmp_path)
    assert (report.waiting, report.blocked, report.away) == (2, set(), {uri})
    assert (blocked_in(tmp_path), waiting_in(tmp_path)) == ([], 2)
    assert statuses(local_store, "blocked") == {}
