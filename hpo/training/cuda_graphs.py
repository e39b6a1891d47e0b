"""A training pass as one launch: recorded as a CUDA graph for each shape of a batch, and replayed.

A pass over a batch of short texts launches hundreds of small kernels. Python needs many times as long
to launch them as a GPU to run them, so there a pass is recorded, once for each shape of a batch, and
then launched as one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hpo.model.inputs import Batch
from hpo.training.micro_batches import is_out_of_memory

logger = logging.getLogger(__name__)

TrainingPass = Callable[[Batch], Tensor]
"""Forward and backward over a batch: adds to the gradients and gives the summed loss, on its device."""


def run_plainly(run: TrainingPass, batch: Batch, batch_size: int) -> Tensor:
    """What stands in for `RecordedPasses` on a CPU: the pass itself."""
    return run(batch)


def passes_on(device: torch.device) -> Callable[[TrainingPass, Batch, int], Tensor]:
    """The way in which a device runs training passes."""
    return run_plainly if device.type == "cpu" else RecordedPasses()


@dataclass(frozen=True)
class _Recording:
    """A recorded pass: the batch that it reads and the loss that it leaves, in memory of its own."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    loss: Tensor


class RecordedPasses:
    """A training pass that is recorded for each shape, and replayed; with the numbers of a plain one.

    What the pass makes of a batch may depend on nothing but the batch, the number of texts that its
    gradient is divided by, and what lies in memory at the same place each time. To record a pass
    takes about as long as to run it, so it is done at first sight of a shape.
    """

    def __init__(self) -> None:
        self._records = True
        # Passes are run plainly where they are recorded, for cuBLAS keeps memory for each stream,
        # which must be there before a recording.
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._forget()

    def __call__(self, run: TrainingPass, batch: Batch, batch_size: int) -> Tensor:
        """The loss that `run` gives for the batch, which is a part of one of `batch_size` texts."""
        key = (*batch.shape, batch_size)
        if key not in self._recordings and self._has_run and self._records:
            self._record(key, run, batch)
        recording = self._recordings.get(key)
        if recording is None:
            return self._run_plainly(run, batch)
        recording.batch.become(batch)
        recording.graph.replay()
        return recording.loss.clone()

    def _run_plainly(self, run: TrainingPass, batch: Batch) -> Tensor:
        """Run in order with all that came and comes on the current stream."""
        self._stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(self._stream):
                loss = run(batch)
        except RuntimeError as error:
            if is_out_of_memory(error):
                self._forget()  # what recordings hold may be what was missing
            raise
        finally:
            torch.cuda.current_stream().wait_stream(self._stream)
        self._has_run = True
        return loss

    def _record(self, key: tuple[int, ...], run: TrainingPass, batch: Batch) -> None:
        """Record a pass, which computes nothing. Where that fails, all passes to come are run plainly."""
        graph = torch.cuda.CUDAGraph()
        try:
            held = batch.copy()
            # The outer stream sees to it that a failure leaves the current one as it was. Other
            # threads go on: nothing that they do has to do with this.
            with (
                torch.cuda.stream(self._stream),
                torch.cuda.graph(graph, self._memory, self._stream, "thread_local"),
            ):
                loss = run(held)
        except RuntimeError as error:
            logger.warning("training goes on without CUDA graphs: %s", error)
            self._records = False
            self._forget()
            return
        self._recordings[key] = _Recording(graph, held, loss)

    def _forget(self) -> None:
        """Drop all recordings together, for each that goes takes memory of cuBLAS from the rest."""
        self._recordings: dict[tuple[int, ...], _Recording] = {}
        self._memory = torch.cuda.graph_pool_handle()
        self._has_run = False
