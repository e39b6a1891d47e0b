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


LOCKS = (
    *("requirements.lock", "torch-cpu.lock", "torch-cuda.lock"),
    *("deploy/requirements.lock", "deploy/build.lock"),
)


def entries(lock: str) -> list[str]:
    """Requirements, each on one line with its hashes."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", "")
    return [line for line in text.splitlines() if not line.startswith("#")]


def locked() -> dict[str, str]:
    return dict(entry.split()[0].split("==") for entry in entries("requirements.lock"))


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


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_exact_versions_with_hashes_and_no_address(lock: str) -> None:
    digest = r"\s+--hash=sha256:[0-9a-f]{64}"
    pin = r"[a-z0-9-]+==[0-9][0-9A-Za-z.]*(\+cpu)?( ; [^:/]+?)?"
    for entry in entries(lock):
        assert re.fullmatch(f"{pin}({digest})+", entry), entry[:200]


def test_the_lock_is_in_order_and_leaves_out_what_an_environment_comes_with() -> None:
    assert [*locked()] == sorted(locked())
    assert not {"pip", "wheel", "hpo"} & locked().keys()


def test_the_build_of_pytorch_without_cuda_is_of_the_locked_version() -> None:
    [cpu] = entries("torch-cpu.lock")
    assert cpu.split()[0] == f"torch=={locked()['torch']}+cpu"
    assert not any(entry.startswith("nvidia-cu") for entry in entries("requirements.lock"))


def test_the_lock_tool_writes_down_what_pyproject_asks_for() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f".ci/lock.py requirements.lock {' '.join(EXTRAS)}\n" in makefile


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
