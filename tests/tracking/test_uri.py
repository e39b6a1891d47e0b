from __future__ import annotations

import sqlite3
import traceback
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from hpo.errors import TrackingError
from hpo.outbox.outbox import Outbox
from hpo.redaction import redact_text
from hpo.tracking.ping import ping
from hpo.tracking.uri import (
    TrackingServerAway,
    browser_url,
    checked_uri,
    database_file,
    run_url,
)
from tests.tracking.conftest import FaultyLine, MlflowServer, free_port


def test_a_relative_database_means_the_same_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked_uri("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert checked_uri(f"sqlite:///{tmp_path}/x.db") == f"sqlite:///{tmp_path}/x.db"


@pytest.mark.parametrize("name", ["a b#c", "50% of ü", "a%20b"])
def test_any_folder_name_will_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    uri = checked_uri("sqlite:///mlflow.db")
    assert checked_uri(uri) == uri
    assert database_file(uri) == folder / "mlflow.db"
    with Outbox.create(folder, uri) as outbox:
        assert outbox.tracking_uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "file:///tmp/mlruns",
        "mlruns",
        "",
        "./mlruns",
        "htp://server:5000",
        "http://",
        "http://server:port",
        "http://a b:5000",
        "sqlite://mlflow.db",
        "sqlite:///",
        "sqlite:///:memory:",
        "postgres://u:p@h/d",
    ],
)
def test_a_uri_that_mlflow_cannot_use_is_an_error(uri: str) -> None:
    with pytest.raises(TrackingError) as caught:
        ping(uri)
    assert not isinstance(caught.value, TrackingServerAway)


def test_credentials_are_in_no_message() -> None:
    uri = "http://user:hunter2@tracking:5000/base?token=hunter2"
    assert redact_text(f"failed: {uri} now") == "failed: http://tracking:5000/base now"
    assert "hunter2" not in run_url(uri, "1", "abc")
    with pytest.raises(TrackingError) as caught:
        ping(f"http://user:hunter2@127.0.0.1:{free_port()}", timeout_seconds=1)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("mark", ["/", "#", "?", "@", "[", "]", "12#", "12/", "\\"])
def test_a_password_with_a_mark_that_should_be_escaped_is_told_of_and_not_shown(mark: str) -> None:
    for scheme in ("http", "postgresql"):
        uri = f"{scheme}://user:{mark}hunter{mark}two@tracking:5000/base"
        shown = redact_text(f"cannot reach {uri} now")
        try:
            checked_uri(uri)
        except TrackingError:
            shown += traceback.format_exc()
        else:
            # A mark that is as good as escaped: the host is found all the same.
            assert urlsplit(uri).hostname == "tracking"
        assert "hunter" not in shown
        assert "two" not in shown
    with pytest.raises(TrackingError, match=r"malformed address.*%2F"):
        checked_uri("http://user:hunter/two@tracking:5000")


def test_an_at_sign_in_the_path_is_no_password() -> None:
    for uri in ("http://tracking/a@b", "http://tracking:5000/a%40b"):
        assert checked_uri(uri) == browser_url(uri) == uri


def test_an_unreachable_server_is_away_and_not_wrong() -> None:
    with pytest.raises(TrackingServerAway, match="expected an answer"):
        ping(f"http://127.0.0.1:{free_port()}", timeout_seconds=1)
    with pytest.raises(TrackingServerAway):
        ping(f"postgresql://u:p@127.0.0.1:{free_port()}/db", timeout_seconds=1)


def test_optunas_database_is_not_taken_for_mlflows(tmp_path: Path) -> None:
    file = tmp_path / "optuna.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE studies (study_id INTEGER)")
    with pytest.raises(TrackingError, match="an Optuna database"):
        ping(f"sqlite:///{file}")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("not a database, but long enough to be read as one" * 10)
    with pytest.raises(TrackingError, match="no SQLite database"):
        ping(f"sqlite:///{file}")


def test_a_database_still_to_be_made_is_fine(tmp_path: Path) -> None:
    ping(f"sqlite:///{tmp_path}/deep/mlflow.db")
    assert not (tmp_path / "deep").exists()


def test_a_web_server_that_is_not_mlflow_is_wrong() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(TrackingError, match="not MLflow's"):
            ping(f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()


@pytest.mark.slow
def test_a_server_in_trouble_is_away(mlflow_server: MlflowServer, faulty_line: FaultyLine) -> None:
    ping(mlflow_server.uri)
    ping(faulty_line.uri)
    for fault in ("500", "429", "away"):
        faulty_line.fault = fault
        with pytest.raises(TrackingServerAway):
            ping(faulty_line.uri, timeout_seconds=2)


def test_a_local_store_is_shown_where_mlflow_ui_serves_it(tmp_path: Path) -> None:
    assert browser_url(f"sqlite:///{tmp_path}/mlflow.db") == "http://127.0.0.1:5000"
    assert database_file(f"sqlite:///{tmp_path}/mlflow.db") == tmp_path / "mlflow.db"
    assert database_file("http://server") is None
