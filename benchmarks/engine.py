"""How fast the engine trains at each freeze depth, and how near the hardware's limit.

Each cell of the table is a process of its own: it trains for some steps on random texts of like
lengths to real ones, and measures the peak of matrix products in the same dtype before and after.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from random_gpt2 import save_random_gpt2, tokens_of

from hpo.data.batches import epoch_batches
from hpo.data.sealed import Sealed
from hpo.data.tokens import TokenizedData, TokenizedSplit
from hpo.model import matmuls, packed
from hpo.model.family import Architecture
from hpo.model.feature_cache import FeatureCache
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.pretrained import load_pretrained
from hpo.spec.training import TrainingSection, TrialParams
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.training.loop import TrialTraining
from hpo.training.precision import pick_device, pick_dtype
from hpo.training.result import Verdict
from hpo.training.trial_context import TrialContext

SIZES = {"small": (6, 256, 4), "real": (12, 768, 12)}
TEXTS = {"short": 25, "long": 200}  # mean tokens; SST-2 has about 25, IMDB cut to 256 about 215
PEAK_SIZES = {"cpu": (1024, 2048, 3072), "cuda": (4096, 8192)}
_PRODUCTS_A_TIME = {"cpu": 1, "cuda": 20}  # a GPU is waited for once, however many there are


@dataclass(frozen=True)
class Cell:
    """What one process measured.

    steps: how many were measured, one after another in the middle of a trial; share_of_peak: FLOPs
    executed / time / peak matrix product of the same dtype in the same process; products_share: what
    a block's products reach by themselves, in the step's shapes; naive_share: as share_of_peak, with
    the FLOPs that a pass without cache, packing and last-token suffix would have needed, which may
    exceed 1; build_seconds: of the cache, from cold; warm_seconds: of opening it again;
    first_seconds: of the first trial's training, in which kernels are made, and compiled where that
    was asked for.
    """

    size: str
    texts: str
    freeze_depth: int
    dtype: str
    steps: int
    tokens_per_second: float
    milliseconds_per_step: float
    peak_gflops: float
    share_of_peak: float
    products_share: float
    naive_share: float
    build_seconds: float
    warm_seconds: float
    first_seconds: float
    peak_memory_bytes: int


def random_data(mean_length: int, texts: int, vocabulary: int) -> TokenizedData:
    """Texts whose lengths and words are spread as in natural text: gamma, and Zipf's law."""
    random = np.random.default_rng(0)

    def split(count: int) -> TokenizedSplit:
        lengths = np.clip(random.gamma(4, mean_length / 4, count).round(), 2, 1000).astype(int)
        offsets = np.cumsum([0, *lengths]).astype(np.int64)
        tokens = (random.zipf(1.2, offsets[-1]) % vocabulary).astype(np.int32)
        return TokenizedSplit(tokens, offsets, random.integers(0, 2, count))

    fingerprint = f"random-{mean_length}-{texts}"
    return TokenizedData(split(texts), split(8), Sealed(split(8)), ("a", "b"), fingerprint, 1000)


def peak_gflops(dtype: torch.dtype, device: torch.device, seconds: float = 1.0) -> float:
    """The best rate of a square matrix product, over sizes and repetitions."""
    best = 0.0
    for size in PEAK_SIZES[device.type]:
        a = torch.randn(size, size, device=device).to(dtype)
        best = max(best, 2 * size**3 / _fastest_product(a, a, seconds) / 1e9)
    return best


def products_gflops(
    architecture: Architecture, tokens: int, dtype: torch.dtype, device: torch.device
) -> float:
    """The rate of a block's four products of weights alone, forward and backward, for `tokens`."""
    width, inner = architecture.width, architecture.inner_width
    flops = seconds = 0.0
    for rows, columns in ((width, 3 * width), (width, width), (width, inner), (inner, width)):
        x = torch.randn(tokens, rows, device=device).to(dtype)
        weight = torch.randn(rows, columns, device=device).to(dtype)
        gradient = torch.randn(tokens, columns, device=device).to(dtype)
        for left, right in ((x, weight), (gradient, weight.t()), (x.t(), gradient)):
            flops += 2 * tokens * rows * columns
            seconds += _fastest_product(left, right)
    return flops / seconds / 1e9


def _fastest_product(left: torch.Tensor, right: torch.Tensor, seconds: float = 0.2) -> float:
    """Seconds of the fastest repetition."""
    fastest = float("inf")
    count = _PRODUCTS_A_TIME[left.device.type]
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        _synchronize(left.device)
        started = time.perf_counter()
        for _ in range(count):
            left @ right
        _synchronize(left.device)
        fastest = min(fastest, (time.perf_counter() - started) / count)
    return fastest


def executed_flops(architecture: Architecture, lengths: np.ndarray, depth: int) -> float:
    """FLOPs of matrix products for one step over texts of these lengths, forward and backward.

    Attention counts the causal half alone. Frozen blocks come from the cache and cost nothing.
    """
    width, inner, heads = architecture.width, architecture.inner_width, architecture.n_head
    n_layer, tokens, texts = architecture.n_layer, lengths.sum(), len(lengths)
    per_token = 2 * (4 * width**2 + 2 * width * inner)
    block = per_token * tokens + 2 * width * float((lengths**2).sum())
    # Of each text: query, key's transpose, value, output, MLP; of each token: two products a head.
    last = texts * per_token + 4 * heads * width * tokens
    full_blocks = max(0, n_layer - 1 - depth)
    return float(3 * (full_blocks * block + (last if depth < n_layer else 0)))


def naive_flops(architecture: Architecture, lengths: np.ndarray, depth: int) -> float:
    """FLOPs of the step without the engine's tricks, but with lengths as well matched as here."""
    width, inner = architecture.width, architecture.inner_width
    cells = len(lengths) * lengths.max()
    block = 2 * (4 * width**2 + 2 * width * inner) * cells
    block += 4 * width * len(lengths) * float(lengths.max()) ** 2
    return float(block * (architecture.n_layer + 2 * (architecture.n_layer - depth)))


def measure(options: argparse.Namespace) -> Cell:
    """One cell, in this process."""
    torch.set_num_threads(options.threads)
    if options.compile:
        # Shapes change from step to step; without this every one would be compiled anew.
        packed.block = torch.compile(packed.block, dynamic=True)
        torch._dynamo.config.recompile_limit = 100  # blocks differ in index, dropout, gradients
        matmuls._FUSES_BF16 = False  # evaluations: the compiler knows no such call of oneDNN
    device = pick_device()
    model = load_pretrained(options.model)
    architecture = model.architecture
    dtype = pick_dtype(options.precision, device, architecture.width)
    texts = options.batch_size * options.steps
    if options.data:
        data = tokens_of(options.data, Path(options.model), train_examples=texts, max_length=256)
    else:
        data = random_data(TEXTS[options.texts], texts, architecture.vocab_size)
    settings = TrainingSection(early_stopping=0, evaluations_per_epoch=1)
    params = TrialParams(batch_size=options.batch_size, epochs=1, freeze_depth=options.depth)

    def trial(cache: FeatureCache) -> tuple[TrialTraining, float]:
        features = FrozenFeatures(model, cache=cache, dtype=dtype, device=device)
        started = time.perf_counter()
        made = TrialTraining(
            TrialContext(model, data, features, SINGLE_LABEL, "accuracy", settings), params, seed=0
        )
        return made, time.perf_counter() - started

    peak = peak_gflops(dtype, device)
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder), 50 * 10**9)
        # The first trial pays for pages, kernels and, in build_seconds, the cache.
        warm_up, build_seconds = trial(cache)
        started = time.perf_counter()
        warm_up.run(lambda _: Verdict.GO_ON)
        first_seconds = time.perf_counter() - started
        del warm_up  # as in a worker, where one trial's memory is the next one's
        measured, warm_seconds = trial(cache)
        seconds = steady_seconds(measured, device)
    peak = max(peak, peak_gflops(dtype, device))
    lengths = data.train.lengths
    batches = epoch_batches(lengths, options.batch_size, seed=0, epoch=0)[1:-1]
    tokens = sum(int(lengths[b].sum()) for b in batches)
    products = products_gflops(architecture, tokens // len(batches), dtype, device)
    executed = sum(executed_flops(architecture, lengths[b], options.depth) for b in batches)
    naive = sum(naive_flops(architecture, lengths[b], options.depth) for b in batches)
    return Cell(
        size=options.size,
        texts=options.data or options.texts,
        freeze_depth=options.depth,
        dtype=str(dtype).removeprefix("torch."),
        steps=len(batches),
        tokens_per_second=tokens / seconds,
        milliseconds_per_step=1e3 * seconds / len(batches),
        peak_gflops=peak,
        share_of_peak=executed / seconds / 1e9 / peak,
        products_share=products / peak,
        naive_share=naive / seconds / 1e9 / peak,
        build_seconds=build_seconds if options.depth else 0.0,
        warm_seconds=warm_seconds,
        first_seconds=first_seconds,
        peak_memory_bytes=_peak_memory(device),
    )


def steady_seconds(trial: TrialTraining, device: torch.device) -> float:
    """What a trial's steps take without the first and the last.

    In the first the optimiser makes its state, once a trial; after the last comes an evaluation.
    """
    ends: list[float] = []

    def note_end() -> bool:
        if len(ends) in (0, trial.steps - 2):
            _synchronize(device)
        ends.append(time.perf_counter())
        return False

    trial.run(lambda _: Verdict.GO_ON, should_stop=note_end)
    return ends[-1] - ends[0]


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def cells(options: argparse.Namespace) -> list[Cell]:
    """Every cell that was asked for, each in a process of its own."""
    found = []
    for size in options.sizes:
        layers, width, heads = SIZES[size]
        depths = options.depths if options.depths is not None else range(layers + 1)
        with tempfile.TemporaryDirectory() as folder:
            model = save_random_gpt2(
                Path(folder), layers=layers, width=width, heads=heads, tokenizer=options.tokenizer
            )
            for texts in ["data"] if options.data else options.lengths:
                for depth in depths:
                    command = [sys.executable, __file__, "--size", size, "--model", str(model)]
                    command += ["--texts", texts, "--depth", str(depth)]
                    for name in ("threads", "steps", "batch_size", "precision"):
                        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
                    if options.data:
                        command += ["--data", options.data]
                    if options.compile:
                        command += ["--compile"]
                    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                    cell = Cell(**json.loads(answer.stdout.splitlines()[-1]))
                    found.append(cell)
                    print_cell(cell, header=len(found) == 1)
    return found


def print_cell(cell: Cell, *, header: bool) -> None:
    columns: dict[str, Any] = {
        "size": cell.size,
        "texts": Path(cell.texts).name,
        "depth": cell.freeze_depth,
        "dtype": cell.dtype,
        "tokens/s": f"{cell.tokens_per_second:,.0f}",
        "ms/step": f"{cell.milliseconds_per_step:.2f}",
        "GFLOP/s peak": f"{cell.peak_gflops:,.0f}",
        "of peak": f"{cell.share_of_peak:.0%}",
        "products": f"{cell.products_share:.0%}",
        "naive": f"{cell.naive_share:.0%}",
        "cold s": f"{cell.build_seconds:.2f}",
        "warm s": f"{cell.warm_seconds:.2f}",
        "first s": f"{cell.first_seconds:.2f}",
        "MB": f"{cell.peak_memory_bytes / 1e6:,.0f}",
    }
    widths = [max(len(name), 8) for name in columns]
    if header:
        print("  ".join(f"{n:>{w}}" for n, w in zip(columns, widths, strict=True)))
    row = "  ".join(f"{v:>{w}}" for v, w in zip(columns.values(), widths, strict=True))
    print(row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", help="a file or folder of texts instead of random ones")
    parser.add_argument("--tokenizer", type=Path, help="directory of tokenizer files; the demo's")
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=list(SIZES))
    parser.add_argument("--lengths", nargs="+", choices=tuple(TEXTS), default=list(TEXTS))
    parser.add_argument("--depths", nargs="+", type=int, help="freeze depths; all")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=14, help="of a trial; the ends do not count")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--compile", action="store_true", help="blocks through torch.compile")
    parser.add_argument("--output", type=Path, help="where to write the cells as JSON")
    one = parser.add_argument_group("one cell (used by the runner itself)")
    one.add_argument("--model")
    one.add_argument("--size")
    one.add_argument("--texts")
    one.add_argument("--depth", type=int)
    options = parser.parse_args()
    if options.steps < 3:
        parser.error(f"--steps {options.steps}: the ends do not count, so a trial needs 3")
    if options.model:
        print(json.dumps(asdict(measure(options))))
        return
    found = cells(options)
    if options.output:
        options.output.write_text(json.dumps([asdict(cell) for cell in found], indent=1))


if __name__ == "__main__":
    main()
