"""What recording training passes as CUDA graphs saves: whole trials on a GPU, recorded and plain."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from engine import SIZES
from random_gpt2 import save_random_gpt2, tokens_of

from hpo.model.feature_cache import FeatureCache
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.pretrained import load_pretrained
from hpo.spec.training import TrainingSection, TrialParams
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.training.cuda_graphs import RecordedPasses
from hpo.training.loop import TrialTraining
from hpo.training.precision import pick_device, pick_dtype
from hpo.training.result import TrialResult, Verdict
from hpo.training.trial_context import TrialContext


@dataclass(frozen=True)
class Row:
    """One freeze depth: milliseconds a step of a whole trial, evaluations and recording included."""

    size: str
    freeze_depth: int
    steps: int
    first: float  # of the first trial of this depth, in which libraries are made ready too
    recorded: float
    plain: float
    equal: bool  # whether all gave the same probabilities, bit for bit
    peak_memory_bytes: int


def measure(size: str, folder: Path, options: argparse.Namespace) -> list[Row]:
    """A row for each freeze depth of a size."""
    layers, width, heads = SIZES[size]
    folder = save_random_gpt2(
        folder, layers=layers, width=width, heads=heads, tokenizer=options.tokenizer
    )
    model, device = load_pretrained(str(folder)), pick_device()
    data = tokens_of(options.data, folder, train_examples=options.train_examples, max_length=128)
    cache = FeatureCache(folder / "cache", 20 * 10**9)
    features = FrozenFeatures(
        model, cache=cache, dtype=pick_dtype("auto", device, width), device=device
    )
    settings = TrainingSection(early_stopping=0, evaluations_per_epoch=1)
    context = TrialContext(model, data, features, SINGLE_LABEL, "accuracy", settings)
    return [_row(size, depth, context, options) for depth in sorted({0, layers // 2, layers - 1})]


def _row(size: str, depth: int, context: TrialContext, options: argparse.Namespace) -> Row:
    params = TrialParams(batch_size=options.batch_size, epochs=options.epochs, freeze_depth=depth)
    torch.cuda.reset_peak_memory_stats()
    TrialTraining(context, params, seed=0)  # makes the cache
    first, _, steps = _trial(context, params, records=True)
    recorded, one, _ = _trial(context, params, records=True)
    peak = torch.cuda.max_memory_allocated()
    plain, other, _ = _trial(context, params, records=False)
    equal = bool((one.probabilities == other.probabilities).all())
    row = Row(size, depth, steps, first, recorded, plain, equal, peak)
    print(
        f"{size:>6}{depth:>7}{first:>11.2f}{recorded:>11.2f}{plain:>11.2f}{plain / recorded:>8.1f}"
        f"{'yes' if equal else 'NO':>7}{peak / 1e6:>8,.0f}",
        flush=True,
    )
    return row


def _trial(
    context: TrialContext, params: TrialParams, *, records: bool
) -> tuple[float, TrialResult, int]:
    """Milliseconds a step, the result, and how many steps there were."""
    trial = TrialTraining(context, params, seed=0)
    assert isinstance(trial.training_pass, RecordedPasses)
    trial.training_pass._records = records
    torch.cuda.synchronize()
    started = time.perf_counter()
    result = trial.run(lambda _: Verdict.GO_ON)
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - started) / trial.steps, result, trial.steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", default="demo", help='a file, a folder of splits, or "demo"')
    parser.add_argument("--tokenizer", type=Path, help="directory of tokenizer files; the demo's")
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=list(SIZES))
    parser.add_argument("--train-examples", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--output", type=Path, help="where to write the rows as JSON")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no GPU here that PyTorch can use")
    print(f"{'size':>6}{'depth':>7}{'first':>11}{'recorded':>11}{'plain':>11}{'times':>8}", end="")
    print(f"{'equal':>7}{'MB':>8}   (milliseconds a step)")
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for size in options.sizes for row in measure(size, Path(folder, size), options)]
    if options.output:
        options.output.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
