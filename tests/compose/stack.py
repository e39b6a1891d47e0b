"""The compose file brought up under a name of its own, and spoken to as people do."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def engine() -> list[str] | None:
    """The compose command of this machine, or None where no engine answers."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        works = subprocess.run([*command, "version"], capture_output=True).returncode == 0
        if works and subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
            return command
    return None


class Stack:
    """One project of the compose file, with secrets and ports of its own. Its log says what was done."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.folder = folder
        self.log = folder / "stack.log"
        self.command = command
        self._begun = time.monotonic()
        self.project = f"hpotest{os.getpid()}"
        self._env_file = folder / "stack.env"
        subprocess.run([sys.executable, ROOT / "deploy/make_env.py", self._env_file], check=True)
        self.secrets = {path.name: path.read_text() for path in (folder / "secrets").iterdir()}
        self.mlflow_port, self.dashboard_port = free_ports(2)
        more = {
            "MLFLOW_PORT": self.mlflow_port,
            "DASHBOARD_PORT": self.dashboard_port,
            "HPO_MLFLOW_URL": f"http://localhost:{self.mlflow_port}",
            "HPO_DASHBOARD_URL": f"http://localhost:{self.dashboard_port}",
        }
        with self._env_file.open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in more.items())

    def say(self, words: str) -> None:
        """A line for the log, with the seconds since the beginning."""
        line = f"{time.monotonic() - self._begun:7.1f} s  {words}"
        print(line, flush=True)
        with self.log.open("a") as log:
            log.write(line + "\n")

    def compose(self, *words: str, data: bytes | None = None, timeout: float = 900) -> bytes:
        """A compose command; its standard output."""
        ended = subprocess.run(
            [*self.command, "--env-file", str(self._env_file), "-p", self.project, *words],
            cwd=ROOT,
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            timeout=timeout,
        )
        assert ended.returncode == 0, ended.stderr.decode(errors="replace")[-3000:]
        return ended.stdout

    def containers(self, service: str) -> list[str]:
        """Ids of the service's containers."""
        return self.compose("ps", "-q", service).decode().split()

    def healthy(self) -> bool:
        """Whether all containers run and say that they are well."""
        ids = self.compose("ps", "-q").decode().split()
        shown = subprocess.run(
            ["docker", "inspect", "-f", "{{.State.Health.Status}}", *ids],
            capture_output=True,
            text=True,
        ).stdout.split()
        return len(shown) == len(ids) > 0 and set(shown) == {"healthy"}

    def wait(self, what: str, holds: Callable[[], Any], seconds: float = 600) -> Any:
        """Wait for something; what it gives when it holds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = holds()
            if found:
                self.say(what)
                return found
            time.sleep(2)
        logs = self.compose("logs", "--tail=40").decode(errors="replace")
        raise AssertionError(f"not within {seconds:.0f} s: {what}\n{logs}")

    def mlflow(self, path: str, body: object = None, **more: Any) -> tuple[int, Any]:
        """Ask MLflow, as admin unless told otherwise."""
        more.setdefault("login", ("admin", self.secrets["mlflow_admin_password"]))
        return ask(self.mlflow_port, path, body, **more)

    def dashboard(self, path: str, body: object = None, **more: Any) -> tuple[int, Any]:
        """Ask the dashboard, with its password unless told otherwise."""
        more.setdefault("login", ("hpo", self.secrets["dashboard_password"]))
        return ask(self.dashboard_port, path, body, **more)

    def trials(self, study: str) -> list[dict[str, Any]]:
        """The study's trials as the dashboard tells of them; none as long as it cannot be asked."""
        try:
            status, found = self.dashboard("/api/studies")
            if status != 200:
                return []
            ids = {s["study_name"]: s["study_id"] for s in found["study_summaries"]}
            if study not in ids:
                return []
            status, detail = self.dashboard(f"/api/studies/{ids[study]}?after=0")
            return list(detail["trials"]) if status == 200 else []
        except OSError:
            return []

    def runs(self, study: str) -> list[dict[str, Any]]:
        """The runs of the study's attempts at trials in MLflow."""
        status, found = self.mlflow(
            "/api/2.0/mlflow/experiments/get-by-name?"
            + urllib.parse.urlencode({"experiment_name": study})
        )
        assert status == 200, found
        status, page = self.mlflow(
            "/api/2.0/mlflow/runs/search",
            {
                "experiment_ids": [found["experiment"]["experiment_id"]],
                "filter": "attributes.run_name LIKE 'trial-%'",
                "max_results": 200,
            },
        )
        assert status == 200, page
        return list(page.get("runs", []))


def ask(
    port: int,
    path: str,
    body: object = None,
    *,
    login: tuple[str, str] | None = None,
    method: str | None = None,
    **headers: str,
) -> tuple[int, Any]:
    """One request with the path sent as it is. headers: with _ for -. Returns status, and JSON or text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    sent.setdefault("Host", f"localhost:{port}")
    if login is not None:
        token = base64.b64encode(f"{login[0]}:{login[1]}".encode()).decode()
        sent["Authorization"] = f"Basic {token}"
    if body is not None:
        sent["Content-Type"] = "application/json"
    method = method or ("GET" if body is None else "POST")
    connection.request(method, path, None if body is None else json.dumps(body), sent)
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
