"""Batches that do not fit into memory: split, accumulated, with the same result."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

logger = logging.getLogger(__name__)


class BatchTooLarge(Exception):  # noqa: N818
    """Not even a single text fits into memory."""


class MicroBatches:
    """How many texts of a batch go through the model at a time; halved whenever memory runs out.

    It can be handed from trial to trial, so that what one learnt the next ones know.

    Attributes:
        size: None until memory has run out once.
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = size

    def learn(self, size: int | None) -> None:
        """Hear of a size that was enough elsewhere; the smaller one holds."""
        if size is not None:
            self.size = size if self.size is None else min(self.size, size)

    def run(
        self,
        texts: NDArray[np.int64],
        accumulate: Callable[[NDArray[np.int64], int], Tensor],
        *,
        clear: Callable[[], None],
    ) -> Tensor:
        """The sum of `accumulate(part, len(texts))` over parts that cover the batch.

        Args:
            clear: Undoes what a failed pass has done.

        Raises:
            BatchTooLarge: A single text does not fit into memory.
        """
        while True:
            size = min(self.size or len(texts), len(texts))
            try:
                parts = [
                    accumulate(texts[at : at + size], len(texts))
                    for at in range(0, len(texts), size)
                ]
                return torch.stack(parts).sum()
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                clear()
                if size == 1:
                    raise BatchTooLarge("one text alone does not fit into memory") from error
            # Outside the handler: the error's traceback holds the tensors that filled the memory.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.size = size // 2
            logger.warning("out of memory at %d texts; now %d at a time", size, self.size)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; PyTorch's CPU allocator raises a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return "can't allocate memory" in text or "not enough memory" in text
