"""Environment variables: what cannot be is told, what is not for us leads us nowhere else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import hpo
from tests.commands.bad_inputs.case import Case
from tests.commands.bad_inputs.environment import ABSURD, ENVIRONMENT
from tests.commands.shell import TINY_STUDY, Shell
from tests.commands.told import answered_here, check

# What somebody's shell may have for other programs that use MLflow.
SOMEBODYS = {
    "MLFLOW_RUN_ID": "no run at all",
    "MLFLOW_EXPERIMENT_ID": "12345",
    "MLFLOW_EXPERIMENT_NAME": "../somebody's",
    "MLFLOW_TRACKING_USERNAME": "somebody",
    "MLFLOW_TRACKING_TOKEN": "a\u2028token",
    "MLFLOW_TRACKING_INSECURE_TLS": "",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": " ",
    "MLFLOW_TRACKING_AWS_SIGV4": "0",
}


def test_the_table_holds_every_variable_that_the_code_reads() -> None:
    sources = Path(hpo.__file__).parent.rglob("*.py")
    read = {name for file in sources for name in re.findall(r"\"(HPO_[A-Z_]+)\"", file.read_text())}
    assert read == ABSURD.keys()


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("case", ENVIRONMENT, ids=lambda case: case.name)
def test_a_value_that_cannot_be_is_told(
    case: Case,
    shell: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shell = replace(shell, environment={"HPO_CACHE": str(tmp_path / "cache")})
    answer = answered_here(case, shell, monkeypatch, capsys)
    check(case, answer)
    assert answer.seconds < 10
    assert "\x1b" not in answer.err
    assert shell.contents() == {}


@pytest.mark.slow
def test_what_is_meant_for_others_leads_us_nowhere_else(shell: Shell) -> None:
    shell.write("tiny.toml", TINY_STUDY)
    answer = shell.hpo("run", "tiny.toml", "--trials", "1", "--workers", "1", **SOMEBODYS).done()
    assert "wait for MLflow" not in answer.out
    assert {"mlflow.db", "optuna.db"} <= shell.listing()
    doctor = shell.hpo("doctor", **SOMEBODYS)
    assert "nothing waits for MLflow" in doctor.out
