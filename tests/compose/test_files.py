"""What can be said of the compose file and the image without an engine."""

from __future__ import annotations

import importlib.util
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
    "MLFLOW_WORKER_PASSWORD",
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
    assert set(published) == {"proxy"}
    for ports in published.values():
        assert all(str(port).startswith("${HPO_BIND:-127.0.0.1}:") for port in ports)


def test_secrets_come_as_files_and_in_no_environment(text: str, compose: dict[str, Any]) -> None:
    for name in SECRETS:
        assert not re.search(rf"\${{{name}\b", text), name
    places = {name: each["file"] for name, each in compose["secrets"].items()}
    assert set(places) == {name.lower() for name in (*SECRETS, "HF_TOKEN")}
    for name, place in places.items():
        assert place == "${HPO_SECRETS:?run python deploy/make_env.py first}/" + name
    for name, service in compose["services"].items():
        named = [v for v in service["environment"].values() if v.startswith("/run/secrets/")]
        assert {Path(each).name for each in named} == set(service["secrets"]), name
    assert not re.search(
        r"(?i)(password|secret|token)[\w]*: *[\"']?[\w-]{6,}[\"']?\s*$", text, re.M
    )


def test_workers_are_not_the_administrator_of_mlflow(compose: dict[str, Any]) -> None:
    for name in ("worker", "worker-gpu", "submit"):
        service = compose["services"][name]
        assert service["environment"]["MLFLOW_TRACKING_USERNAME"] == "worker"
        assert "mlflow_admin_password" not in service["secrets"]


def test_the_way_in_from_outside_does_not_lead_to_the_database(compose: dict[str, Any]) -> None:
    networks = {name: set(s["networks"]) for name, s in compose["services"].items()}
    assert networks["postgres"] == {"back"}
    assert networks["proxy"] == {"front"}
    assert {name for name, on in networks.items() if on == {"front", "back"}} == {
        *("mlflow", "dashboard"),
    }


def test_every_service_has_bounds(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert all("size=" in each for each in service["tmpfs"]), name


def test_images_of_others_are_pinned_to_an_exact_version(compose: dict[str, Any]) -> None:
    images = {service["image"] for service in compose["services"].values()} - {"hpo:local"}
    froms = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.M)
    assert {name.partition(":")[0] for name in (*images, *froms)} == {
        *("postgres", "nginx", "python"),
    }
    for name in (*images, *froms):
        version = name.partition(":")[2].split("-")[0]
        assert len(version.split(".")) == (2 if name.startswith("postgres") else 3), name


def test_the_image_is_built_from_hashed_files_of_one_index() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "EXTRA_INDEX" not in text
    assert "INDEX_URL" not in text
    installs = re.findall(r"pip install [^&|\\\n]*", text)
    assert all(".lock" in line or "--no-index" in line for line in installs)
    assert all("--no-deps" in line for line in installs)


def test_our_containers_run_without_rights(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert "\nUSER hpo\n" in (ROOT / "Dockerfile").read_text()


def test_what_must_last_lies_in_named_volumes(compose: dict[str, Any]) -> None:
    passing = {"uploads", "scratch"}
    assert set(compose["volumes"]) == {"postgres", "artifacts", "state", "cache", *passing}
    services = compose["services"]
    assert "postgres:/var/lib/postgresql/data" in services["postgres"]["volumes"]
    assert "artifacts:/var/lib/hpo/artifacts" in services["mlflow"]["volumes"]
    for name in ("worker", "worker-gpu", "submit", "dashboard"):
        assert any(v.startswith("state:") for v in services[name]["volumes"]), name


def test_the_image_has_exact_versions_of_all_that_the_project_needs() -> None:
    lines = (ROOT / "deploy/requirements.lock").read_text().splitlines()
    pinned = [line for line in lines if "==" in line]
    names = {line.partition("==")[0] for line in pinned}
    wanted = {"torch", "optuna", "optuna-dashboard", "mlflow", "flask-wtf", "psycopg-binary"}
    assert wanted <= names
    assert not names & {"pytest", "mypy", "ruff"}


def test_secrets_are_made_once_and_their_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    file, folder = tmp_path / ".env", tmp_path / "secrets"
    made = make_env(file)
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert file.read_text() == f"HPO_SECRETS={folder}\n"
    values = secrets_in(folder)
    assert set(values) == {name.lower() for name in SECRETS}
    assert len({*values.values()}) == len(SECRETS)
    assert all(re.fullmatch(r"[\w-]{32}", value) for value in values.values())
    assert not any(value in made.stdout + made.stderr for value in values.values())
    again = make_env(file)
    assert again.returncode == 2
    assert "kept" in again.stderr
    assert secrets_in(folder) == values


def test_an_env_of_an_earlier_release_hands_its_secrets_over(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("POSTGRES_PASSWORD=known-to-the-database\n# ours\nDASHBOARD_PORT=8081\n")
    assert make_env(file).returncode == 0
    assert secrets_in(tmp_path / "secrets")["postgres_password"] == "known-to-the-database"
    kept = f"# ours\nDASHBOARD_PORT=8081\nHPO_SECRETS={tmp_path / 'secrets'}\n"
    assert file.read_text() == kept


def test_a_command_finds_its_secrets_in_its_environment(tmp_path: Path) -> None:
    with_secrets = deployed("with_secrets").with_secrets
    (tmp_path / "token").write_text("x\n")
    (tmp_path / "none").write_text("")
    given = {"A_FILE": f"{tmp_path}/token", "B_FILE": f"{tmp_path}/none", "SSL_CERT_FILE": "/etc/x"}
    assert with_secrets(given, tmp_path) == {"A": "x", "SSL_CERT_FILE": "/etc/x"}
    with pytest.raises(OSError, match="gone"):
        with_secrets({"C_FILE": f"{tmp_path}/gone"}, tmp_path)


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
    worker_state = deployed("worker_health").worker_state
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


def deployed(name: str) -> Any:
    """A script of deploy/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"deploy/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def secrets_in(folder: Path) -> dict[str, str]:
    """Those that are not empty."""
    return {path.name: path.read_text() for path in folder.iterdir() if path.read_text()}


def make_env(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "deploy/make_env.py", file], capture_output=True, text=True
    )
