"""Bad input: each is answered within seconds by one line that says what to do, and exit code 2."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpo.demo import DEMO_MODEL_DIR
from tests.commands.bad_inputs import (
    data,
    documents,
    hub,
    looking,
    models,
    options,
    places,
    plans,
    reports,
    secrets,
    study_files,
)
from tests.commands.bad_inputs.case import Case
from tests.commands.shell import TINY_STUDY, Shell, killed, refusing
from tests.commands.told import BAD_INPUT, OneProcess, answered_here, check, laid_out, told_of

# One subprocess a kind is enough where each costs a second or more.
SOME_EARLY = (
    "a storage that is a text",
    "a tracking store that is a text",
    "a grid of real numbers",
)
SOME_LATE = ("a broken line 17", "weights cut short", "a range beyond the model's layers")
EARLY = (
    *study_files.STUDY_FILES,
    *options.OPTIONS,
    *places.PLACES,
    *plans.PLANS,
    *documents.EARLY_DOCUMENTS,
    *reports.REPORTS,
)
LATE = (*data.DATA, *models.MODELS, *looking.LOOKING, *documents.LATE_DOCUMENTS)


def named(*cases: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def chosen(names: tuple[str, ...], cases: tuple[Case, ...]) -> list[Case]:
    found = [case for case in cases if case.name in names]
    assert len(found) == len(names)
    return found


@pytest.fixture
def shell(shell: Shell, tmp_path: Path) -> Shell:
    """With a cache of its own, which is not there yet: nothing may be written there either."""
    return replace(shell, environment={"HPO_CACHE": str(tmp_path / "cache")})


@pytest.fixture(scope="session")
def light(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PYTHONPATH on which importing torch and the like is an error."""
    # And the tree that this test lies in, wherever the package is installed from.
    root = Path(__file__).resolve().parents[2]
    return os.pathsep.join((str(refusing(tmp_path_factory.mktemp("light"))), str(root)))


@pytest.fixture(scope="session")
def one_process(light: str) -> Iterator[OneProcess]:
    with OneProcess(PYTHONPATH=light) as process:
        yield process


@named(*EARLY)
def test_bad_files_options_places_and_plans_are_told_before_anything_heavy_is_imported(
    case: Case, shell: Shell, one_process: OneProcess
) -> None:
    one_process.told_of(case, shell)


@named(*chosen(SOME_EARLY, EARLY))
def test_some_are_told_by_the_command(case: Case, shell: Shell, light: str) -> None:
    told_of(case, shell, PYTHONPATH=light)


@pytest.mark.slow
@named(*chosen(SOME_LATE, LATE))
def test_bad_data_and_models_are_told_by_the_command(case: Case, shell: Shell) -> None:
    told_of(case, shell)


@pytest.mark.slow
@named(*hub.HUB)
def test_a_hub_out_of_reach_is_told_within_seconds(
    case: Case, shell: Shell, tmp_path: Path
) -> None:
    told_of(case, shell, HF_ENDPOINT="http://127.0.0.1:1", HF_HOME=str(tmp_path / "hub"))


@pytest.mark.usefixtures("_signals")
@named(*LATE)
def test_bad_data_and_models_are_told(
    case: Case,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = laid_out(case, shell)
    check(case, answered_here(case, shell, monkeypatch, capsys))
    assert shell.contents() == before


@pytest.mark.usefixtures("_signals")
@named(*secrets.SECRETS)
def test_a_wrong_url_is_told_without_its_secrets(
    case: Case,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    check(case, answered_here(case, shell, monkeypatch, capsys))
    assert shell.contents() == {}


@pytest.mark.usefixtures("_signals")
def test_a_model_without_a_tokenizer_is_told(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shell.folder / "model"
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(DEMO_MODEL_DIR / name, model)
    case = Case(
        "a model without a tokenizer",
        "--model model",
        "model model: found no tokenizer …; expected tokenizer.json, …. "
        "Save the model's tokenizer into the same directory.",
    )
    before = shell.contents()
    check(case, answered_here(case, shell, monkeypatch, capsys))
    assert shell.contents() == before


def test_a_study_that_is_there_with_other_settings_is_left_alone(shell: Shell, light: str) -> None:
    shell.write("tiny.toml", TINY_STUDY)
    shell.hpo("submit", "tiny.toml", "--no-check", PYTHONPATH=light).done()
    case = Case(
        "another space and other data",
        "tiny.toml --no-check --data my.csv --name tiny --set training.batch_size=8",
        'sqlite:///optuna.db: found a study tiny with other settings: data.source = "demo" '
        '(now "my.csv"), training.batch_size = 32 (now 8); expected the same settings, …. '
        "Use another --name, or restore them.",
        {"my.csv": data.GOOD_CSV},
        command="submit",
    )
    told_of(case, shell, PYTHONPATH=light)
    told_of(
        Case(
            "no change",
            "tiny.toml --no-check --set search.space.learning_rate.high=0.1",
            "sqlite:///optuna.db: found a study tiny with other settings: search.space.learning_rate = "
            "…; expected the same settings, …. Use another --name, or restore it.",
            command="submit",
        ),
        shell,
        PYTHONPATH=light,
    )


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("command", ["run", "submit", "worker"])
def test_a_disk_with_too_little_room_is_told_before_anything_is_written(
    command: str,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    full = SimpleNamespace(total=1 << 40, used=1 << 40, free=63 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: full)
    case = Case(
        "no room",
        "",
        "HPO_STATE (.hpo): found 63 MiB free on the disk; expected 64 MiB or more for …. "
        "Free some space, or set HPO_STATE.",
        command=command,
    )
    check(case, answered_here(case, shell, monkeypatch, capsys))
    assert shell.contents() == {}


def test_a_worker_of_a_study_that_there_is_not(shell: Shell, light: str) -> None:
    shell.write("tiny.toml", TINY_STUDY)
    case = Case(
        "no storage yet",
        "--study tiny --exit-when-done",
        "sqlite:///optuna.db: found no study tiny; expected a study that was submitted. "
        "Check the name, or submit the study first.",
        command="worker",
    )
    told_of(case, shell, PYTHONPATH=light)
    idle = shell.hpo("worker", "--exit-when-done", PYTHONPATH=light).done()
    assert idle.err == "no study in sqlite:///optuna.db: nothing to do\n"
    assert set(shell.contents()) == {"tiny.toml"}
    shell.hpo("submit", "tiny.toml", "--no-check", PYTHONPATH=light).done()
    case = Case(
        "a name nearly right",
        "--study tinny --exit-when-done",
        "sqlite:///optuna.db: found no study tinny; expected one of tiny. Did you mean tiny?",
        command="worker",
    )
    told_of(case, shell, PYTHONPATH=light)


def test_a_worker_waits_for_a_study_that_may_be_submitted_later(shell: Shell) -> None:
    worker = shell.start("worker", "--study", "later")
    assert worker.stderr is not None
    line = worker.stderr.readline()
    killed(worker)
    assert line.startswith("no study later yet: waiting until it is submitted")


@pytest.mark.parametrize("study", [(), ("--study", "later")])
def test_a_worker_that_waits_makes_no_storage_and_stops_cleanly(
    shell: Shell, light: str, study: tuple[str, ...]
) -> None:
    worker = shell.start("worker", *study, PYTHONPATH=light)
    assert worker.stderr is not None
    assert "waiting until" in worker.stderr.readline()
    worker.send_signal(signal.SIGTERM)
    assert worker.communicate(timeout=60)[1] == "stopped cleanly\n"
    assert worker.returncode == 0
    assert shell.contents() == {}


@pytest.mark.slow
def test_a_worker_that_came_first_takes_up_the_study_that_is_submitted_later(
    shell: Shell, light: str
) -> None:
    tree = light.rpartition(os.pathsep)[2]
    worker = shell.start("worker", "--study", "tiny", PYTHONPATH=tree)
    assert worker.stderr is not None
    assert "waiting until" in worker.stderr.readline()
    shell.write("tiny.toml", TINY_STUDY)
    shell.hpo("submit", "tiny.toml", "--no-check", PYTHONPATH=light).done()
    while "working on study tiny" not in (line := worker.stderr.readline()):
        assert line, "the worker ended"
    killed(worker)


def test_a_flush_where_nothing_waits_makes_no_storage(shell: Shell, light: str) -> None:
    tree = light.rpartition(os.pathsep)[2]
    assert "flush: 0 operations sent" in shell.hpo("doctor", "--flush", PYTHONPATH=tree).out
    assert shell.contents() == {}


def test_uis_that_cannot_be_had_are_told_before_mlflows_store_is_made(
    shell: Shell, light: str
) -> None:
    shell.write("tiny.toml", TINY_STUDY)
    shell.hpo("submit", "tiny.toml", "--no-check", PYTHONPATH=light).done()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option in ("--mlflow-port", "--dashboard-port"):
            case = Case(
                "a port that is taken",
                f"{option} {port}",
                f"{option} {port}: found a port that is taken; expected a free one. Name another, …",
                command="ui",
            )
            told_of(case, shell, PYTHONPATH=light)


def test_a_small_disk_of_the_state_is_told_by_every_command(
    shell: Shell, light: str, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "hpo-test", str(small)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        for command in ("run", "submit", "worker"):
            case = Case(
                "a small disk",
                "",
                "HPO_STATE (…/small/state): found 8 MiB free on the disk; expected 64 MiB or more for …",
                environment={"HPO_STATE": str(small / "state")},
                command=command,
            )
            told_of(case, shell, PYTHONPATH=light)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_command_that_there_is_not_is_told(shell: Shell) -> None:
    answer = shell.hpo("", "rnu")
    assert answer.code == BAD_INPUT
    check(Case("", "", "hpo: found 'rnu'; expected a command: run, …. Did you mean run?"), answer)
