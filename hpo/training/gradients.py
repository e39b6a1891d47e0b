"""Forward and backward over a batch, and on a GPU as a recorded graph.

A pass over a batch of short texts launches hundreds of small kernels. Python needs many times as long
to launch them as a GPU to run them, so there a pass is recorded as a CUDA graph, once for each shape
of a batch, and then launched as one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hpo.model.classifier import Classifier
from hpo.model.dropout import Dropout
from hpo.model.inputs import Batch
from hpo.training.memory import is_out_of_memory

logger = logging.getLogger(__name__)

GradientPass = Callable[[Batch, int], Tensor]
"""Adds the gradient of a batch, part of one of so many texts; its summed loss, on its device."""


def gradient_pass(classifier: Classifier, dropout: Dropout, label_smoothing: float) -> GradientPass:
    """The pass over a classifier that suits its device.

    On a GPU it adds to gradients that are there already, and leaves them where they are in memory.
    """

    def loss_of(batch: Batch) -> Tensor:
        logits = classifier.logits(batch.inputs, batch.layout, dropout)
        return functional.cross_entropy(
            logits, batch.labels, reduction="sum", label_smoothing=label_smoothing
        )

    def run(batch: Batch, of: int) -> Tensor:
        loss = loss_of(batch)
        (loss / of).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def run_on_gpu(batch: Batch, of: int) -> Tensor:
        loss = loss_of(batch)
        weights = list(classifier.parameters.values())
        sums = [weight.grad for weight in weights if weight.grad is not None]
        assert len(sums) == len(weights), "the optimiser makes them"
        # By one kernel, where backward() would add them one by one.
        torch._foreach_add_(sums, list(torch.autograd.grad(loss / of, weights)))
        return loss.detach()

    return run if classifier.device.type == "cpu" else RecordedPasses(run_on_gpu)


@dataclass(frozen=True)
class _Recording:
    """A recorded pass: the batch that it reads and the loss that it leaves, in memory of its own."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    loss: Tensor


class RecordedPasses:
    """A gradient pass that is recorded for each shape, and replayed; with the numbers of a plain one.

    To record a pass takes about as long as to run it, so it is done at first sight of a shape.
    """

    def __init__(self, run: GradientPass) -> None:
        self._run = run
        self._records = True
        # Passes are run plainly where they are recorded, for cuBLAS keeps memory for each stream,
        # which must be there before a recording.
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._forget()

    def __call__(self, batch: Batch, of: int) -> Tensor:
        key = (*batch.shape, of)
        if key not in self._recordings and self._has_run and self._records:
            self._record(key, batch, of)
        recording = self._recordings.get(key)
        if recording is None:
            return self._run_plainly(batch, of)
        recording.batch.become(batch)
        recording.graph.replay()
        return recording.loss.clone()

    def _run_plainly(self, batch: Batch, of: int) -> Tensor:
        """Run in order with all that came and comes on the current stream."""
        self._stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(self._stream):
                loss = self._run(batch, of)
        except RuntimeError as error:
            if is_out_of_memory(error):
                self._forget()  # what recordings hold may be what was missing
            raise
        finally:
            torch.cuda.current_stream().wait_stream(self._stream)
        self._has_run = True
        return loss

    def _record(self, key: tuple[int, ...], batch: Batch, of: int) -> None:
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
                loss = self._run(held, of)
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
