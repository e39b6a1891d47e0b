"""The same trials by transformers.Trainer and by hpo: seconds, by freeze depth, and accuracies.

A fixed list of trials is run by each contender in processes of its own, round by round in turns, so
that whatever else the machine does meets all of them alike. Loading and tokenising are off the clock
for all; model set-up, training, evaluations, checkpoints and the building of hpo's cache are on it.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from statistics import mean
from typing import Any

import psutil
from ablations import ABLATIONS
from random_gpt2 import save_random_gpt2

from hpo.execution.machine_resources import available_gpus, best_worker_count

TRAINERS = ("trainer", "trainer-tuned")
ONE_PROCESS = "hpo-one-process"
CONTENDERS = {
    "trainer": "(a) Trainer as documented",
    "trainer-tuned": "(b) Trainer, tuned",
    "hpo": "(c) hpo, a worker a core",
    ONE_PROCESS: "(d) hpo, one process",
}
LEARNING_RATES = (3e-4, 1e-3, 1e-4, 5e-4)
BATCH_SIZES = (16, 8, 32)
EPOCHS = (2, 1, 3)


@dataclass(frozen=True)
class Planned:
    """A trial of the fixed list."""

    number: int
    learning_rate: float
    batch_size: int
    epochs: int
    freeze_depth: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What a contender made of a trial. worker: which of its processes; peak_bytes: of it so far."""

    contender: str
    worker: int
    trial: Planned
    seconds: float
    accuracies: list[float]
    written: int
    peak_bytes: int


def plan(trials: int, layers: int, depths: str) -> list[Planned]:
    """Depths spread evenly, the rest in cycles, in an order that favours no depth."""
    least, most = {"all": (0, layers), "shallow": (max(1, layers - 2), layers), "full": (0, 0)}[
        depths
    ]
    listed = [
        Planned(
            number=number,
            learning_rate=LEARNING_RATES[number % len(LEARNING_RATES)],
            batch_size=BATCH_SIZES[number % len(BATCH_SIZES)],
            epochs=EPOCHS[(number + number // len(EPOCHS)) % len(EPOCHS)],
            freeze_depth=least + number * (most - least + 1) // trials,
            seed=number,
        )
        for number in range(trials)
    ]
    random.Random(0).shuffle(listed)
    return listed


@dataclass(frozen=True)
class Result:
    """What a contender made of the list. workers: its processes; seconds: of its rounds, by the clock."""

    workers: int
    seconds: float
    outcomes: list[Outcome]


class Process:
    """A worker of a contender, in a process of its own."""

    def __init__(self, name: str, number: int, command: Sequence[str], *, verbose: bool) -> None:
        self._name = name
        self._number = number
        errors = None if verbose else subprocess.DEVNULL
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        self._answer()

    def run(self, trial: Planned) -> Outcome:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(trial)) + "\n")
        self._process.stdin.flush()
        return Outcome(self._name, self._number, trial, **self._answer())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._name} ended without an answer; --verbose shows why")
        return json.loads(line)


class Contender:
    """One or more processes that work off trials; together they have `--threads` threads."""

    def __init__(self, name: str, model: Path, out: Path, options: argparse.Namespace) -> None:
        self.name = name
        self.workers = _workers_of_hpo(options.threads) if name == "hpo" else 1
        command = [sys.executable, str(Path(__file__).with_name("contenders.py")), name]
        command += ["--model", str(model), "--data", options.data, "--out", str(out)]
        command += ["--threads", str(options.threads), "--workers", str(self.workers)]
        for key in ("max_length", "train_examples", "validation_examples"):
            value = getattr(options, key)
            if value:
                command += [f"--{key.replace('_', '-')}", str(value)]
        self._processes = [
            Process(name, number, command, verbose=options.verbose)
            for number in range(self.workers)
        ]
        self._free: SimpleQueue[Process] = SimpleQueue()
        for process in self._processes:
            self._free.put(process)

    def run(self, trials: Sequence[Planned]) -> list[Outcome]:
        """Each trial by whichever process is free next."""
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(self._run, trials))

    def close(self) -> None:
        for process in self._processes:
            process.close()

    def _run(self, trial: Planned) -> Outcome:
        process = self._free.get()
        outcome = process.run(trial)
        self._free.put(process)
        print(_line(outcome), file=sys.stderr, flush=True)
        return outcome


def race(options: argparse.Namespace) -> dict[str, Result]:
    """All contenders over the fixed list, in turns; ablations, where asked for, after that."""
    trials = plan(options.trials, options.layers, options.depths)
    rounds = [trials[part :: options.rounds] for part in range(options.rounds)]
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = save_random_gpt2(
            Path(folder, "model"),
            layers=options.layers,
            width=options.width,
            heads=options.heads,
            tokenizer=options.tokenizer,
        )
        groups = [options.contenders]
        if options.ablate:
            groups += [[f"{ONE_PROCESS}-without-{trick}"] for trick in ABLATIONS]
        for names in groups:
            results |= _race(names, rounds, model, Path(folder), options)
    return results


def _race(
    names: Sequence[str],
    rounds: Sequence[Sequence[Planned]],
    model: Path,
    folder: Path,
    options: argparse.Namespace,
) -> dict[str, Result]:
    seconds = dict.fromkeys(names, 0.0)
    outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
    with ExitStack() as running:
        contenders = []
        for name in names:
            out = folder / name
            out.mkdir()
            contenders.append(Contender(name, model, out, options))
            running.callback(contenders[-1].close)
        for turn, trials in enumerate(rounds):
            # Whoever goes first in one turn goes last in the next.
            for contender in contenders if turn % 2 == 0 else contenders[::-1]:
                started = time.perf_counter()
                outcomes[contender.name] += contender.run(trials)
                seconds[contender.name] += time.perf_counter() - started
    return {
        contender.name: Result(contender.workers, seconds[contender.name], outcomes[contender.name])
        for contender in contenders
    }


def _workers_of_hpo(threads: int) -> int:
    """As `hpo.run --workers auto` shares a machine: one a core, or as many as its GPUs are for."""
    return best_worker_count(threads, psutil.virtual_memory().available, available_gpus())


def _line(outcome: Outcome) -> str:
    trial = outcome.trial
    return (
        f"{outcome.contender:<34} trial {trial.number:>2}  depth {trial.freeze_depth:>2}  "
        f"batch {trial.batch_size:>2}  epochs {trial.epochs}  {outcome.seconds:8.2f} s  "
        f"accuracy {outcome.accuracies[-1]:.3f}"
    )


def summary(results: dict[str, Result]) -> dict[str, Any]:
    """Per contender: total seconds, seconds by depth, accuracies, bytes written, peak memory.

    Seconds by depth are the trials' own, divided by how many of them run at a time.
    """
    return {name: _summary(result) for name, result in results.items()}


def _summary(result: Result) -> dict[str, Any]:
    own = result.outcomes
    peaks = {outcome.worker: 0 for outcome in own}
    for outcome in own:
        peaks[outcome.worker] = max(peaks[outcome.worker], outcome.peak_bytes)
    return {
        "workers": result.workers,
        "seconds": result.seconds,
        "seconds_by_depth": {
            depth: sum(o.seconds for o in own if o.trial.freeze_depth == depth) / result.workers
            for depth in sorted({outcome.trial.freeze_depth for outcome in own})
        },
        "final_accuracy": mean(outcome.accuracies[-1] for outcome in own),
        "best_accuracy": mean(max(outcome.accuracies) for outcome in own),
        "best_trial": max(own, key=lambda outcome: max(outcome.accuracies)).trial.number,
        "written_bytes": sum(outcome.written for outcome in own),
        "peak_bytes": sum(peaks.values()),
    }


def print_tables(results: dict[str, Result]) -> None:
    contenders = summary(results)
    rivals = {name: contenders[name] for name in TRAINERS if name in contenders}
    headings = "".join(f"{f'{CONTENDERS[name][:3]} / it':>10}" for name in rivals)
    print(f"\n{'':<34}{'total s':>9}{headings}{'final':>8}{'best':>8}{'MB out':>9}{'MB peak':>9}")
    for name, row in contenders.items():
        ratios = "".join(f"{rival['seconds'] / row['seconds']:>10.2f}" for rival in rivals.values())
        print(
            f"{CONTENDERS.get(name, name):<34}{row['seconds']:>9.1f}{ratios}"
            f"{row['final_accuracy']:>8.3f}{row['best_accuracy']:>8.3f}"
            f"{row['written_bytes'] / 1e6:>9.0f}{row['peak_bytes'] / 1e6:>9.0f}"
        )
    _print_depths(contenders, rivals)
    _print_accuracies(results)


def _print_depths(contenders: dict[str, Any], rivals: dict[str, Any]) -> None:
    depths = list(next(iter(contenders.values()))["seconds_by_depth"])
    print(f"\n{'seconds at freeze depth':<34}" + "".join(f"{depth:>9}" for depth in depths))
    for name, row in contenders.items():
        cells = "".join(f"{row['seconds_by_depth'][depth]:>9.2f}" for depth in depths)
        print(f"{CONTENDERS.get(name, name):<34}{cells}")
    for rival, theirs in rivals.items():
        for name in ("hpo", ONE_PROCESS):
            if name in contenders:
                ours = contenders[name]["seconds_by_depth"]
                ratios = [theirs["seconds_by_depth"][depth] / ours[depth] for depth in depths]
                label = f"{CONTENDERS[rival][:3]} / {CONTENDERS[name][:3]}"
                print(f"{label:<34}" + "".join(f"{ratio:>9.1f}" for ratio in ratios))


def _print_accuracies(results: dict[str, Result]) -> None:
    print("\nfinal validation accuracy, trial by trial")
    by_trial: dict[int, list[Outcome]] = {}
    for result in results.values():
        for outcome in result.outcomes:
            by_trial.setdefault(outcome.trial.number, []).append(outcome)
    for number, row in sorted(by_trial.items()):
        cells = "  ".join(f"{o.contender} {o.accuracies[-1]:.3f}" for o in row)
        print(f"{number:>4}  depth {row[0].trial.freeze_depth:>2}  {cells}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", default="demo", help='a file, a folder of splits, or "demo"')
    parser.add_argument("--tokenizer", type=Path, help="directory of tokenizer files; the demo's")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--train-examples", type=int, default=2000)
    parser.add_argument("--validation-examples", type=int, help="all")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--depths", choices=("all", "shallow", "full"), default="all")
    parser.add_argument("--trials", type=int, default=13)
    # Two: what makes the machine slower and slower meets all alike, as in the order A B B A.
    parser.add_argument("--rounds", type=int, default=2, help="turns that each contender has")
    parser.add_argument(
        "--threads", type=int, default=2, help="of a contender's processes together"
    )
    parser.add_argument(
        "--contenders", nargs="+", choices=tuple(CONTENDERS), default=list(CONTENDERS)
    )
    parser.add_argument("--ablate", action="store_true", help="hpo again without each trick")
    parser.add_argument("--output", type=Path, help="where to write everything as JSON")
    parser.add_argument("--verbose", action="store_true", help="show what contenders print")
    options = parser.parse_args()
    results = race(options)
    print_tables(results)
    if options.output:
        document = {
            "options": {key: str(value) for key, value in vars(options).items()},
            "contenders": summary(results),
            "outcomes": [asdict(outcome) for r in results.values() for outcome in r.outcomes],
        }
        options.output.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
