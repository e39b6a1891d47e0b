"""The tensors in one file, safetensors or PyTorch's, read so that nothing runs and no memory is taken but theirs."""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hpo.documents import parse_json
from hpo.errors import ModelError, first_line

_MOST_HEADER_BYTES: Final = 100_000_000  # what the library reads
_POINTER: Final = b"version https://git-lfs"
_AS_SAFETENSORS: Final = "Save the model again as safetensors: model.save_pretrained(folder)."


def read_tensor_file(path: Path, model: str) -> dict[str, Tensor]:
    """The tensors in a file by the names that they were saved by.

    Args:
        path: Its suffix says which of the two it is.
        model: The model's name, for messages.

    Raises:
        ModelError: The file holds anything else, or is not whole.
    """
    return _pickled(path, model) if path.suffix == ".bin" else _safe(path, model)


def is_whole(tensor: Tensor) -> bool:
    """Whether a tensor has all of its numbers: a pickle may name any shape, and a few numbers for it."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()


def _safe(path: Path, model: str) -> dict[str, Tensor]:
    try:
        repeated = _repeated_name(path)
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        _refuse_pointer(path, model)
        raise _unreadable(path, model, first_line(error)) from error
    except Exception as error:  # of a type of numbers that PyTorch or this library has not
        raise _unreadable(path, model, f"what PyTorch has not: {first_line(error)}") from error
    if repeated is not None:
        raise _unreadable(path, model, f"two weights of the name {repeated}")
    return tensors


def _repeated_name(path: Path) -> str | None:
    """A name that a file's header has twice, of which the library reads one; None: none is."""
    with path.open("rb") as file:
        size = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))[0]
        header = file.read(min(size, _MOST_HEADER_BYTES))
    counts: Counter[str] = Counter()

    def count(pairs: list[tuple[str, Any]]) -> None:
        # The innermost come first; the last is the header itself.
        counts.clear()
        counts.update(name for name, _ in pairs)

    try:
        parse_json(header, count)
    except ValueError:
        return None  # the library says what is wrong with it
    return next((name for name, times in counts.items() if times > 1), None)


def _pickled(path: Path, model: str) -> dict[str, Tensor]:
    if zipfile.is_zipfile(path):
        _check_entries(path, model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise _unreadable(path, model, first_line(error)) from error
    except Exception as error:  # whatever a pickle can raise
        _refuse_pointer(path, model)
        # Not in PyTorch's words, which advise to run what is in it.
        more = isinstance(error, pickle.UnpicklingError) and "Unsupported global" in str(error)
        found = "objects that are no tensors" if more else "no file of PyTorch's, or a damaged one"
        raise _no_tensors(path, model, found) from error
    if not isinstance(found, dict):
        raise _no_tensors(path, model, f"an object of type {type(found).__name__}")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            kind = type(value).__name__
            raise _no_tensors(path, model, f"an object of type {kind} under the key {name!r:.40}")
    return found


def _check_entries(path: Path, model: str) -> None:
    """PyTorch stores its parts as they are; packed ones may become any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [entry for entry in archive.infolist() if entry.compress_type]
    except Exception as error:  # the kinds that a damaged archive raises are many
        raise _no_tensors(path, model, "a damaged archive") from error
    if packed:
        raise _no_tensors(path, model, f"the packed entry {packed[0].filename!r:.60}")


def _refuse_pointer(path: Path, model: str) -> None:
    """Say so where a file is what Git keeps in place of a large one."""
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise _unreadable(path, model, "a pointer of Git LFS", "Fetch it: git lfs pull.")


def _no_tensors(path: Path, model: str, found: str) -> ModelError:
    return _unreadable(path, model, found, _AS_SAFETENSORS, "a dict of tensors and nothing else")


def _unreadable(
    path: Path,
    model: str,
    why: str,
    hint: str = "Fetch or save the model again.",
    expected: str = "whole weight files",
) -> ModelError:
    return ModelError(
        f"model {model}",
        found=f"weights that cannot be read: {path.name} ({why})",
        expected=expected,
        hint=hint,
    )
