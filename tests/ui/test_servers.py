"""`python -m hpo.ui` serves both UIs, guards the dashboard, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.ui.finished_studies import environment, run_study

pytestmark = pytest.mark.slow


class Ui:
    """A running `hpo.ui`: its links and its processes."""

    def __init__(self, folder: Path, cache: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hpo.ui", *arguments],
            cwd=folder,
            env=environment(cache),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.words = ""

    def wait(self) -> Ui:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.words += line
            if line.startswith("Ctrl-C"):
                return self
        raise AssertionError(f"no links: {self.words} {self.process.stderr.read()}")  # type: ignore[union-attr]

    @property
    def mlflow(self) -> str:
        return re.findall(r"MLflow: +(\S+)", self.words)[0]

    @property
    def dashboard(self) -> str:
        return re.findall(r"Dashboard: +(\S+)", self.words)[0]

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def ui(folder: Path, cache: Path, *arguments: str) -> Iterator[Ui]:
    started = Ui(folder, cache, *arguments)
    try:
        yield started.wait()
    finally:
        started.process.terminate()
        started.process.wait(30)


def status(url: str, method: str = "GET", **headers: str) -> int:
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def gone(family: list[psutil.Process], seconds: float = 15.0) -> bool:
    _, alive = psutil.wait_procs(family, timeout=seconds)
    return not alive


def test_both_are_served_guarded_and_end_together(studied: Path, cache: Path) -> None:
    with ui(studied, cache) as served:
        assert status(served.mlflow) == 200
        assert status(served.dashboard + "/dashboard") == 200
        with urllib.request.urlopen(served.dashboard + "/api/studies") as answer:
            studies = json.load(answer)["study_summaries"]
        assert {study["study_name"] for study in studies} == {"first", "second"}
        evil = {"Origin": "http://evil.example"}
        assert status(served.dashboard + "/api/studies/1", "DELETE", **evil) == 403
        assert status(served.dashboard + "/api/studies", Host="evil.example") == 403
        assert (
            status(served.mlflow + "/api/2.0/mlflow/experiments/search", Host="evil.example") == 403
        )
        assert status(served.dashboard + "/artifacts/1/..%2f..%2foptuna.db") == 404
        family = served.family()
        assert len(family) >= 4
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(20) == 0
        assert gone(family, 1.0)


def test_nothing_is_left_when_it_is_killed_outright(studied: Path, cache: Path) -> None:
    with ui(studied, cache) as served:
        family = served.family()
        os.kill(served.process.pid, signal.SIGKILL)
        assert gone(family)


def test_taken_ports_are_stepped_around_and_links_follow(studied: Path, cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = refused(studied, cache, "--mlflow-port", str(port))
        assert "a port that is taken" in words
    with socket.socket() as mlflow, socket.socket() as dashboard:
        for place, usual in ((mlflow, 5000), (dashboard, 8080)):
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind(("127.0.0.1", usual))
            place.listen()
        with ui(studied, cache) as served:
            assert not served.mlflow.endswith(":5000")
            assert not served.dashboard.endswith(":8080")
            with urllib.request.urlopen(served.dashboard + "/api/studies/1") as answer:
                shown = answer.read().decode()
            assert f"{served.mlflow}/#/experiments/" in shown
            assert "127.0.0.1:5000" not in shown


def test_without_a_study_it_says_so_and_makes_nothing(tmp_path: Path, cache: Path) -> None:
    assert "found no file optuna.db" in refused(tmp_path, cache)
    assert not list(tmp_path.iterdir())


def test_without_the_dashboard_it_says_what_to_install(studied: Path, cache: Path) -> None:
    code = (
        "import sys; sys.modules['optuna_dashboard'] = None\n"
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'optuna_dashboard' else find(name, *rest)\n"
        "from hpo.ui import main; sys.exit(main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=studied,
        env=environment(cache),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert 'pip install "hpo[dashboard]"' in ended.stderr


def test_a_study_is_watched_while_it_runs(tmp_path: Path, cache: Path) -> None:
    begun = time.monotonic()
    words = run_study(tmp_path, cache, "--ui", trials=8)
    took = time.monotonic() - begun
    # A study that ends before MLflow is up never shows its links, and still ends cleanly.
    assert "warning: the UIs" not in words
    if took > 60:
        assert "Dashboard: http://127.0.0.1:" in words
    assert not [
        p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(p.info["cmdline"])
    ]


def refused(folder: Path, cache: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "hpo.ui", *arguments],
        cwd=folder,
        env=environment(cache),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2, ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    return ended.stderr
