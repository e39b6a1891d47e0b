"""Which of a model's files hold its weights, chosen as transformers does, and the tensors in them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from torch import Tensor

from hpo.documents import parse_json
from hpo.errors import ModelError, first_line
from hpo.model.tensor_files import read_tensor_file
from hpo.model.wrapped_names import MERGE

INDEX_SUFFIX: Final = ".index.json"
# In this order the first that is there is read, and no other; so does transformers.
WEIGHT_FILES: Final = (
    "model.safetensors",
    f"model.safetensors{INDEX_SUFFIX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{INDEX_SUFFIX}",
)
# An index is somebody else's word: a name in it leads to no other folder, and is no pattern.
_PLAIN_NAME: Final = re.compile(r"\w[\w.-]{0,200}\.(safetensors|bin)", re.ASCII)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as it was saved, and the name of the file that it came from."""

    tensor: Tensor
    file: str


def chosen_file(names: Collection[str]) -> str | None:
    """Of the names of a model's files the one to read, which may be an index of others; None: none."""
    return next((name for name in WEIGHT_FILES if name in names), None)


def files_to_read(folder: Path, chosen: str, model: str) -> tuple[str, ...]:
    """The weight files that the chosen one stands for: itself, or those that it lists.

    Args:
        folder: Of the model.
        chosen: A file's name in it, from `chosen_file`.
        model: The model's name, for messages.

    Raises:
        ModelError: Where an index cannot be followed.
    """
    if not chosen.endswith(INDEX_SUFFIX):
        return (chosen,)
    return tuple(sorted(set(_weight_map(folder / chosen, model).values())))


def read_tensors(folder: Path, model: str) -> dict[str, StoredTensor]:
    """The tensors of a model's folder under the names that they were saved by.

    Args:
        folder: Of the model; only the weight files in it are read that transformers would read.
        model: The model's name, for messages.

    Raises:
        ModelError: Where there are no weight files, or they are not whole.
    """
    chosen = chosen_file({name for name in WEIGHT_FILES if (folder / name).is_file()})
    if chosen is None:
        adapter = (folder / "adapter_config.json").is_file()
        raise ModelError(
            f"model {model}",
            found="an adapter alone, and no weight files" if adapter else "no weight files",
            expected="model.safetensors, or an index of its parts, or the same for pytorch_model.bin",
            hint=MERGE if adapter else "Save the model again with save_pretrained.",
        )
    if not chosen.endswith(INDEX_SUFFIX):
        return {
            name: StoredTensor(tensor, chosen)
            for name, tensor in read_tensor_file(folder / chosen, model).items()
        }
    return _indexed_tensors(folder, chosen, model)


def _indexed_tensors(folder: Path, index: str, model: str) -> dict[str, StoredTensor]:
    files = files_to_read(folder, index, model)
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        _refuse_index(model, index, f"{missing[0]}, which is not there", "files beside it")
    parts = {file: read_tensor_file(folder / file, model) for file in files}
    named = _weight_map(folder / index, model)
    for name, file in named.items():
        if name not in parts[file]:
            _refuse_index(
                model, index, f"{name} in {file}, which lacks it", "weights that are there"
            )
    return {name: StoredTensor(parts[file][name], file) for name, file in named.items()}


def _weight_map(index: Path, model: str) -> Mapping[str, str]:
    """Which file holds each weight, as an index says."""
    try:
        document = parse_json(index.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        _refuse_index(model, index.name, f"no JSON ({first_line(error)})", "a whole index")
    named = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(named, dict) or not named:
        _refuse_index(model, index.name, "no weight_map", "the file of each weight")
    for file in named.values():
        if not isinstance(file, str) or not _PLAIN_NAME.fullmatch(file):
            _refuse_index(model, index.name, f"the file name {file!r}", "names of files beside it")
    return named


def _refuse_index(model: str, index: str, found: str, expected: str) -> NoReturn:
    raise ModelError(
        f"model {model}, {index}",
        found=found,
        expected=expected,
        hint="Fetch or save the model again.",
    )
