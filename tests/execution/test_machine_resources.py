from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hpo.execution.machine_resources import (
    Gpu,
    WorkerResources,
    available_cores,
    available_gpus,
    best_worker_count,
    divide,
)

GB = 10**9
PLENTY = 1000 * GB


@pytest.mark.parametrize("workers", [1, 2, 3, 8, 20])
@pytest.mark.parametrize("cores", [1, 2, 16])
def test_threads_never_outnumber_cores_unless_workers_do(workers: int, cores: int) -> None:
    resources = divide(workers, cores, [])
    assert len(resources) == workers
    assert {worker.gpu for worker in resources} == {None}
    assert all(worker.threads >= 1 for worker in resources)
    assert sum(worker.threads for worker in resources) <= max(cores, workers)


def test_every_gpu_has_a_worker_before_one_has_two() -> None:
    gpus = [Gpu("GPU-a", 80 * GB), Gpu("GPU-b", 80 * GB)]
    resources = divide(3, 16, gpus)
    assert [worker.gpu for worker in resources] == ["GPU-a", "GPU-b", "GPU-a"]
    assert resources[1].gpu_fraction == 1
    assert resources[0].gpu_fraction == resources[2].gpu_fraction < 0.5


@pytest.mark.parametrize("workers", range(1, 12))
def test_the_workers_of_a_gpu_share_no_more_than_its_memory(workers: int) -> None:
    gpus = [Gpu(f"GPU-{index}", 24 * GB) for index in range(3)]
    resources = divide(workers, 8, gpus)
    for gpu in gpus:
        assert sum(worker.gpu_fraction for worker in resources if worker.gpu == gpu.name) <= 1


@pytest.mark.parametrize(
    ("cores", "memory", "gpus", "workers"),
    [
        (8, PLENTY, [], 8),
        (8, 10 * GB, [], 2),
        (8, 1 * GB, [], 1),
        (16, PLENTY, [80 * GB], 4),
        (16, PLENTY, [80 * GB, 24 * GB], 2),
        (2, PLENTY, [80 * GB], 2),
        (16, PLENTY, [8 * GB], 1),
    ],
)
def test_as_many_workers_as_cores_gpus_and_memory_bear(
    cores: int, memory: int, gpus: list[int], workers: int
) -> None:
    cards = [Gpu(str(index), size) for index, size in enumerate(gpus)]
    assert best_worker_count(cores, memory, cards) == workers


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_gpus_that_are_hidden_are_not_counted(hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert available_gpus() == ()


def test_a_worker_keeps_to_its_share() -> None:
    code = (
        "import os, torch\n"
        "from hpo.execution.machine_resources import WorkerResources\n"
        "WorkerResources(threads=1, gpu='GPU-a', gpu_fraction=0.45).take()\n"
        "print(torch.get_num_threads(), os.environ['CUDA_VISIBLE_DEVICES'])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["1", "GPU-a"]


def test_the_cores_are_those_that_the_process_may_use() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
    assert WorkerResources(2).gpu is None
