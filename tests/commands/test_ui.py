"""`python -m hpo.ui` serves both UIs, guards the dashboard, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.finished_studies import STUDY, environment, run_study
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A folder with the studies `first` and `second`."""
    folder = tmp_path_factory.mktemp("studied")
    run_study(folder, cache)
    run_study(folder, cache, "--name", "second", "--set", "training.optimizer=sgd")
    return folder


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
        for name in ("evil.example", "10.evil.example:5000", "192.168.evil.example"):
            asked = served.mlflow + "/api/2.0/mlflow/experiments/search?max_results=1"
            assert status(asked, Host=name) == 403, name
            assert status(served.dashboard + "/api/studies", Host=name) == 403, name
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
    with ExitStack() as taken:
        for usual in (5000, 8080):
            with suppress(OSError):  # somebody else has it already
                taken.enter_context(socket.create_server(("127.0.0.1", usual)))
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


def test_the_usual_port_of_the_other_is_left_to_who_asked_for_it(
    studied: Path, cache: Path
) -> None:
    with ui(studied, cache, "--mlflow-port", "8080") as served:
        assert served.mlflow.endswith(":8080")
        assert status(served.mlflow) == status(served.dashboard + "/dashboard") == 200


def test_both_are_opened_in_the_browser_where_that_is_asked_for(
    studied: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {opened}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    with ui(studied, cache, "--open") as served:
        wait_until(
            lambda: opened.exists() and len(opened.read_text().split()) == 2,
            "both are opened",
            seconds=20,
        )
        assert opened.read_text().split() == [served.mlflow, served.dashboard]


def test_a_study_is_watched_while_it_runs(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY.format(trials=10_000))
    run = subprocess.Popen(
        [sys.executable, "-m", "hpo.run", "study.toml", "--workers", "1", "--ui"],
        cwd=tmp_path,
        env=environment(cache),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(200, run.kill)
    watchdog.start()
    assert run.stderr is not None
    try:
        line = next(line for line in run.stderr if line.startswith("MLflow: http"))
        mlflow, dashboard = re.findall(r"http://\S+", line)
        assert status(mlflow) == 200
        with urllib.request.urlopen(dashboard + "/api/studies") as answer:
            [study] = json.load(answer)["study_summaries"]
        assert study["study_name"] == "first"
        family = psutil.Process(run.pid).children(recursive=True)
        assert len(family) >= 4
        run.send_signal(signal.SIGINT)
        words = run.stderr.read()
        assert run.wait(60) == 130, words
        assert gone(family, 1.0)
    finally:
        watchdog.cancel()
        run.kill()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--mlflow-port 99999", "expected a whole number from 1 to 65535"),
        ("--dashboard-port 0", "expected a whole number from 1 to 65535"),
        ("--mlflow-port 6001 --dashboard-port 6001", "--dashboard-port 6001: found a port that is"),
        ("--host 0.0.0.0", "--host: found an option of the dashboard alone"),
        ("--only dashboard --open", "--open: found --only beside it"),
        ("--tracking-uri http://127.0.0.1:9 --mlflow-port 6001", "serves its own pages"),
    ],
)
def test_options_that_cannot_be_followed_are_refused(
    arguments: str, words: str, studied: Path, cache: Path
) -> None:
    assert words in refused(studied, cache, *arguments.split())


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
