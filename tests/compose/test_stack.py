"""The whole service in containers: up, a study done through faults, guarded, down and up, backed up and restored.

Needs a Docker engine, so that it is not part of `make test`:

    python -m pytest -m compose -s

The image is built first; HPO_BUILD_NETWORK=host lets the build use the host's network. The log is kept where
HPO_COMPOSE_LOG says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.compose.stack import ROOT, Stack, engine

pytestmark = [pytest.mark.compose, pytest.mark.timeout(3000)]
STUDY, TRIALS = "composed", 12
FINISHED = ("Complete", "Pruned")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    command = engine()
    if command is None:
        pytest.skip("no Docker engine answers here")
    stack = Stack(tmp_path_factory.mktemp("stack"), command)
    try:
        stack.compose("build", timeout=2400)
        stack.say("image built")
        stack.compose("up", "-d", "--scale", "worker=2")
        stack.wait("all services are healthy", stack.healthy)
        yield stack
    finally:
        stack.compose("down", "-v")
        stack.say("taken down, volumes removed")
        if kept := os.environ.get("HPO_COMPOSE_LOG"):
            shutil.copy(stack.log, kept)


def test_nothing_starts_without_secrets(stack: Stack) -> None:
    nothing = stack.folder / "nothing.env"
    nothing.touch()
    ended = subprocess.run(
        [*stack.command, "--env-file", str(nothing), "config"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode != 0
    assert "run python deploy/make_env.py first" in ended.stderr
    stack.say("refused without secrets")


def finished(stack: Stack) -> int:
    return sum(trial["state"] in FINISHED for trial in stack.trials(STUDY))


def states(stack: Stack) -> dict[str, int]:
    return dict(Counter(trial["state"] for trial in stack.trials(STUDY)))


def test_a_study_is_finished_through_a_killed_worker_and_a_restarted_database(stack: Stack) -> None:
    told = stack.compose(
        *("run", "--rm", "-T", "submit", "studies/quickstart.toml"),
        *("--name", STUDY, "--trials", str(TRIALS), "--set", "confirm.seeds=0"),
        *("--set", "search.space.freeze_depth={low = 2, high = 3}"),
        *("--set", "search.space.epochs={low = 2, high = 3}"),
    ).decode()
    assert f"0 of {TRIALS} trials finished" in told
    stack.say(f"submitted: {told.strip().splitlines()[-1]}")
    stack.wait("two trials are at work", lambda: states(stack).get("Running", 0) == 2)
    stack.wait(
        "two trials are finished and two at work",
        lambda: finished(stack) >= 2 and states(stack).get("Running", 0) == 2,
    )
    victim = stack.containers("worker")[0]
    subprocess.run(["docker", "kill", "--signal", "KILL", victim], check=True, capture_output=True)
    stack.say(f"worker container {victim[:12]} killed with {states(stack)}")
    stack.wait("more trials are finished by the other", lambda: finished(stack) >= 4)
    before = states(stack)
    stack.compose("restart", "postgres")
    stack.say(f"PostgreSQL restarted with {before}")
    stack.wait(f"{TRIALS} trials are finished", lambda: finished(stack) >= TRIALS, 1500)

    def champion() -> Any:
        return (
            stack.mlflow(f"/api/2.0/mlflow/registered-models/alias?name={STUDY}&alias=champion")[0]
            == 200
        )

    stack.wait("the champion is registered", champion)
    assert states(stack).keys() <= {*FINISHED}, states(stack)
    assert finished(stack) == TRIALS
    stack.wait("no run of MLflow is left running", lambda: not running(stack))
    numbers = Counter(
        tag["value"]
        for run in stack.runs(STUDY)
        if run["info"]["status"] in ("FINISHED", "KILLED")
        for tag in run["data"]["tags"]
        if tag["key"] == "optuna.trial_number" and not abandoned(run)
    )
    stack.say(f"runs that ended well, by trial: {dict(sorted(numbers.items()))}")
    assert numbers == {str(number): 1 for number in range(TRIALS)}
    stack.say(f"exactly {finished(stack)} trials: {states(stack)}")


def running(stack: Stack) -> list[Any]:
    return [run for run in stack.runs(STUDY) if run["info"]["status"] == "RUNNING"]


def abandoned(run: Any) -> bool:
    return any(tag["key"] == "hpo.abandoned" for tag in run["data"]["tags"])


def test_notes_link_to_the_addresses_that_browsers_know(stack: Stack) -> None:
    trial = stack.trials(STUDY)[0]
    assert f"http://localhost:{stack.mlflow_port}/#/experiments/" in trial["note"]["body"]


def test_without_the_right_password_nothing_is_told(stack: Stack) -> None:
    for ask, path in (
        (stack.mlflow, "/api/2.0/mlflow/experiments/search?max_results=5"),
        (stack.mlflow, "/"),
        (stack.mlflow, "/ajax-api/2.0/mlflow/experiments/search?max_results=5"),
        (stack.dashboard, "/api/studies"),
        (stack.dashboard, "/dashboard"),
        (stack.dashboard, "/static/bundle.js"),
    ):
        assert ask(path, login=None)[0] == 401, path
        assert ask(path, login=("admin", "password1234"))[0] == 401, path
        assert ask(path, login=("hpo", ""))[0] == 401, path
    assert stack.mlflow("/")[0] == 200
    assert stack.dashboard("/dashboard")[0] == 200
    stack.say("both UIs answer with a password, and refuse without")


def test_no_secret_is_shown_by_the_engine(stack: Stack) -> None:
    ids = stack.compose("ps", "-q").decode().split()
    shown = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True).stdout
    assert "/run/secrets/" in shown
    assert not any(secret in shown for secret in stack.secrets.values() if secret)


def test_workers_may_not_do_what_the_administrator_may(stack: Stack) -> None:
    login = ("worker", stack.secrets["mlflow_worker_password"])
    user = {"username": "somebody", "password": "a-long-password"}
    assert stack.mlflow("/api/2.0/mlflow/users/create", user, login=login)[0] == 403
    _, made = stack.mlflow("/api/2.0/mlflow/experiments/create", {"name": "of the admin"})
    body = {"experiment_id": made["experiment_id"]}
    assert stack.mlflow("/api/2.0/mlflow/experiments/delete", body, login=login)[0] == 403
    stack.say("workers manage what they make, and nothing else")


def test_the_proxy_does_not_reach_the_database(stack: Stack) -> None:
    [proxy], [postgres] = stack.containers("proxy"), stack.containers("postgres")
    place = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    address = subprocess.run(
        ["docker", "inspect", "-f", place, postgres], capture_output=True, text=True, check=True
    ).stdout.strip()
    command = ["docker", "exec", proxy, "curl", "-sm", "3", f"telnet://{address}:5432"]
    assert subprocess.run(command, capture_output=True).returncode in (7, 28)  # no way, no answer
    stack.say("PostgreSQL cannot be reached from the proxy")


def test_whoever_knocks_too_often_waits(stack: Stack) -> None:
    def knock(_: int) -> int:
        return stack.dashboard("/api/studies", login=("hpo", "a-guess"))[0]

    begun = time.monotonic()
    with ThreadPoolExecutor(20) as many:
        told = Counter(many.map(knock, range(240)))
    assert told[401] + told[429] == 240
    assert time.monotonic() - begun > 6.0, "150 at once, and then ten a second"
    stack.say(f"of 240 guesses of a password: {dict(told)}")
    time.sleep(30)


def test_other_names_and_pages_of_other_origins_are_refused(stack: Stack) -> None:
    evil = "http://evil.example"
    assert stack.mlflow("/api/2.0/mlflow/experiments/search", Host="evil.example")[0] == 403
    assert stack.dashboard("/api/studies", Host="evil.example")[0] == 403
    body = {"study_name": "forged", "directions": ["minimize"]}
    assert stack.dashboard("/api/studies", body, Origin=evil)[0] == 403
    assert stack.dashboard("/api/studies", body, Sec_Fetch_Site="cross-site")[0] == 403
    assert stack.dashboard("/api/studies/1", method="DELETE", Origin=evil)[0] == 403
    assert (
        stack.mlflow("/api/2.0/mlflow/experiments/create", {"name": "forged"}, Origin=evil)[0]
        == 403
    )
    assert finished(stack) == TRIALS
    stack.say("wrong Host and cross-origin requests refused")


def test_artifact_names_lead_nowhere_else(stack: Stack) -> None:
    run = stack.runs(STUDY)[0]["info"]["run_id"]
    for path in (
        "/api/2.0/mlflow-artifacts/artifacts/../../../../etc/passwd",
        "/api/2.0/mlflow-artifacts/artifacts/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/api/2.0/mlflow-artifacts/artifacts/%252e%252e%252f%252e%252e%252fetc%252fpasswd",
        "/api/2.0/mlflow-artifacts/artifacts//etc/passwd",
        f"/get-artifact?run_uuid={run}&path=../../../../../../etc/passwd",
        f"/get-artifact?run_uuid={run}&path=%2Fetc%2Fpasswd",
        "/static-files/..%2f..%2f..%2fetc%2fpasswd",
    ):
        status, text = stack.mlflow(path)
        assert "root:" not in str(text), path
        assert status >= 400, path
    for path in (
        "/artifacts/1/..%2f..%2fetc%2fpasswd",
        "/static/..%2f..%2f_app.py",
        "/static/../_app.py",
    ):
        status, text = stack.dashboard(path)
        assert status >= 400, path
    stack.say("path traversal in artifact names refused")


def test_everything_is_there_after_down_and_up(stack: Stack) -> None:
    before = {run["info"]["run_id"] for run in stack.runs(STUDY)}
    stack.compose("down")
    stack.say("down")
    stack.compose("up", "-d", "--scale", "worker=1")
    stack.wait("up again, all healthy", stack.healthy)
    assert finished(stack) == TRIALS
    assert {run["info"]["run_id"] for run in stack.runs(STUDY)} == before
    assert card(stack).startswith("# ")
    stack.say("studies, runs and the champion's files are there")


def test_a_backup_restores_everything_on_empty_volumes(stack: Stack) -> None:
    """The commands are those of docs/deploy.md."""
    dump = ("exec", "-T", "postgres", "pg_dump", "-U", "postgres", "-Fc")
    kept = {name: stack.compose(*dump, name) for name in ("hpo", "mlflow")}
    pack = ("-C", "/var/lib/hpo", "-cz")
    run = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "tar")
    files = {
        "mlflow": stack.compose(*run, "mlflow", *pack, "artifacts"),
        "worker": stack.compose(*run, "worker", *pack, "state"),
    }
    sizes = [f"{name} {len(content)} bytes" for name, content in kept.items()]
    sizes += [f"files of {name} {len(content)} bytes" for name, content in files.items()]
    stack.say("backed up: " + ", ".join(sizes))
    before = {r["info"]["run_id"] for r in stack.runs(STUDY)}
    stack.compose("down", "-v")
    stack.compose("up", "-d", "postgres")
    stack.wait("an empty PostgreSQL is up", stack.healthy)
    restore = ("exec", "-T", "postgres", "pg_restore", "-U", "postgres", "--exit-on-error")
    for name, content in kept.items():
        stack.compose(*restore, "-d", name, data=content)
    for service, content in files.items():
        stack.compose(*run, service, "-C", "/var/lib/hpo", "-xz", data=content)
    stack.compose("up", "-d")
    stack.wait("restored, all healthy", stack.healthy)
    assert finished(stack) == TRIALS
    assert {r["info"]["run_id"] for r in stack.runs(STUDY)} == before
    assert card(stack).startswith("# ")
    more = stack.compose(
        *(
            "run",
            "--rm",
            "-T",
            "submit",
            "quickstart",
            "--name",
            STUDY,
            "--trials",
            str(TRIALS + 1),
        ),
        *("--set", "search.space.freeze_depth={low = 2, high = 3}"),
        *("--set", "search.space.epochs={low = 2, high = 3}"),
    ).decode()
    assert f"{TRIALS} of {TRIALS + 1} trials finished" in more
    stack.wait("a worker goes on where the backup ended", lambda: finished(stack) == TRIALS + 1)


def test_the_upgrade_of_both_databases_runs(stack: Stack) -> None:
    """Nothing is there to upgrade; the commands are those of docs/deploy.md."""
    run = ("run", "--rm", "-T", "--no-deps")
    stack.compose(*run, "mlflow", "python", "/opt/hpo/deploy/upgrade.py", "mlflow")
    stack.compose(*run, "worker", "python", "/opt/hpo/deploy/upgrade.py", "optuna")
    assert finished(stack) == TRIALS + 1
    stack.say("both database upgrades run")


def card(stack: Stack) -> str:
    """The model card as the registry has it, and its file as the artifact store gives it out."""
    status, found = stack.mlflow(
        f"/api/2.0/mlflow/registered-models/alias?name={STUDY}&alias=champion"
    )
    assert status == 200, found
    version = found["model_version"]
    status, text = stack.mlflow(
        f"/model-versions/get-artifact?name={STUDY}&version={version['version']}&path=MLmodel"
    )
    assert status == 200, text
    assert "text-classification" in str(text)
    return str(version["description"])
