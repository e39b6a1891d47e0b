from __future__ import annotations

from pathlib import Path

import pytest

from hpo.model.base_place import base_place

TRAINED = "mlruns/study/models/m-1/artifacts/data"


def project(folder: Path) -> Path:
    """A project with a base model of its own and a model that was trained from it."""
    (folder / "models" / "base").mkdir(parents=True)
    (folder / "models" / "base" / "config.json").write_text("{}")
    (folder / TRAINED).mkdir(parents=True)
    return folder


def test_a_base_model_is_found_where_its_project_is_now(tmp_path: Path) -> None:
    old = project(tmp_path / "old")
    noted = str(old / "models" / "base")
    assert base_place(noted, old / TRAINED) == noted
    new = old.rename(tmp_path / "elsewhere")
    assert base_place(noted, new / TRAINED) == str(new / "models" / "base")


def test_in_a_copy_whose_original_is_gone_from_the_working_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = project(tmp_path / "old")
    noted = str(old / "models" / "base")
    new = old.rename(tmp_path / "new")
    monkeypatch.chdir(new)
    downloaded = tmp_path / "downloads" / "data"
    assert base_place(noted, downloaded) == str(new / "models" / "base")


@pytest.mark.parametrize("noted", ["gpt2", "demo", "owner/model", "/gone/for/good"])
def test_what_is_no_folder_or_nowhere_keeps_its_name(noted: str, tmp_path: Path) -> None:
    assert base_place(noted, project(tmp_path) / TRAINED) == noted
