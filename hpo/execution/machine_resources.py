"""The resources of a machine: how many workers there are to be, and what each gets of its cores and GPUs."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import psutil

logger = logging.getLogger(__name__)

_BYTES_A_WORKER = 4_000_000_000  # libraries, data, and GPT-2 with everything trained
# GPT-2 small with everything trained, in batches of 64 texts of 256 tokens. What needs more is
# split into micro-batches.
_GPU_BYTES_A_WORKER = 16_000_000_000
_MOST_WORKERS_A_GPU = 4
# Each process keeps a CUDA context, which PyTorch does not count to its part.
_GPU_PART_TO_SHARE = 0.9


@dataclass(frozen=True)
class Gpu:
    """A GPU that this process may use.

    Attributes:
        name: As CUDA_VISIBLE_DEVICES takes it.
        memory: Bytes.
    """

    name: str
    memory: int


@dataclass(frozen=True)
class WorkerResources:
    """What one worker may use.

    Attributes:
        threads: Of PyTorch.
        gpu: The name of its GPU; None on a machine without.
        gpu_fraction: Of that GPU's memory.
    """

    threads: int
    gpu: str | None = None
    gpu_fraction: float = 1.0

    def take(self) -> None:
        """Keep this process to them. To be called before anything is put on a GPU."""
        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        import torch

        torch.set_num_threads(self.threads)
        if self.gpu_fraction < 1 and torch.cuda.is_available():
            # Beyond it memory runs out for this worker, which then splits its batches, and not
            # for its neighbours.
            torch.cuda.set_per_process_memory_fraction(self.gpu_fraction)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_gpus() -> tuple[Gpu, ...]:
    """NVIDIA GPUs that this process may use, told without a CUDA context and without PyTorch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if version("torch").endswith("+cpu") or visible in ("", "-1"):
        return ()
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        if visible is None:
            handles = [
                pynvml.nvmlDeviceGetHandleByIndex(index)
                for index in range(pynvml.nvmlDeviceGetCount())
            ]
            # CUDA numbers them by speed and the driver by slot; only these names mean the same.
            names = [str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
        else:
            names = [name.strip() for name in visible.split(",")]
            handles = [
                pynvml.nvmlDeviceGetHandleByIndex(int(name))
                if name.isdecimal()
                else pynvml.nvmlDeviceGetHandleByUUID(name)
                for name in names
            ]
        sizes = [int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) for handle in handles]
        return tuple(Gpu(name, size) for name, size in zip(names, sizes, strict=True))
    except pynvml.NVMLError as error:
        logger.warning("the GPUs cannot be told apart, and all workers use the first: %s", error)
        return ()
    finally:
        pynvml.nvmlShutdown()


def automatic_workers() -> int:
    """The number of workers that finishes most trials an hour on this machine."""
    memory = int(psutil.virtual_memory().available)
    return best_worker_count(available_cores(), memory, available_gpus())


def best_worker_count(cores: int, memory: int, gpus: Sequence[Gpu]) -> int:
    """As many workers as cores, or as the GPUs hold, as far as memory goes.

    A worker with one thread never waits for other threads, and small models have too little work a
    step to share it. One trial does not fill a GPU; some side by side do.

    Args:
        cores: That may be used.
        memory: Bytes that are free.
        gpus: That may be used.
    """
    wanted = cores
    if gpus:
        on_each = min(gpu.memory for gpu in gpus) // _GPU_BYTES_A_WORKER
        wanted = min(cores, len(gpus) * max(1, min(_MOST_WORKERS_A_GPU, on_each)))
    return max(1, min(wanted, memory // _BYTES_A_WORKER))


def machine_resources(workers: int) -> list[WorkerResources]:
    """This machine divided among so many workers."""
    return divide(workers, available_cores(), available_gpus())


def divide(workers: int, cores: int, gpus: Sequence[Gpu]) -> list[WorkerResources]:
    """Cores and GPUs divided evenly; where workers outnumber the GPUs, each gets a part of one."""
    threads = max(1, cores // workers)
    if not gpus:
        return [WorkerResources(threads)] * workers
    resources = []
    for index in range(workers):
        place = index % len(gpus)
        neighbours = len(range(place, workers, len(gpus)))
        fraction = 1.0 if neighbours == 1 else _GPU_PART_TO_SHARE / neighbours
        resources.append(WorkerResources(threads, gpus[place].name, fraction))
    return resources
