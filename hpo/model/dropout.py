"""Dropout whose random numbers cost little on a CPU and can be put into a checkpoint."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hpo.documents import parse_json

_BF16_ONE = np.uint16(0x3F80)
_LEVELS = 1 << 16  # probabilities are rounded to 1 / 65,536


class Dropout:
    """The dropout (Srivastava et al., 2014) of one trial: four probabilities and a stream of numbers.

    On CPUs masks come from NumPy's SFC64, 16 bits an element: PyTorch draws its own one by one and
    takes about ten times as long. On other devices PyTorch's generator there is seeded and used.
    """

    def __init__(
        self,
        *,
        embedding: float,
        attention: float,
        residual: float,
        head: float = 0.0,
        seed: int,
        device: torch.device,
    ) -> None:
        """Seed the stream.

        Args:
            embedding: Probability on the sum of token and position embeddings.
            attention: Probability on attention weights.
            residual: Probability on what joins the residual.
            head: Probability on what the head reads.
            seed: Of the stream; on a GPU, of PyTorch's generator there too.
            device: Of the tensors.
        """
        self.embedding_probability = embedding
        self.attention_probability = attention
        self.residual_probability = residual
        self.head_probability = head
        self._device = device
        self._random = np.random.SFC64(seed)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index or 0].manual_seed(seed)

    @property
    def drops_attention(self) -> bool:
        """Whether attention weights are dropped."""
        return self.attention_probability > 0

    def embeddings(self, x: Tensor) -> Tensor:
        """Dropout on embeddings, in the shape and dtype of x."""
        return self._drop(x, self.embedding_probability)

    def attention(self, weights: Tensor) -> Tensor:
        """Dropout on attention weights, in their shape and dtype."""
        return self._drop(weights, self.attention_probability)

    def residual(self, x: Tensor) -> Tensor:
        """Dropout on what joins the residual, in the shape and dtype of x."""
        return self._drop(x, self.residual_probability)

    def head(self, pooled: Tensor) -> Tensor:
        """Dropout on what the head reads, in the shape and dtype of `pooled`."""
        return self._drop(pooled, self.head_probability)

    def state(self) -> str:
        """The random state as JSON, for a checkpoint."""
        device_state = None
        if self._device.type == "cuda":
            device_state = torch.cuda.get_rng_state(self._device).tolist()
        cpu = self._random.state
        words = [int(word) for word in cpu["state"]["state"]]
        return json.dumps(
            {"words": words, "spare": [cpu["has_uint32"], cpu["uinteger"]], "device": device_state}
        )

    def restore(self, state: str) -> None:
        """Go on from a state that `state` gave."""
        document = parse_json(state)
        self._random.state = {
            "bit_generator": "SFC64",
            "state": {"state": np.array(document["words"], dtype=np.uint64)},
            "has_uint32": document["spare"][0],
            "uinteger": document["spare"][1],
        }
        if document["device"] is not None:
            torch.cuda.set_rng_state(
                torch.tensor(document["device"], dtype=torch.uint8), self._device
            )

    def _drop(self, x: Tensor, probability: float) -> Tensor:
        if probability == 0:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, probability)
        kept: Tensor = _Drop.apply(  # type: ignore[no-untyped-call]
            x, self._mask(x, probability), 1 / (1 - probability)
        )
        return kept

    def _mask(self, x: Tensor, probability: float) -> Tensor:
        """1 where an element stays and 0 where it is dropped, in the shape and dtype of x.

        Multiplying by numbers is several times faster on a CPU than selecting by booleans.
        """
        count = x.numel()
        bits = self._random.random_raw(-(-count // 4)).view(np.uint16)[:count]
        kept = bits >= round(probability * _LEVELS)
        if x.dtype == torch.bfloat16:
            ones = (kept * _BF16_ONE).view(np.int16)
            return torch.from_numpy(ones).view(torch.bfloat16).view(x.shape)
        return torch.from_numpy(kept.astype(np.float32)).view(x.shape)


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.scale = scale
        return (x * mask).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return (gradient * ctx.saved_tensors[0]).mul_(ctx.scale), None, None


NO_DROPOUT = Dropout(embedding=0, attention=0, residual=0, seed=0, device=torch.device("cpu"))
