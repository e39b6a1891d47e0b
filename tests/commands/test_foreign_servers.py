"""Servers that are none of ours are told by the commands in time, and nothing is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands.bad_inputs.case import Case
from tests.commands.bad_inputs.servers import SERVERS
from tests.commands.shell import Shell
from tests.commands.told import answered_here, check, laid_out
from tests.servers import SSH, Answer, listening

LONGEST_SECONDS = 10


def at(port: int, case: Case) -> Case:
    """The case with the port that it is about."""

    def put(text: str) -> str:
        return text.replace("PORT", str(port))

    environment = {name: put(value) for name, value in case.environment.items()}
    return replace(case, line=put(case.line), says=put(case.says), environment=environment)


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize(("case", "answer"), SERVERS, ids=[case.name for case, _ in SERVERS])
def test_a_server_that_is_none_is_told(
    case: Case,
    answer: Answer,
    shell: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shell = replace(shell, environment={"HPO_CACHE": str(tmp_path / "cache")})
    before = laid_out(case, shell)
    with listening(answer) as port:
        here = at(port, case)
        answered = answered_here(here, shell, monkeypatch, capsys)
    check(here, answered)
    assert answered.seconds < LONGEST_SECONDS
    assert shell.contents() == before


@pytest.mark.slow
def test_the_doctor_names_what_it_found_in_place_of_the_servers(shell: Shell) -> None:
    with listening(SSH) as port:
        places = (
            *("--storage", f"postgresql://me:secret@127.0.0.1:{port}/hpo"),
            *("--tracking-uri", f"http://127.0.0.1:{port}"),
        )
        answer = shell.hpo("doctor", *places)
    assert answer.code == 1
    assert (
        f"FAIL  storage: postgresql://me:***@127.0.0.1:{port}/hpo: a server that is no"
        in answer.out
    )
    assert f"FAIL  tracking: tracking URI http://127.0.0.1:{port}: no HTTP, but 'SSH-" in answer.out
    assert "secret" not in answer.out + answer.err
