"""Passwords of stores and servers: in no message and no log, and asked for again where something waits."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpo import redaction
from hpo.errors import HpoError
from hpo.outbox.outbox import Outbox
from hpo.outbox.records import EndRun, OpenRun, RunRef
from hpo.storage.storage import check_storage
from hpo.tracking import drain_abandoned
from hpo.tracking.gateway import Gateway
from hpo.tracking.ping import ping
from tests.tracking.conftest import MlflowServer
from tests.tracking.reading import statuses

NOWHERE = "127.0.0.1:1"
# Not a part of what our own messages say.
passwords = st.text(min_size=8, max_size=24).map(lambda text: f"Zq{text}9x")


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """All that anybody logs, in the form that commands show it."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(redaction.RedactingFormatter("%(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@settings(max_examples=40)
@given(passwords)
@example("S3cr3t@Tail-9x")
@example("Zq/?#[]@:%41 9x")
@example("Zq\n\x00\ud7ff'\"9x")
def test_whatever_fails_no_message_and_no_log_holds_the_password(password: str) -> None:
    escaped = quote(password, safe="")
    with everything_logged() as logged, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGCONNECT_TIMEOUT", "2")
        said = []
        for secret in (password, escaped):
            for url in (
                f"postgresql://me:{secret}@{NOWHERE}/d",
                f"postgresql://me@{NOWHERE}/d?password={secret}",
                f"postgresql://me@{NOWHERE}/d?sslpassword={secret}&sslmode=prefer",
                f"postgresql://me@{NOWHERE}/d?options={secret}",
                f"postgresql://me@{NOWHERE}/d?unheard_of={secret}",
                f"mysql://me:{secret}@{NOWHERE}/d",
                f"sqlite:///none/o.db?key={secret}",
            ):
                said.append(_said(check_storage, url))
            for uri in (
                f"http://me:{secret}@{NOWHERE}",
                f"http://{escaped}@{NOWHERE}",  # unescaped, a / would make it host and path
                f"https://{NOWHERE}/base?token={secret}",
                f"postgresql://me:{secret}@{NOWHERE}/d",
                f"ftp://me:{secret}@{NOWHERE}",
            ):
                said.append(_said(ping, uri))
        said.append(logged.getvalue())
    for text in said:
        for form in (password, escaped, repr(password)[1:-1]):
            assert form not in text


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"])
@pytest.mark.parametrize("password", ["Zq-tulip-9x", "Zq\ntulip 9x", "Zq€tulip'9x", "Zq%41@/9x"])
def test_nor_one_of_the_environment(
    variable: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, password)
    if variable.endswith("PASSWORD"):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    with everything_logged() as logged:
        said = _said(ping, f"http://{NOWHERE}")
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
            Gateway(f"http://{NOWHERE}").experiment_id("none")
    for text in (said, str(caught.value), logged.getvalue()):
        assert "tulip" not in text or "tulip" not in password
        assert password not in text


def _said(use: object, url: str) -> str:
    assert callable(use)
    try:
        use(url)
    except HpoError as error:
        return f"{error} {error.place} {error.found} {error.expected} {error.hint}"
    return ""


@pytest.mark.slow
def test_what_waits_for_a_server_with_a_password_is_sent_once_that_is_given_again(
    mlflow_server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = mlflow_server.uri.replace("://", "://me:Zq-crocus@")
    run = RunRef("secrets", "r")
    with Outbox.create(tmp_path, uri) as outbox:
        outbox.append(OpenRun(run, "r", 1), EndRun(run, "FINISHED", 2))
    monkeypatch.setattr(redaction, "_given", {})  # as in another process
    report = drain_abandoned(tmp_path)
    assert (report.waiting, report.without_secret) == (2, {redaction.redacted(uri)})
    redaction.remember(uri)
    report = drain_abandoned(tmp_path)
    assert (report.waiting, report.without_secret) == (0, set())
    assert statuses(mlflow_server.uri, "secrets") == {"r": "FINISHED"}
    for path in (*tmp_path.rglob("*"), *mlflow_server.folder.rglob("*")):
        assert not path.is_file() or b"crocus" not in path.read_bytes()
