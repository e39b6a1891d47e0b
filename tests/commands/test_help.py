"""Help: at once, with nothing imported that takes time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpo import __version__
from hpo.spec.registries import COMMANDS
from tests.commands.shell import HEAVY, Shell, refusing

SLOW_TO_IMPORT = (*HEAVY, "numpy", "pandas", "optuna", "sqlalchemy", "pydantic", "rich")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PYTHONPATH on which importing anything slow is an error."""
    return str(refusing(tmp_path_factory.mktemp("bare"), SLOW_TO_IMPORT))


@pytest.mark.parametrize("command", COMMANDS.ours)
def test_every_command_tells_its_options_with_nothing_slow_imported(
    command: str, shell: Shell, bare: str
) -> None:
    answer = shell.hpo(command, "--help", PYTHONPATH=bare, COLUMNS="80").done()
    assert answer.out.startswith(f"usage: hpo.{command} ")
    assert "examples:" in answer.out
    assert max(map(len, answer.out.splitlines())) <= 80
    assert answer.err == ""
    assert shell.listing() == set()


def test_help_answers_in_a_third_of_a_second(shell: Shell) -> None:
    # The fastest of several: what it can do, whatever else the machine is at.
    fastest = min(shell.hpo("run", "--help").done().seconds for _ in range(5))
    assert fastest < 0.3


def test_hpo_alone_lists_the_commands(shell: Shell, bare: str) -> None:
    asked = shell.hpo("", "--help", PYTHONPATH=bare).done()
    for command in COMMANDS.ours:
        assert f"\n  {command} " in asked.out
        assert callable(COMMANDS[command])
    not_asked = shell.hpo("", PYTHONPATH=bare)
    assert (not_asked.code, not_asked.out, not_asked.err) == (2, "", asked.out)


def test_the_list_of_commands_fits_a_terminal_of_80_columns(shell: Shell) -> None:
    lines = shell.hpo("", "--help").done().out.splitlines()
    assert max(map(len, lines)) < 80


def test_hpo_tells_its_version(shell: Shell) -> None:
    assert shell.hpo("", "--version").done().out == f"hpo {__version__}\n"


@pytest.mark.parametrize("command", list(COMMANDS.ours))
def test_every_command_tells_the_version(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"hpo {command}", "--version"])
    with pytest.raises(SystemExit) as end:
        COMMANDS[command]()
    assert end.value.code in (0, None)
    assert capsys.readouterr().out == f"hpo {__version__}\n"


@pytest.mark.parametrize("command", ["", "run", "studies"])
def test_help_that_nobody_reads_to_the_end_says_nothing(shell: Shell, command: str) -> None:
    process = shell.start(command, "--help")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # as `| head` does, here before the first line
    with process.stderr as said:
        assert said.read() == ""
    assert process.wait(60) in (0, 1)  # argparse, too, passes over an error as it writes


def test_both_spellings_of_a_command_are_the_same_command(shell: Shell) -> None:
    script = Path(sys.executable).with_name("hpo")
    if not script.exists():
        pytest.skip("the package is not installed here, so that there is no hpo script")
    by_script = subprocess.run(
        [script, "run", "--trials", "x"], cwd=shell.folder, env=os.environ, capture_output=True
    )
    by_module = shell.hpo("run", "--trials", "x")
    assert by_script.returncode == by_module.code == 2
    assert by_script.stderr.decode() == by_module.err
    by_package = shell.hpo("", "run", "--help").done()
    assert by_package.out == shell.hpo("run", "--help").out


def test_a_library_that_looks_for_another_one_in_vain_says_nothing(shell: Shell) -> None:
    """Neither in the command's own process nor in a worker's."""
    look = "import contextlib\nwith contextlib.suppress(ImportError): import urllib3.contrib.socks"
    code = (
        "import argparse, subprocess, sys; from hpo.options import command\n"
        f"look = {look!r}\n"
        "def main(_):\n"
        "    exec(look)\n"
        "    return subprocess.run([sys.executable, '-c', look]).returncode\n"
        "sys.exit(command(main, argparse.ArgumentParser()))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=shell.folder, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
