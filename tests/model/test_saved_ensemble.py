"""An ensemble comes back as it was from its folder alone, and says what is wrong where it does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo.digests import write_digests
from hpo.errors import ModelError
from hpo.formats import ENSEMBLE
from hpo.model.combination import ENSEMBLE_FILE, Combination
from hpo.model.saved_ensemble import load_ensemble, save_ensemble
from tests.model.ensembles import LABELS, ensemble_of
from tests.model.tiny_gpt2 import tiny

TEXTS = ["A dull film, slow and sad.", "good", "I loved every minute of it , truly", "ok then"]


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, NDArray[np.float32]]:
    """A saved ensemble whose base model is gone since, and what it said."""
    model = tiny(tmp_path / "model", n_layer=3)
    random = np.random.default_rng(0)
    stacking = Combination.stacking(random.normal(size=(9, 3)), random.normal(size=3))
    ensemble = ensemble_of(model, (1, 0, 3), stacking)
    save_ensemble(tmp_path / "saved", ensemble, [{"number": number} for number in (4, 2, 7)])
    shutil.rmtree(tmp_path / "model")
    return tmp_path / "saved", ensemble.classify(TEXTS)[1]


def test_it_comes_back_without_anything_else(saved: tuple[Path, NDArray[np.float32]]) -> None:
    folder, expected = saved
    loaded = load_ensemble(folder)
    assert (loaded.label_names, loaded.max_length) == (LABELS, 32)
    assert [member.classifier.trained.first_block for member in loaded.members] == [1, 0, 3]
    assert len({id(member.classifier.model) for member in loaded.members}) == 1
    np.testing.assert_allclose(loaded.classify(TEXTS)[1], expected, rtol=1e-5)
    facts = [json.loads(path.read_text()) for path in sorted(folder.glob("members/*/trial.json"))]
    assert [fact["trial"]["number"] for fact in facts] == [4, 2, 7]


def test_what_is_frozen_is_stored_once(tmp_path: Path) -> None:
    model = tiny(tmp_path / "model", n_layer=3)
    sizes = []
    for members in (1, 4):
        folder = tmp_path / str(members)
        save_ensemble(folder, ensemble_of(model, [3] * members), [{}] * members)
        sizes.append(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
    assert sizes[1] - sizes[0] < 3 * 4000


def test_each_damaged_or_missing_file_is_told(saved: tuple[Path, NDArray[np.float32]]) -> None:
    folder, _ = saved
    for path in (path for path in folder.rglob("*") if path.is_file() and path != folder):
        if path.name == "digests.json":
            continue
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(ModelError, match="no ensemble that can be read"):
            load_ensemble(folder)
        path.unlink()
        with pytest.raises(ModelError, match="no ensemble that can be read"):
            load_ensemble(folder)
        path.write_bytes(whole)
    load_ensemble(folder)


@pytest.mark.parametrize(
    "change", [{"members": []}, {"combination": {"kind": "mean"}}, {"base": "members"}]
)
def test_facts_that_make_no_ensemble_are_refused(
    saved: tuple[Path, NDArray[np.float32]], change: dict[str, object]
) -> None:
    folder, _ = saved
    rewrite(folder, change)
    with pytest.raises(ModelError):
        load_ensemble(folder)


def test_one_of_a_newer_version_is_refused(saved: tuple[Path, NDArray[np.float32]]) -> None:
    folder, _ = saved
    rewrite(folder, {"format": ENSEMBLE.number + 1})
    with pytest.raises(ModelError, match="written by a newer hpo"):
        load_ensemble(folder)


def rewrite(folder: Path, change: dict[str, object]) -> None:
    file = folder / ENSEMBLE_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    write_digests(folder)
