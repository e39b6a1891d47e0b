"""What `make` installs is what the project asks for."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = ("dashboard", "postgres", "server", "test")


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return dict(pairs)


def required() -> list[Requirement]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    optional = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in EXTRAS for line in optional[extra])]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("requirement", required(), ids=str)
def test_the_lock_meets_every_requirement(requirement: Requirement) -> None:
    name = re.sub(r"[-_.]+", "-", requirement.name).lower()
    assert requirement.specifier.contains(locked()[name])


def test_the_lock_holds_exact_versions_and_nothing_else() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    versions = [line for line in text.splitlines() if not line.startswith("#")]
    assert [*locked()] == sorted(locked())
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9A-Za-z.]*", line) for line in versions)
    assert not {"pip", "setuptools", "wheel", "hpo"} & locked().keys()


def test_the_lock_tool_writes_down_what_pyproject_asks_for() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f".ci/lock.py {' '.join(EXTRAS)} >" in makefile


def test_the_scripts_have_no_fault_of_syntax() -> None:
    subprocess.run(["bash", "-n", ".ci/run"], cwd=ROOT, check=True)
    subprocess.run(["make", "-n", "run", "test", "lint"], cwd=ROOT, check=True, capture_output=True)


def test_without_python_make_says_so_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "-s", "run", "PYTHON=no-such-python", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        "There is no no-such-python here. Install Python 3.11 or later, or name it: "
        "make PYTHON=python3.12"
    )


def test_with_an_old_python_make_says_so_in_one_line(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "-s", "run", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Python 3.9.2; 3.11 or later is needed" in done.stderr.splitlines()[0]
    assert not (tmp_path / "venv").exists()
