"""Weights to safetensors files, whose library has an error of its own for what the disk says, and their digest."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from hpo.digests import fast_digest


def write_weights(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to a safetensors file.

    Args:
        path: Of the file.
        tensors: By name, of any device.
        metadata: Goes into the file's header.

    Raises:
        OSError: Where they cannot be written.
    """
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(whole, path, metadata=dict(metadata) if metadata else None)
    except SafetensorError as error:
        told = re.search(r"os error (\d+)", str(error))
        number = int(told[1]) if told else errno.EIO
        raise OSError(number, os.strerror(number) if told else str(error), str(path)) from error


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """A digest of tensors by name: equal just where each bit of them is."""
    parts: list[bytes | memoryview] = []
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous()
        parts += [f"{name} {values.dtype} {tuple(values.shape)}\n".encode()]
        parts += [values.flatten().view(torch.uint8).numpy().data]
    return fast_digest(parts)
