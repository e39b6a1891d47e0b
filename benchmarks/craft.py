"""What each technique of fine-tuning does to the test score, and what it costs, beside the baseline.

Every technique is one trial of the same study file with a few keys set, on the same data and seeds as
the baseline, so that differences are paired. Runs that the output holds already are not run again.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median, stdev
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from techniques import BASELINE, DATASETS, TECHNIQUES, Dataset

from hpo.model.saved import TextClassifier
from hpo.runtime.preparation import prepare, trial_params
from hpo.spec.locations import Locations
from hpo.spec.study_file import find_study_file, read_study
from hpo.training.loop import TrialTraining
from hpo.training.result import Verdict

_TEXTS_IN_POOL = 4_000
_TEXTS_HELD_OUT = 1_000
_WEIGHT_DECAY = 0.01


@dataclass(frozen=True)
class Run:
    """One trial. seconds: of one core, for training and evaluations; score: on the test split."""

    data: str
    technique: str
    seed: int
    score: float
    validation: float
    seconds: float


def main() -> None:
    options = _options()
    logging.getLogger("hpo").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    done = list(_read(options.output))
    known = {(run.data, run.technique, run.seed) for run in done}
    names = options.only or list(TECHNIQUES)
    with TemporaryDirectory(prefix="hpo-craft-") as folder:
        for data in options.on or list(DATASETS):
            dataset = DATASETS[data]
            keys = _data_keys(data, dataset, options, Path(folder))
            for technique in (BASELINE, *(name for name in names if name != BASELINE)):
                if technique in dataset.left_out:
                    continue
                for seed in range(options.seeds):
                    if (data, technique, seed) in known:
                        continue
                    run = _run(data, technique, seed, keys)
                    done.append(run)
                    with options.output.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(run)) + "\n")
                    print(
                        f"{data} {technique} {seed}: {run.score:.4f}, {run.seconds:.1f} s",
                        flush=True,
                    )
    print(table(done))


def _run(data: str, technique: str, seed: int, keys: Mapping[str, object]) -> Run:
    overrides: dict[str, object] = {
        **keys,
        **DATASETS[data].keys,
        **TECHNIQUES[technique],
        "study.seed": seed,
    }
    overrides["search.space"] = {"weight_decay": [_WEIGHT_DECAY]}  # something has to be searched
    spec = read_study(find_study_file("quickstart"), overrides)
    context = prepare(spec, Locations.of()).context
    metric, tokens = spec.study.metric, context.data
    trial = TrialTraining(context, trial_params(spec, {"weight_decay": _WEIGHT_DECAY}), seed=seed)
    for stage in trial.stages:  # whose frozen part is computed once for all trials of a study
        for inputs in (*stage.train.values(), stage.validation):
            inputs.batch(inputs.stored(np.arange(1)))
    started = time.process_time()
    result = trial.run(lambda _evaluation: Verdict.GO_ON)
    seconds = time.process_time() - started
    classifier = TextClassifier.of(
        trial.classifier, context.features, trial.tuned_task, tokens.label_names, tokens.max_length
    )
    found = classifier.probabilities(tokens.test, f"{tokens.fingerprint}:test")
    scores = context.task.metrics(found, tokens.test.labels, [metric])
    return Run(data, technique, seed, scores[metric], result.value, seconds)


def _data_keys(
    name: str, dataset: Dataset, options: argparse.Namespace, folder: Path
) -> Mapping[str, object]:
    """What says where the data and the model are; of large files, a part is read in their place."""
    if dataset.folder is None:
        return {"data.source": "demo", "model.name": "demo"}
    part = folder / name
    if not part.exists():
        part.mkdir()
        for split, most in (("train", _TEXTS_IN_POOL), ("test", _TEXTS_HELD_OUT)):
            [path] = (options.data / dataset.folder).glob(f"{split}.*")
            rows = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
            rows.sample(min(most, len(rows)), random_state=0).to_csv(
                part / f"{split}.csv", index=False
            )
    return {
        "data.source": str(part),
        "data.max_train_examples": 1_000,
        "data.validation_fraction": 0.125,
        "model.name": str(options.model),
    }


def table(runs: Iterable[Run]) -> str:
    """A row for each technique, a column for each data set, in Markdown.

    A cell is the mean difference from the baseline in percentage points, its standard error over the
    seeds, and how many times as long it took.
    """
    by_cell: dict[tuple[str, str], dict[int, Run]] = {}
    for run in runs:
        by_cell.setdefault((run.technique, run.data), {})[run.seed] = run
    shown = [data for data in DATASETS if (BASELINE, data) in by_cell]
    lines = [f"| technique | {' | '.join(shown)} |", f"|---|{'---|' * len(shown)}"]
    for technique in TECHNIQUES:
        cells = [_cell(by_cell, technique, data) for data in shown]
        if any(cells):
            lines.append(f"| {technique} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(by_cell: Mapping[tuple[str, str], Mapping[int, Run]], technique: str, data: str) -> str:
    runs, base = by_cell.get((technique, data)), by_cell[BASELINE, data]
    if runs is None:
        return ""
    if technique == BASELINE:
        scores = [100 * run.score for run in runs.values()]
        return f"{mean(scores):.1f} ± {_error(scores):.1f}, {_seconds(runs):.1f} s"
    paired = sorted(runs.keys() & base.keys())
    gains = [100 * (runs[seed].score - base[seed].score) for seed in paired]
    cost = _seconds(runs) / _seconds(base)
    return f"{mean(gains):+.1f} ± {_error(gains):.1f}, {cost:.1f}x"


def _error(values: list[float]) -> float:
    return stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")


def _seconds(runs: Mapping[int, Run]) -> float:
    return median(run.seconds for run in runs.values())


def _read(path: Path) -> Iterator[Run]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield Run(**json.loads(line))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    parser.add_argument(
        "--model", type=Path, default=Path("../shared/models/gpt2-reviews"), metavar="DIR"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--on", nargs="+", choices=list(DATASETS), help="these data sets alone")
    parser.add_argument("--only", nargs="+", choices=list(TECHNIQUES), help="these alone")
    parser.add_argument("--output", type=Path, default=Path("craft.jsonl"), help="one line a run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
