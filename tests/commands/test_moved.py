"""A project folder that is moved, or copied, between two commands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.commands.shell import TINY_STUDY, Shell
from tests.commands.stores import assert_whole, embedded_uri, facts

pytestmark = pytest.mark.slow
CHAMPION = "models:/tiny@champion"


def digest_of(folder: Path) -> dict[str, int]:
    return {
        str(f.relative_to(folder)): hash(f.read_bytes())
        for f in folder.rglob("*")
        # SQLite makes and removes these two whenever anybody reads.
        if f.is_file() and not f.name.endswith(("-shm", "-wal"))
    }


def test_a_study_goes_on_where_its_folder_is_now(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    old = Shell(tmp_path / "old", {"HPO_CACHE": str(cache)})
    old.write("tiny.toml", TINY_STUDY)
    command = ("run", "tiny.toml", "--workers", "1", "--quiet")
    assert f"Champion: {CHAMPION}\n" in old.hpo(*command, "--trials", "2").done().out

    new = Shell(Path(shutil.move(old.folder, tmp_path / "new")), old.environment)
    doctor = new.hpo("doctor")
    assert doctor.code == 1
    assert f"was moved or copied from {old.folder}" in doctor.out
    again = new.hpo(*command, "--trials", "2").done()
    assert f"Champion: {CHAMPION}\n" in again.out
    assert f"was moved or copied from {old.folder}" in again.err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", embedded_uri(new))
    assert Path(mlflow.artifacts.download_artifacts(CHAMPION)).is_relative_to(new.folder)
    assert new.hpo("doctor").code == 0
    assert_whole(facts(new, embedded_uri(new)), trials=2)

    copy = Shell(Path(shutil.copytree(new.folder, tmp_path / "copy")), old.environment)
    before = digest_of(new.folder)
    more = copy.hpo(*command, "--trials", "3").done()
    assert "Champion: models:/tiny@champion\n" in more.out
    assert_whole(facts(copy, embedded_uri(copy)), trials=3)
    assert digest_of(new.folder) == before
    assert not old.folder.exists()
