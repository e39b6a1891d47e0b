"""What can be said of the compose file and the image without an engine."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "POSTGRES_PASSWORD",
    "HPO_DB_PASSWORD",
    "MLFLOW_DB_PASSWORD",
    "MLFLOW_ADMIN_PASSWORD",
    "MLFLOW_SECRET_KEY",
    "DASHBOARD_PASSWORD",
}


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docker-compose.yml").read_text()


@pytest.fixture(scope="module")
def compose(text: str) -> dict[str, Any]:
    loaded = yaml.safe_load(text)
    assert isinstance(loaded, dict)
    return loaded


def test_the_services_are_those_that_the_documentation_tells_of(compose: dict[str, Any]) -> None:
    services = set(compose["services"])
    assert services == {
        *("postgres", "mlflow", "dashboard", "proxy", "worker", "worker-gpu", "submit"),
    }
    documentation = (ROOT / "docs/deploy.md").read_text()
    assert all(f"`{service}`" in documentation for service in services)


def test_every_service_has_a_health_check(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["healthcheck"]["test"], name


def test_ports_are_published_on_loopback_alone(compose: dict[str, Any]) -> None:
    published = {n: s["ports"] for n, s in compose["services"].items() if "ports" in s}
    assert set(published) == {"mlflow", "proxy"}
    for ports in published.values():
        assert all(str(port).startswith("${HPO_BIND:-127.0.0.1}:") for port in ports)


def test_no_secret_has_a_default_and_none_stands_in_the_file(text: str) -> None:
    for name in SECRETS:
        uses = re.findall(rf"\${{{name}([^}}]*)}}", text)
        assert uses, name
        assert all(use.startswith(":?") for use in uses), name
    assert not re.search(
        r"(?i)(password|secret|token)[\w]*: *[\"']?[\w-]{6,}[\"']?\s*$", text, re.M
    )


def test_images_of_others_are_pinned_to_a_major_version(compose: dict[str, Any]) -> None:
    images = {service["image"] for service in compose["services"].values()}
    assert images == {"postgres:16", "caddy:2", "hpo:local"}
    froms = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.M)
    assert {*froms} == {"python:3.11-slim"}


def test_our_containers_run_without_rights(compose: dict[str, Any]) -> None:
    for name in ("mlflow", "dashboard", "proxy", "worker", "worker-gpu", "submit"):
        service = compose["services"][name]
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert "\nUSER hpo\n" in (ROOT / "Dockerfile").read_text()


def test_what_must_last_lies_in_named_volumes(compose: dict[str, Any]) -> None:
    assert set(compose["volumes"]) == {"postgres", "artifacts", "state", "cache"}
    services = compose["services"]
    assert "postgres:/var/lib/postgresql/data" in services["postgres"]["volumes"]
    assert "artifacts:/var/lib/hpo/artifacts" in services["mlflow"]["volumes"]
    for name in ("worker", "worker-gpu", "submit", "dashboard"):
        assert any(v.startswith("state:") for v in services[name]["volumes"]), name


def test_the_image_has_exact_versions_of_all_that_the_project_needs() -> None:
    lines = (ROOT / "deploy/requirements.lock").read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[^+\s]+", line) for line in pinned)
    names = {line.partition("==")[0] for line in pinned}
    wanted = {"torch", "optuna", "optuna-dashboard", "mlflow", "flask-wtf", "psycopg-binary"}
    assert wanted <= names
    assert not names & {"pytest", "mypy", "ruff"}


def test_secrets_are_made_once_and_are_for_their_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    made = make_env(file)
    assert made.returncode == 0
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    values = dict(line.split("=", 1) for line in file.read_text().splitlines())
    assert set(values) == SECRETS
    assert len({*values.values()}) == len(SECRETS)
    assert all(re.fullmatch(r"[\w-]{32}", value) for value in values.values())
    assert not any(value in made.stdout + made.stderr for value in values.values())
    again = make_env(file)
    assert again.returncode == 2
    assert "kept" in again.stderr
    assert dict(line.split("=", 1) for line in file.read_text().splitlines()) == values


def test_the_mlflow_server_does_not_start_without_its_secrets() -> None:
    ended = subprocess.run(
        [sys.executable, ROOT / "deploy/mlflow_server.py"],
        env={"PATH": os.environ["PATH"], "MLFLOW_BACKEND_STORE_URI": "postgresql://x"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert "MLFLOW_AUTH_ADMIN_PASSWORD" in ended.stderr


def test_a_worker_that_is_gone_or_stopped_is_not_healthy(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "deploy"))
    try:
        from worker_health import worker_state  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    assert worker_state(tmp_path) is None
    for pid, words, state in (
        ("1", b"/sbin/docker-init\0--\0python\0-m\0hpo.worker\0", "S"),
        ("7", b"python\0-m\0hpo.worker\0", "T"),
        ("9", b"python\0/opt/hpo/deploy/worker_health.py\0", "R"),
    ):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_bytes(words)
        (tmp_path / pid / "stat").write_text(f"{pid} (py thon) {state} 1 2 3")
    assert worker_state(tmp_path) == "T"


def make_env(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "deploy/make_env.py", file], capture_output=True, text=True
    )
