"""What `craft.py` and `craft_ensembles.py` measured: a line a run in a file, and their table."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median, stdev

from craft_data import DATASETS


@dataclass(frozen=True)
class Run:
    """One technique on one data set with one seed.

    Attributes:
        score: On the test split.
        validation: The score by which it was chosen.
        seconds: Of one core.
    """

    data: str
    technique: str
    seed: int
    score: float
    validation: float
    seconds: float


class Runs:
    """Those of earlier calls and of this one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.all = [Run(**json.loads(line)) for line in lines]

    def has(self, data: str, technique: str, seed: int) -> bool:
        """Whether it need not be run again."""
        return any(
            (run.data, run.technique, run.seed) == (data, technique, seed) for run in self.all
        )

    def add(self, run: Run) -> None:
        """Keep a run at once, whatever becomes of the next."""
        self.all.append(run)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(run)) + "\n")
        print(
            f"{run.data} {run.technique} {run.seed}: {run.score:.4f}, {run.seconds:.1f} s",
            flush=True,
        )


def table(runs: Iterable[Run], techniques: Iterable[str], baseline: str) -> str:
    """A row for each technique, a column for each data set, in Markdown.

    A cell is the mean difference from the baseline in percentage points, its standard error over the
    seeds, how many times as long it took, and how many seeds it has, where these are fewer.
    """
    by_cell: dict[tuple[str, str], dict[int, Run]] = {}
    for run in runs:
        by_cell.setdefault((run.technique, run.data), {})[run.seed] = run
    shown = [data for data in DATASETS if (baseline, data) in by_cell]
    lines = [f"| technique | {' | '.join(shown)} |", f"|---|{'---|' * len(shown)}"]
    for technique in techniques:
        found = [(by_cell.get((technique, data), {}), by_cell[baseline, data]) for data in shown]
        cells = [_cell(runs_of, base, technique == baseline) for runs_of, base in found]
        if any(cells):
            lines.append(f"| {technique} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(runs: Mapping[int, Run], base: Mapping[int, Run], is_baseline: bool) -> str:
    if is_baseline:
        scores = [100 * run.score for run in runs.values()]
        return f"{mean(scores):.1f} ± {_error(scores):.1f}, {_seconds(runs):.1f} s"
    paired = sorted(runs.keys() & base.keys())
    if not paired:
        return ""
    gains = [100 * (runs[seed].score - base[seed].score) for seed in paired]
    cost = _seconds(runs) / _seconds(base)
    seeds = f" ({len(paired)} seeds)" if len(paired) < len(base) else ""
    return f"{mean(gains):+.1f} ± {_error(gains):.1f}, {cost:.1f}x{seeds}"


def _error(values: list[float]) -> float:
    return stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")


def _seconds(runs: Mapping[int, Run]) -> float:
    return median(run.seconds for run in runs.values())


def craft_options(
    description: str | None, techniques: Iterable[str], output: str
) -> argparse.Namespace:
    """The command line: where data and model are, and what of the table is to be run."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    parser.add_argument(
        "--model", type=Path, default=Path("../shared/models/gpt2-reviews"), metavar="DIR"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--on", nargs="+", choices=list(DATASETS), default=list(DATASETS))
    parser.add_argument("--only", nargs="+", choices=list(techniques), default=list(techniques))
    parser.add_argument("--output", type=Path, default=Path(output), help="one line a run")
    return parser.parse_args()
