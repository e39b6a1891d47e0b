"""Trials an hour: two workers with a thread each, one worker with one, one worker with two.

Real trials of the embedded default by `python -m hpo.run`, each round on a fresh storage, in turns, so that
whatever else the machine does meets all alike. A study of hours does not notice what starting takes, nor that
workers end one after another, so trials an hour follow from how long trials take, the first two left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median

import optuna

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ((2, 1), (1, 1), (1, 2))  # workers, threads of each
# So many trials, in which workers still import and open their stores, are left out of all.
FIRST = 2


@dataclass(frozen=True)
class Run:
    """What one command did. trial_seconds: of each trial but the first two, from its claim to its end;
    span_seconds: from the first trial's begin to the last one's end; wall_seconds: of the command."""

    workers: int
    threads: int
    trial_seconds: list[float]
    span_seconds: float
    wall_seconds: float

    @property
    def trials_per_hour(self) -> float:
        return 3600 * self.workers / mean(self.trial_seconds)


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="hpo-bench-") as folder:
        cache = Path(folder) / "cache"
        _run(Path(folder) / "warm-up", cache, 1, 1, 2, options.seed)
        runs = [
            _run(Path(folder) / f"{turn}-{w}x{t}", cache, w, t, options.trials, options.seed)
            for turn in range(options.rounds)
            for w, t in SETTINGS
        ]
    by_setting = {
        setting: [run for run in runs if (run.workers, run.threads) == setting]
        for setting in SETTINGS
    }
    base = median(run.trials_per_hour for run in by_setting[1, 1])
    print("workers | threads | trials/hour | of 1 x 1 | first to last s | command s | all rounds")
    for (workers, threads), own in by_setting.items():
        rate = median(run.trials_per_hour for run in own)
        span = median(run.span_seconds for run in own)
        wall = median(run.wall_seconds for run in own)
        each = ", ".join(f"{run.trials_per_hour:,.0f}" for run in own)
        print(
            f"{workers:7} | {threads:7} | {rate:11,.0f} | {rate / base:8.2f} | {span:15.1f} "
            f"| {wall:9.1f} | {each}"
        )
    if options.output:
        Path(options.output).write_text(json.dumps([asdict(r) for r in runs], indent=1))
    return 0


def _run(folder: Path, cache: Path, workers: int, threads: int, trials: int, seed: int) -> Run:
    """One study to its end, on as many cores as its threads together."""
    folder.mkdir(parents=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HPO_CACHE": str(cache),
        "HPO_STORAGE": f"sqlite:///{folder}/optuna.db",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "HPO_STATE": str(folder / ".hpo"),
    }
    command = [sys.executable, "-m", "hpo.run", "--trials", str(trials), "--workers", str(workers)]
    # Random points without pruning: every setting trains the same trials.
    command += ["--set", "search.sampler=random", "--set", "search.pruner=none"]
    command += ["--set", "confirm.seeds=0"]
    command += ["--name", "workers", "--seed", str(seed), "--json", "--quiet"]
    cores = sorted(os.sched_getaffinity(0))[: workers * threads]
    assert len(cores) == workers * threads, f"{workers} x {threads} threads need as many cores"
    begun = os.times().elapsed
    subprocess.run(
        command,
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    wall = os.times().elapsed - begun
    study = optuna.load_study(study_name="workers", storage=environment["HPO_STORAGE"])
    times = [
        (trial.datetime_start, trial.datetime_complete)
        for trial in study.trials
        if trial.datetime_start and trial.datetime_complete
    ]
    assert len(times) == trials
    span = max(end for _, end in times) - min(start for start, _ in times)
    each = [(end - start).total_seconds() for start, end in times[FIRST:]]
    return Run(workers, threads, each, span.total_seconds(), wall)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="a JSON file for all figures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
