"""Files that are none are told at every door, before anything is opened or written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands.bad_inputs.case import Case
from tests.commands.bad_inputs.special_files import DOORS
from tests.commands.shell import Shell
from tests.commands.told import answered_here, check
from tests.special_files import SPECIAL_FILES

LONGEST_SECONDS = 10


@pytest.fixture
def shell(shell: Shell, tmp_path: Path) -> Shell:
    """With a cache of its own, which is not there yet: nothing may be written there either."""
    return replace(shell, environment={"HPO_CACHE": str(tmp_path / "cache")})


def path_in(case: Case, folder: Path) -> Path:
    """Where the case's odd file is to be."""
    if case.line.endswith("ODD.model"):
        (folder / "ODD.model").mkdir()
        return folder / "ODD.model" / "config.json"
    named = next((word for word in case.line.split() if "ODD." in word), "ODD")
    return folder / named


def entries(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize(("make", "found"), SPECIAL_FILES.values(), ids=SPECIAL_FILES)
@pytest.mark.parametrize("case", DOORS, ids=lambda case: case.name)
def test_a_file_that_is_none_is_told(
    case: Case,
    make: Callable[[Path], None],
    found: str,
    shell: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(path_in(case, shell.folder))
    before = entries(tmp_path)
    case = replace(case, says=f"{case.says} found …{found}…; expected …. …")
    answer = answered_here(case, shell, monkeypatch, capsys)
    check(case, answer)
    assert answer.seconds < LONGEST_SECONDS
    assert entries(tmp_path) == before


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("name", ["x" * 300, "文" * 100], ids=["letters", "bytes"])
@pytest.mark.parametrize(
    "case", [case for case in DOORS if "ODD.model" not in case.line], ids=lambda case: case.name
)
def test_a_name_that_no_file_can_have_is_told(
    case: Case,
    name: str,
    shell: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = entries(tmp_path)
    environment = {key: value.replace("ODD", name) for key, value in case.environment.items()}
    line, says = case.line.replace("ODD", name), case.says.replace("ODD", "…")
    case = replace(case, line=line, says=f"{says} found …; expected …. …", environment=environment)
    answer = answered_here(case, shell, monkeypatch, capsys)
    check(case, answer)
    assert answer.seconds < LONGEST_SECONDS
    assert entries(tmp_path) == before
