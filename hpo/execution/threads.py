"""How the cores of a machine are shared: how many workers, and how many threads each."""

from __future__ import annotations

import os

import psutil

_BYTES_A_WORKER = 4_000_000_000  # libraries, data, and GPT-2 with everything trained


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def automatic_workers() -> int:
    """The number of workers that finishes most trials an hour: one a core, as far as memory goes.

    A worker with one thread never waits for other threads, and small models have too little work a
    step to share it.
    """
    fitting = int(psutil.virtual_memory().available // _BYTES_A_WORKER)
    return max(1, min(available_cores(), fitting))


def threads_per_worker(workers: int) -> int:
    """The threads that each of so many workers gets."""
    return max(1, available_cores() // workers)


def use_threads(count: int) -> None:
    """Set PyTorch's threads in this process."""
    import torch

    torch.set_num_threads(count)
