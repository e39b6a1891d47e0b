"""Real parts for the tests of tracking: an MLflow server, a faulty line to it, and a local store."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hpo import waiting
from hpo.tracking.local_store import prepare_environment
from tests.tracking.measured import Measured, publish
from tests.waiting import answers


class MlflowServer:
    """A `mlflow server` over SQLite in a folder of its own, which can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is not None:
            return
        environment = {
            **os.environ,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        health = f"{self.uri}/health"
        # One that an interrupted test left would be taken for this one.
        assert not answers(health), f"something answers at {self.uri} already"
        command = [sys.executable, "-m", "hpo.execution.die_with_parent"]
        command += [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", "sqlite:///server.db"]
        log = (self.folder / "server.log").open("ab")
        self._process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        if not waiting.wait_until(lambda: answers(health), 90, poll_seconds=0.2):
            raise AssertionError((self.folder / "server.log").read_text()[-3000:])

    def stop(self) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()
        self._process = None


class FaultyLine:
    """A proxy in front of a tracking server that fails as it is told, a request at a time.

    Faults: `away` (reset before the request is passed on), `late reset` (passed on, the answer
    lost), `500`, `429`, `hang` (no answer until the client gives up). fault: the one for every
    request, or None. chance: how often a request meets one of `faults` instead. troubles: how many
    requests met one.
    """

    def __init__(self, upstream_port: int, seed: int = 0) -> None:
        self.fault: str | None = None
        self.faults: tuple[str, ...] = ()
        self.chance = 0.0
        self.requests = 0
        self.troubles = 0
        self._random = random.Random(seed)
        self._upstream_port = upstream_port
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with suppress(ConnectionError, TimeoutError):
                    super().handle_one_request()
                    return
                self.close_connection = True

            def _serve(self) -> None:
                line._serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests += 1
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        fault = self.fault
        if self.faults and self._random.random() < self.chance:
            fault = self._random.choice(self.faults)
        self.troubles += fault is not None
        if fault in ("500", "429"):
            self._reply(handler, int(fault), b"<html>trouble</html>", "text/html")
        elif fault == "hang":
            time.sleep(60)
        elif fault == "away":
            self._reset(handler)
        else:
            status, answer, kind = self._pass_on(handler, body)
            if fault == "late reset":
                self._reset(handler)
            else:
                self._reply(handler, status, answer, kind)

    def _pass_on(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes, str]:
        upstream = http.client.HTTPConnection("127.0.0.1", self._upstream_port, timeout=30)
        headers = {
            k: v for k, v in handler.headers.items() if k.lower() not in ("host", "connection")
        }
        upstream.request(handler.command, handler.path, body, headers)
        response = upstream.getresponse()
        answer = response.read()
        upstream.close()
        return response.status, answer, response.getheader("Content-Type", "application/json")

    def _reply(self, handler: BaseHTTPRequestHandler, status: int, body: bytes, kind: str) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _reset(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        linger = struct.pack("ii", 1, 0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def _running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow-server"))
    yield server
    server.stop()


@pytest.fixture
def mlflow_server(_running_server: MlflowServer) -> MlflowServer:
    """The session's server, running whatever the test before did to it."""
    _running_server.start()
    return _running_server


@pytest.fixture
def faulty_line(mlflow_server: MlflowServer) -> Iterator[FaultyLine]:
    line = FaultyLine(mlflow_server.port)
    yield line
    line.close()


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prepare_environment()
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("empty-store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments(max_results=1)
    return file


@pytest.fixture
def local_store(_empty_store: Path, tmp_path: Path) -> str:
    """The tracking URI of a fresh local store, set up already."""
    file = tmp_path / "mlflow.db"
    shutil.copy(_empty_store, file)
    return f"sqlite:///{file}"


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return publish(tmp_path_factory.mktemp("usual"))


@pytest.fixture(params=["local", pytest.param("server", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest) -> str:
    if request.param == "local":
        return str(request.getfixturevalue("local_store"))
    return str(request.getfixturevalue("mlflow_server").uri)


@pytest.fixture
def study(request: pytest.FixtureRequest) -> str:
    """A study name of its own for each test, with characters that a filter could misread."""
    return f"it's {request.node.name}"
