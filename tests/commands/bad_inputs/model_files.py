"""Files of a model so small that they can be written out, to be spoilt one at a time."""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Mapping
from typing import Any, Final

from hpo.demo import DEMO_MODEL_DIR

SIZES: Final = {"n_layer": 1, "n_embd": 2, "n_head": 1, "n_positions": 8, "vocab_size": 1280}
TOKENIZER: Final = (DEMO_MODEL_DIR / "tokenizer.json").read_text(encoding="utf-8")
_SHAPES: Final[Mapping[str, list[int]]] = {
    "wte.weight": [1280, 2],
    "wpe.weight": [8, 2],
    **{f"h.0.{name}": [2] for name in ("ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias")},
    "h.0.attn.c_attn.weight": [2, 6],
    "h.0.attn.c_attn.bias": [6],
    "h.0.attn.c_proj.weight": [2, 2],
    "h.0.attn.c_proj.bias": [2],
    "h.0.mlp.c_fc.weight": [2, 8],
    "h.0.mlp.c_fc.bias": [8],
    "h.0.mlp.c_proj.weight": [8, 2],
    "h.0.mlp.c_proj.bias": [2],
    "ln_f.weight": [2],
    "ln_f.bias": [2],
}


def config(**values: Any) -> str:
    """A config.json, with these values in the place of what fits."""
    return json.dumps({"model_type": "gpt2", **SIZES, **values})


def safetensors(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file of any header, which may be JSON or bytes, and may lie about its length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def weights(
    prefix: str = "",
    dtypes: Mapping[str, str] | None = None,
    fill: Mapping[str, float] | None = None,
) -> bytes:
    """A whole model.safetensors.

    Args:
        prefix: Before each name.
        dtypes: Of single weights; F32 else.
        fill: Numbers that fill single weights; 0 else.
    """
    header, body = {}, b""
    for name, shape in _SHAPES.items():
        dtype = (dtypes or {}).get(name, "F32")
        numbers = math.prod(shape)
        each = struct.pack("<f", (fill or {}).get(name, 0.0)) if dtype == "F32" else b"\0"
        content = each * numbers * {"C64": 8, "I64": 8}.get(dtype, 1)
        header[prefix + name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [len(body), len(body) + len(content)],
        }
        body += content
    return safetensors(header, body)


def pickled(value: object) -> bytes:
    """A file that torch.save wrote."""
    import torch

    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()
