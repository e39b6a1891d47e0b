"""The wheel alone, in an environment that has what it needs and no checkout, runs the first search."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment into which the wheel is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run(
        [*command, "wheel", "--no-deps", "-w", folder, ROOT], check=True, capture_output=True
    )
    [wheel] = folder.glob("hpo-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    own = folder / "venv" / "bin" / "python"
    [site] = (folder / "venv").glob("lib/python*/site-packages")
    # The packages that the tests run with, but not the checkout: its own .pth file lies among them,
    # and is not read there.
    (site / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    subprocess.run(
        [*command, "install", "--no-deps", "--target", site, wheel], check=True, capture_output=True
    )
    return own


def run(python: Path, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [python, *arguments],
        cwd=place,
        env={**ours, "HPO_CACHE": str(place / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.slow
def test_the_wheel_runs_the_first_search_without_the_checkout(python: Path, tmp_path: Path) -> None:
    where = run(python, tmp_path, "-c", "import hpo; print(hpo.__file__)")
    assert str(python.parent.parent) in where.stdout
    unknown = run(python, tmp_path, "-m", "hpo.run", "no-such-study")
    assert unknown.returncode == 2
    for name in sorted(path.stem for path in (ROOT / "studies").glob("*.toml")):
        assert name in unknown.stderr
    searched = run(
        python,
        tmp_path,
        "-m",
        "hpo.run",
        "--trials",
        "2",
        "--workers",
        "1",
        "--set",
        "confirm.seeds=0",
    )
    assert searched.returncode == 0, searched.stderr
    assert "Champion: models:/quickstart@champion" in searched.stdout
