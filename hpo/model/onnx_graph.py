"""An exported classifier as an ONNX graph: written by PyTorch's own exporter, run by onnxruntime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ONNX_FILE: Final = "model.onnx"
INPUTS: Final = ("input_ids", "attention_mask")
NEEDED_PACKAGES: Final = ("onnx", "onnxscript", "onnxruntime")
"""What writing and checking a graph takes: the extra `onnx`."""


def missing_packages() -> list[str]:
    """Those of `NEEDED_PACKAGES` that are not installed."""
    return [name for name in NEEDED_PACKAGES if find_spec(name) is None]


class _Logits(torch.nn.Module):
    """A classifier of transformers with logits as its only output."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self._model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        answered = self._model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        logits: Tensor = answered.logits
        return logits


def write_onnx(folder: Path) -> None:
    """Write `ONNX_FILE` beside a classifier in the form of transformers.

    Its inputs are `INPUTS`, int64 (texts, tokens) with padding on the right; its output is `logits`,
    fp32 (texts, labels). Both sizes are free, up to the model's positions.

    Args:
        folder: Of config.json and weights.

    Raises:
        OSError: It cannot be written.
    """
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True, dtype=torch.float32, attn_implementation="eager"
    )
    # A size of 1 would be taken for one that never changes.
    ids = torch.ones(2, min(4, model.config.max_position_embeddings), dtype=torch.int64)
    sizes = {0: "texts", 1: "tokens"}
    with _in_silence():
        program = torch.onnx.export(
            _Logits(model).eval(),
            (ids, torch.ones_like(ids)),
            dynamo=True,
            verbose=False,
            input_names=INPUTS,
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(INPUTS, sizes),
        )
        assert program is not None
        program.save(folder / ONNX_FILE)


@contextmanager
def _in_silence() -> Iterator[None]:
    """Without the exporter's words to its own developers."""
    named = logging.getLogger("torch.onnx")
    level = named.level
    named.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        named.setLevel(level)


class OnnxClassifier:
    """A graph that `write_onnx` wrote, on the CPU."""

    def __init__(self, folder: Path) -> None:
        from onnxruntime import InferenceSession

        self._session: Any = InferenceSession(
            folder / ONNX_FILE, providers=["CPUExecutionProvider"]
        )

    def logits(self, batch: Mapping[str, Tensor]) -> NDArray[np.float32]:
        """Logits, (texts, labels), of `INPUTS`, each (texts, tokens)."""
        (found,) = self._session.run(None, {name: batch[name].numpy() for name in INPUTS})
        return np.asarray(found)
