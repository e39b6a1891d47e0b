"""Which files a model's weights are read from: those that transformers reads, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel

from hpo.errors import ModelError
from hpo.model.pretrained import load_pretrained
from tests.model.tiny_gpt2 import save_tiny

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
OLD, OLD_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
Save = Callable[[Mapping[str, Tensor], Path], None]


def save_safe(weights: Mapping[str, Tensor], path: Path) -> None:
    save_file(dict(weights), path, metadata={"format": "pt"})


def save_old(weights: Mapping[str, Tensor], path: Path) -> None:
    torch.save(dict(weights), path)


def save_shards(weights: Mapping[str, Tensor], folder: Path, index: str, save: Save) -> None:
    """The weights in two files and their index."""
    stem, _, suffix = index.removesuffix(".index.json").partition(".")
    files = [f"{stem}-0000{part}-of-00002.{suffix}" for part in (1, 2)]
    names = sorted(weights)
    for part, file in enumerate(files):
        save({name: weights[name] for name in names[part::2]}, folder / file)
    in_file = {name: files[number % 2] for number, name in enumerate(names)}
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": in_file}))


def save_as(form: str, weights: Mapping[str, Tensor], folder: Path) -> None:
    save: Save = save_old if form.startswith("pytorch") else save_safe
    if form.endswith(".index.json"):
        save_shards(weights, folder, form, save)
    else:
        save(weights, folder / form)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder without its weights, which `weights` gives."""
    return save_tiny(tmp_path / "model")


@pytest.fixture
def weights(folder: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = load_file(folder / SINGLE)
    (folder / SINGLE).unlink()
    return found


def zeros(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.zeros_like(tensor) for name, tensor in weights.items()}


def refused(folder: Path) -> ModelError:
    with pytest.raises(ModelError) as raised:
        load_pretrained(str(folder))
    assert "\n" not in str(raised.value)
    return raised.value


def edit_index(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((folder / INDEX).read_text())
    edit(document)
    (folder / INDEX).write_text(json.dumps(document))


@pytest.mark.parametrize("form", [SINGLE, INDEX, OLD, OLD_INDEX])
def test_what_lies_beside_the_weights_is_not_read(
    form: str, folder: Path, weights: dict[str, Tensor]
) -> None:
    save_as(form, weights, folder)
    alone = load_pretrained(str(folder))
    for stray in ("model_ema", "zz", "model-00001-of-00009", "adapter_model", "model.fp16"):
        save_safe(zeros(weights), folder / f"{stray}.safetensors")
    for stray in ("pytorch_model_ema", "training_args", "pytorch_model-00003-of-00003"):
        save_old(zeros(weights), folder / f"{stray}.bin")
    ours = load_pretrained(str(folder))
    theirs = AutoModel.from_pretrained(folder).state_dict()
    assert set(theirs) == {name.removeprefix("transformer.") for name in ours.weights}
    for name, tensor in ours.weights.items():
        assert torch.equal(tensor, theirs[name.removeprefix("transformer.")]), name
    assert ours.fingerprint == alone.fingerprint


@pytest.mark.parametrize(
    ("first", "second"), [(SINGLE, INDEX), (INDEX, OLD), (OLD, OLD_INDEX), (SINGLE, OLD_INDEX)]
)
def test_of_two_saves_the_one_that_transformers_takes_is_read(
    first: str, second: str, folder: Path, weights: dict[str, Tensor]
) -> None:
    save_as(second, zeros(weights), folder)
    save_as(first, weights, folder)
    theirs = AutoModel.from_pretrained(folder).state_dict()
    ours = load_pretrained(str(folder)).weights
    assert all(torch.equal(ours[f"transformer.{name}"], theirs[name]) for name in theirs)
    assert torch.equal(ours["transformer.wte.weight"], weights["wte.weight"])


def test_shards_without_an_index_are_no_weights(folder: Path, weights: dict[str, Tensor]) -> None:
    save_shards(weights, folder, INDEX, save_safe)
    (folder / INDEX).unlink()
    error = refused(folder)
    assert error.found == "no weight files"
    assert "model.safetensors" in error.expected


def test_a_shard_that_is_missing_is_named(folder: Path, weights: dict[str, Tensor]) -> None:
    save_shards(weights, folder, INDEX, save_safe)
    (folder / "model-00002-of-00002.safetensors").unlink()
    error = refused(folder)
    assert error.place.endswith(INDEX)
    assert error.found == "model-00002-of-00002.safetensors, which is not there"


def test_a_weight_that_its_shard_lacks_is_named(folder: Path, weights: dict[str, Tensor]) -> None:
    save_shards(weights, folder, INDEX, save_safe)
    first = "model-00001-of-00002.safetensors"
    edit_index(folder, lambda d: d["weight_map"].update({"wte.weight": first, "wpe.weight": first}))
    assert f"in {first}, which lacks it" in refused(folder).found


@pytest.mark.parametrize(
    "file", ["../model.safetensors", "/etc/passwd", "sub/model.safetensors", "*", "..", "", 3, None]
)
def test_an_index_leads_nowhere_else(
    file: object, folder: Path, weights: dict[str, Tensor]
) -> None:
    save_safe(weights, folder.parent / SINGLE)
    save_shards(weights, folder, INDEX, save_safe)
    edit_index(folder, lambda document: document["weight_map"].update({"wte.weight": file}))
    assert refused(folder).found == f"the file name {file!r}"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}']
)
def test_a_broken_index_is_refused(content: str, folder: Path, weights: dict[str, Tensor]) -> None:
    save_shards(weights, folder, INDEX, save_safe)
    (folder / INDEX).write_text(content)
    assert refused(folder).place.endswith(INDEX)


def test_a_pickle_of_something_else_is_refused(folder: Path, weights: dict[str, Tensor]) -> None:
    torch.save([1, 2], folder / OLD)
    assert "an object of type" in refused(folder).found
    torch.save({"model": weights}, folder / OLD)
    assert "an object of type" in refused(folder).found


@pytest.mark.parametrize("form", [SINGLE, INDEX, OLD, OLD_INDEX])
def test_only_the_files_that_are_read_are_fetched_from_the_hub(
    form: str, folder: Path, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    save_as(form, weights, folder)
    read = {path.name for path in folder.glob("*model*") if path.suffix in (".safetensors", ".bin")}
    for stray in ("model_ema.safetensors", "model-00001-of-00009.safetensors"):
        save_safe(zeros(weights), folder / stray)
    names = [path.name for path in folder.iterdir()]
    asked: list[str] = []

    def fetch(name: str, *, allow_patterns: list[str], **_: object) -> str:
        asked.extend(allow_patterns)
        return str(folder)

    def info(*_: object, **__: object) -> SimpleNamespace:
        files = [SimpleNamespace(rfilename=name) for name in names]
        return SimpleNamespace(sha="0" * 40, siblings=files)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", info)
    load_pretrained("somebody/gpt2")
    assert {pattern for pattern in asked if not pattern.startswith("*")} == read
    assert not any("safetensors" in pattern or "bin" in pattern for pattern in asked[:3])
