"""What TAB offers, asked of bash itself: the way that the README tells, and what follows from the parsers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.spec.registries import COMMANDS
from tests.commands.shell import Shell, clean_environment, refusing

ROOT = Path(__file__).resolve().parents[2]
# As bash does it at TAB: it sets the words and calls the function that is registered for whatever has none.
TAB = """
eval "$(activate-global-python-argcomplete --dest=-)"
[[ "$(complete -p -D)" =~ -F\\ ([^ ]+) ]] && asked=${BASH_REMATCH[1]}
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
read -ra COMP_WORDS <<< "$COMP_LINE"
compopt() { :; }
"$asked" "${COMP_WORDS[0]}" 2> /dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(line: str, shell: Shell, **environment: str) -> set[str]:
    """What bash offers where the cursor stands at the end of the line, in the shell's folder."""
    inherited = clean_environment()
    path = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"
    answer = subprocess.run(
        ["bash", "--norc", "-c", TAB, "bash", line],
        cwd=shell.folder,
        env={
            **inherited,
            **shell.environment,
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {word.strip() for word in answer.stdout.splitlines()} - {""}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("python -m hpo.run --tr", {"--trials", "--tracking-uri"}),
        ("python -m hpo.run --trials 3 --mod", {"--model"}),
        ("python -m hpo.run quick", {"quickstart"}),
        ("python -m hpo.run m", {"mine.toml", "multilabel-example"}),
        ("python -m hpo.submit sst", {"sst2"}),
        ("python -m hpo.data my", {"my_reviews.csv"}),
        ("python -m hpo.ensemble --method st", {"stacking"}),
        ("python -m hpo.studies ", {"--help", "-h", "delete", "export", "list", "rename", "show"}),
        ("python -m hpo.studies delete --d", {"--dry-run"}),
        ("python -m hpo.export --format o", {"onnx"}),
        ("python -m hpo.run --keep ", {"all", "best", "top:"}),
        ("python -m hpo.run --set training.epo", {"training.epochs="}),
        ("python -m hpo ", {"--help", "-h", "--version", *COMMANDS}),
        ("python -m hpo run --tr", {"--trials", "--tracking-uri"}),
        ("python -m hpo studies del", {"delete"}),
    ],
)
def test_bash_offers(line: str, words: set[str], shell: Shell, tmp_path: Path) -> None:
    shell.write("mine.toml", "")
    shell.write("my_reviews.csv", "")
    assert offered(line, shell, PYTHONPATH=f"{refusing(tmp_path / 'bare')}:{ROOT}") == words


def test_bash_offers_the_studies_of_the_storage(shell: Shell) -> None:
    shell.hpo("submit", "--name", "of-mine", "--trials", "1", "--no-check").done()
    for command in ("report", "studies show", "studies delete", "ensemble", "worker --study"):
        assert offered(f"python -m hpo.{command} of", shell) == {"of-mine"}
    other = "sqlite:///elsewhere.db"
    assert offered(f"python -m hpo.report --storage {other} of", shell) == set()
    assert not (shell.folder / "elsewhere.db").exists()


@pytest.mark.parametrize("command", COMMANDS.ours)
def test_every_command_tells_the_shell_that_it_can_be_asked(command: str, shell: Shell) -> None:
    assert "--help" in offered(f"python -m hpo.{command} --", shell)
