"""The same trials by transformers.Trainer and by hpo: seconds, by freeze depth, and accuracies.

A fixed list of trials is run by each contender in a process of its own, in turns, so that whatever
else the machine does meets all of them alike. Loading and tokenising are off the clock for all;
model set-up, training, evaluations, checkpoints and the building of hpo's cache are on it.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from contenders import ABLATIONS
from random_gpt2 import save_random_gpt2

CONTENDERS = {
    "trainer": "(a) Trainer as documented",
    "trainer-tuned": "(b) Trainer, tuned",
    "hpo": "(c) hpo, cold cache",
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
    """What a contender made of a trial. peak_bytes: of the process so far."""

    contender: str
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


class Process:
    """A contender at work in a process of its own."""

    def __init__(self, name: str, model: Path, options: argparse.Namespace) -> None:
        self.name = name
        command = [sys.executable, str(Path(__file__).with_name("contenders.py")), name]
        command += ["--model", str(model), "--data", options.data]
        command += ["--max-length", str(options.max_length), "--threads", str(options.threads)]
        if options.train_examples:
            command += ["--train-examples", str(options.train_examples)]
        errors = None if options.verbose else subprocess.DEVNULL
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        self._answer()

    def run(self, trial: Planned) -> Outcome:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(trial)) + "\n")
        self._process.stdin.flush()
        return Outcome(self.name, trial, **self._answer())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended without an answer; --verbose shows why")
        return json.loads(line)


def race(options: argparse.Namespace) -> list[Outcome]:
    """All contenders over the fixed list, in turns; ablations, where asked for, after that."""
    trials = plan(options.trials, options.layers, options.depths)
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        model = save_random_gpt2(
            Path(folder),
            layers=options.layers,
            width=options.width,
            heads=options.heads,
            tokenizer=options.tokenizer,
        )
        groups = [options.contenders]
        if options.ablate:
            groups += [[f"hpo-without-{trick}"] for trick in ABLATIONS]
        for names in groups:
            processes = [Process(name, model, options) for name in names]
            for turn, trial in enumerate(trials):
                # Whoever goes first in one turn goes last in the next.
                for process in processes if turn % 2 == 0 else processes[::-1]:
                    outcome = process.run(trial)
                    outcomes.append(outcome)
                    print(_line(outcome), file=sys.stderr, flush=True)
            for process in processes:
                process.close()
    return outcomes


def _line(outcome: Outcome) -> str:
    trial = outcome.trial
    return (
        f"{outcome.contender:<32} trial {trial.number:>2}  depth {trial.freeze_depth:>2}  "
        f"batch {trial.batch_size:>2}  epochs {trial.epochs}  {outcome.seconds:8.2f} s  "
        f"accuracy {outcome.accuracies[-1]:.3f}"
    )


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """Per contender: total seconds, seconds by depth, accuracies, bytes written, peak memory."""
    document: dict[str, Any] = {}
    for name in dict.fromkeys(outcome.contender for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.contender == name]
        depths = sorted({outcome.trial.freeze_depth for outcome in own})
        document[name] = {
            "seconds": sum(outcome.seconds for outcome in own),
            "seconds_by_depth": {
                depth: sum(o.seconds for o in own if o.trial.freeze_depth == depth)
                for depth in depths
            },
            "final_accuracy": mean(outcome.accuracies[-1] for outcome in own),
            "best_accuracy": mean(max(outcome.accuracies) for outcome in own),
            "best_trial": max(own, key=lambda outcome: max(outcome.accuracies)).trial.number,
            "written_bytes": sum(outcome.written for outcome in own),
            "peak_bytes": max(outcome.peak_bytes for outcome in own),
        }
    return document


def print_tables(outcomes: list[Outcome]) -> None:
    contenders = summary(outcomes)
    ours = contenders.get("hpo")
    depths = sorted({outcome.trial.freeze_depth for outcome in outcomes})
    print(f"\n{'':<32}{'total s':>9}{'x hpo':>8}{'final':>8}{'best':>8}{'MB out':>9}{'MB peak':>9}")
    for name, row in contenders.items():
        times = f"{row['seconds'] / ours['seconds']:8.2f}" if ours else " " * 8
        print(
            f"{CONTENDERS.get(name, name):<32}{row['seconds']:>9.1f}{times}"
            f"{row['final_accuracy']:>8.3f}{row['best_accuracy']:>8.3f}"
            f"{row['written_bytes'] / 1e6:>9.0f}{row['peak_bytes'] / 1e6:>9.0f}"
        )
    print(f"\n{'seconds at freeze depth':<32}" + "".join(f"{depth:>9}" for depth in depths))
    for name, row in contenders.items():
        cells = "".join(f"{row['seconds_by_depth'][depth]:>9.2f}" for depth in depths)
        print(f"{CONTENDERS.get(name, name):<32}{cells}")
    if ours:
        for name in ("trainer", "trainer-tuned"):
            if name in contenders:
                theirs = contenders[name]["seconds_by_depth"]
                cells = [f"{theirs[d] / ours['seconds_by_depth'][d]:>9.1f}" for d in depths]
                print(f"{name + ' / hpo':<32}" + "".join(cells))
    print("\nfinal validation accuracy, trial by trial")
    for number in sorted({outcome.trial.number for outcome in outcomes}):
        row = [outcome for outcome in outcomes if outcome.trial.number == number]
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
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--depths", choices=("all", "shallow", "full"), default="all")
    parser.add_argument("--trials", type=int, default=13)
    parser.add_argument("--threads", type=int, default=2, help="of each contender")
    parser.add_argument(
        "--contenders", nargs="+", choices=tuple(CONTENDERS), default=list(CONTENDERS)
    )
    parser.add_argument("--ablate", action="store_true", help="hpo again without each trick")
    parser.add_argument("--output", type=Path, help="where to write everything as JSON")
    parser.add_argument("--verbose", action="store_true", help="show what contenders print")
    options = parser.parse_args()
    outcomes = race(options)
    print_tables(outcomes)
    if options.output:
        document = {
            "options": {key: str(value) for key, value in vars(options).items()},
            "contenders": summary(outcomes),
            "outcomes": [asdict(outcome) for outcome in outcomes],
        }
        options.output.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
