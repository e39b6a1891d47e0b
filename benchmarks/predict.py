"""How fast files are labelled: `hpo.predict` from end to end, the engine alone, and transformers' pipeline.

All of them label the same distinct lines with the same model. `hpo.predict` is a process of its own, whose
rate, as it tells it, holds reading, tokens, the model and writing; the engine has its tokens already.
Where other work takes the machine's cores in turns, `--processor-time` counts what each took of them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hpo.data.tokens import tokenize_texts
from hpo.demo import DEMO_MODEL_DIR
from hpo.demo.grammar import unlabelled_texts
from hpo.model.saved import TextClassifier
from hpo.tracking.loading import load_folder

BATCH_SIZES = (1, 8, 32, 128)
Clock = Callable[[], float]
_TOLD = re.compile(r"\(([\d,]+) rows/s\)")


@dataclass(frozen=True)
class Rates:
    """Lines a second, of the clock or of one processor, medians over the rounds."""

    lines: int
    rounds: int
    threads: int
    processor_time: bool
    predict: float
    engine: float
    pipeline: float
    pipeline_batch_size: int


def classifier_on(base: Path, folder: Path) -> Path:
    """A classifier with a random head, over a pretrained model, as transformers writes it."""
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_lines(path: Path, count: int, words: int) -> None:
    """So many distinct lines of the demo's reviews, of at most so many words."""
    texts = islice(unlabelled_texts(count, seed=0), count)
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts):
            file.write(" ".join([str(number), *text.split()[: words - 1]]) + "\n")


@dataclass(frozen=True)
class Run:
    """What `hpo.predict` took as a process of its own.

    Attributes:
        rate: Lines a second, as it told it.
        processor_seconds: Of all its threads, with its start.
        peak_mb: The most memory that it had.
    """

    rate: float
    processor_seconds: float
    peak_mb: float


def predict(model: Path, lines: Path, threads: int) -> Run:
    """Label a file in a process of its own."""
    command = [sys.executable, "-m", "hpo.predict", "--model", str(model), "--overwrite"]
    command += ["--input", str(lines), "--output", str(lines.with_suffix(".csv"))]
    with tempfile.TemporaryFile("w+") as said:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        process = subprocess.Popen(command, stderr=said, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        told = said.read()
    if process.returncode:
        raise RuntimeError(told)
    (rate,) = _TOLD.findall(told)
    seconds = usage.ru_utime + usage.ru_stime
    return Run(float(rate.replace(",", "")), seconds, usage.ru_maxrss / 1024)


def predict_rate(model: Path, lines: Path, options: argparse.Namespace) -> float:
    """Lines a second of `hpo.predict`, without its start."""
    run = predict(model, lines, options.threads)
    if not options.processor_time:
        return run.rate
    start = predict(model, one_line(lines, options.words), options.threads)
    return float(options.lines / (run.processor_seconds - start.processor_seconds))


def one_line(beside: Path, words: int) -> Path:
    """A file of one line."""
    path = beside.with_name("one.txt")
    write_lines(path, 1, words)
    return path


def engine_rate(model: Path, lines: list[str], clock: Clock) -> float:
    """Lines a second of the engine's evaluation of texts whose tokens are there."""
    classifier = load_folder(model, str(model))
    assert isinstance(classifier, TextClassifier)
    split = tokenize_texts(lines, classifier.model.tokenizer, max_length=classifier.max_length)
    classifier.classify(lines[:100])
    started = clock()
    with torch.inference_mode():  # as `hpo.predict` has it
        classifier.probabilities(split, "")
    return len(lines) / (clock() - started)


def pipeline_rate(model: Path, lines: list[str], batch_size: int, clock: Clock) -> float:
    """Lines a second of transformers' pipeline."""
    classify = pipeline("text-classification", str(model), truncation=True, top_k=None)
    classify(lines[:100], batch_size=batch_size)
    started = clock()
    classify(lines, batch_size=batch_size)
    return len(lines) / (clock() - started)


def measure(options: argparse.Namespace, model: Path, file: Path) -> Rates:
    """All three in turns, `options.rounds` times."""
    lines = file.read_text(encoding="utf-8").splitlines()
    few = lines[: options.pipeline_lines]
    clock = time.process_time if options.processor_time else time.perf_counter
    best = max(BATCH_SIZES, key=lambda size: pipeline_rate(model, few[:1000], size, clock))
    rounds = [
        (
            predict_rate(model, file, options),
            engine_rate(model, lines, clock),
            pipeline_rate(model, few, best, clock),
        )
        for _ in range(options.rounds)
    ]
    ours, alone, theirs = map(statistics.median, zip(*rounds, strict=True))
    how = options.lines, options.rounds, options.threads, options.processor_time
    return Rates(*how, ours, alone, theirs, best)


def print_memory(options: argparse.Namespace, model: Path, file: Path) -> None:
    """What `hpo.predict` takes for the file beyond what it takes for a line."""
    whole = predict(model, file, options.threads)
    one = predict(model, one_line(file, options.words), options.threads)
    print(
        f"{options.lines:,} lines at {whole.rate:,.0f} lines/s: {whole.peak_mb:,.0f} MB at the peak, "
        f"{one.peak_mb:,.0f} MB for one line"
    )


def print_rates(rates: Rates) -> None:
    """Lines a second, and their ratios."""
    of_engine, of_pipeline = rates.predict / rates.engine, rates.predict / rates.pipeline
    second = "second of one core" if rates.processor_time else "second"
    print(
        f"{rates.lines:,} lines, median of {rates.rounds}, {rates.threads} threads, lines a {second}"
    )
    print(f"hpo.predict    {rates.predict:10,.0f}")
    print(f"engine alone   {rates.engine:10,.0f}  predict is {of_engine:.2f} of it")
    print(f"pipeline       {rates.pipeline:10,.0f}  predict is {of_pipeline:.1f} times it", end="")
    print(f" at its best batch size, {rates.pipeline_batch_size}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, help="folder of a classifier (the demo's, with a random head)"
    )
    parser.add_argument("--base", type=Path, help="or of a pretrained model, under a random head")
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--words", type=int, default=12, help="most words of a line")
    parser.add_argument(
        "--pipeline-lines", type=int, default=5_000, help="of them, for the pipeline"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="rates by the processors' time, not the clock's",
    )
    parser.add_argument("--memory", action="store_true", help="the memory of hpo.predict alone")
    parser.add_argument("--output", type=Path, help="JSON of the figures")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model or classifier_on(options.base or DEMO_MODEL_DIR, folder / "model")
        write_lines(folder / "lines.txt", options.lines, options.words)
        if options.memory:
            print_memory(options, model, folder / "lines.txt")
            return
        rates = measure(options, model, folder / "lines.txt")
    if options.output:
        options.output.write_text(json.dumps(asdict(rates), indent=2))
    print_rates(rates)


if __name__ == "__main__":
    main()
