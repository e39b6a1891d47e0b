"""How a command's answer to bad input is looked at."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType

import pytest

from hpo.spec.registries import COMMANDS
from tests.commands import one_process
from tests.commands.bad_inputs.case import Case
from tests.commands.one_process import LONGEST_SECONDS
from tests.commands.shell import Answer, Shell, clean_environment

BAD_INPUT = 2


class OneProcess(AbstractContextManager["OneProcess"]):
    """A process that answers one case after another, begun anew where a case has ended it."""

    def __init__(self, **environment: str) -> None:
        self._environment = {**clean_environment(), **environment}
        self._process: subprocess.Popen[str] | None = None

    def told_of(self, case: Case, shell: Shell) -> None:
        """As `told_of`, without the time that Python takes to start."""
        before = laid_out(case, shell)
        check(case, self._answer(case, {**shell.environment, **case.environment}, shell))
        assert shell.contents() == before

    def _answer(self, case: Case, environment: Mapping[str, str], shell: Shell) -> Answer:
        if self._process is None or self._process.poll() is not None:
            self._process = self._started()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {
            "folder": str(shell.folder),
            "command": case.command,
            "arguments": arguments(case),
            "environment": environment,
        }
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the process ended with exit code {self._process.wait()}"
        return Answer(**json.loads(answer))

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", one_process.__name__],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def told_of(case: Case, shell: Shell, **environment: str) -> None:
    """The command answers the case as it must, and leaves the folder as it was."""
    before = laid_out(case, shell)
    answer = shell.hpo(
        case.command,
        *arguments(case),
        timeout=LONGEST_SECONDS,
        **{**environment, **case.environment},
    )
    check(case, answer)
    assert shell.contents() == before


def laid_out(case: Case, shell: Shell) -> dict[str, bytes | None]:
    """Write the case's files; everything in the folder then."""
    for name, content in case.files.items():
        shell.write(name, content)
    return shell.contents()


def arguments(case: Case) -> list[str]:
    return shlex.split(case.line)


def check(case: Case, answer: Answer) -> None:
    """One line, in the four parts that every error has; nothing of Python's own."""
    assert answer.code == BAD_INPUT, answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""
    (line,) = [line for line in answer.err.splitlines() if line.startswith("error:")]
    pattern = ".*".join(re.escape(part) for part in f"error: {case.says}".split("…"))
    assert re.fullmatch(pattern, line), f"{line}\nis not\nerror: {case.says}"
    assert "secret" not in answer.err


def answered_here(
    case: Case,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Answer:
    """The same command in this process, which has imported everything already."""
    for key in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(key)
    for key, value in {**clean_environment(), **shell.environment, **case.environment}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(shell.folder)
    alone = ["--workers", "1"] if case.command == "run" else []
    monkeypatch.setattr(sys, "argv", [f"hpo.{case.command}", *arguments(case), *alone])
    started = time.monotonic()
    code = COMMANDS[case.command]()
    said = capsys.readouterr()
    return Answer(code, said.out, said.err, time.monotonic() - started)
