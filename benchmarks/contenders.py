"""One contender of vs_trainer.py in a process of its own: it runs the trials it is told, one by one.

Reads a JSON line for each trial on standard input and answers with a JSON line on standard output.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from ablations import ABLATIONS, TABLE_ROWS
from random_gpt2 import tokens_of

from hpo.data.tokens import TokenizedData, TokenizedSplit
from hpo.execution.machine_resources import available_gpus, divide

EVALUATIONS_PER_EPOCH = 4
WEIGHT_DECAY, WARMUP_RATIO, MAX_GRAD_NORM = 0.01, 0.1, 1.0

RunTrial = Callable[[Mapping[str, Any]], list[float]]
"""A trial's parameters -> the validation accuracy at each evaluation."""


# -- hpo


def hpo(model_folder: Path, data: TokenizedData, out: Path, without: str | None) -> RunTrial:
    """The engine as `hpo.run` uses it: cold cache, checkpoints when due, trained weights stored.

    out: a folder that its processes share.
    """
    from hpo.model.feature_cache import FeatureCache
    from hpo.model.frozen_features import FrozenFeatures
    from hpo.model.pretrained import load_pretrained
    from hpo.model.saved import save_trained
    from hpo.spec.training import TrainingSection, TrialParams
    from hpo.tasks.single_label import SINGLE_LABEL
    from hpo.training.checkpoint import CheckpointFile
    from hpo.training.loop import TrialTraining
    from hpo.training.precision import pick_device, pick_dtype
    from hpo.training.result import Verdict
    from hpo.training.trial_context import TrialContext

    if without in ABLATIONS:
        ABLATIONS[without]()
    model = load_pretrained(str(model_folder))
    device = pick_device()
    dtype = pick_dtype("auto", device, model.architecture.width)
    features = FrozenFeatures(
        model,
        cache=None if without == "cache" else FeatureCache(out / "cache", 20 * 10**9),
        dtype=torch.float32 if without == "bf16" else dtype,
        device=device,
    )
    settings = TrainingSection(early_stopping=0, evaluations_per_epoch=EVALUATIONS_PER_EPOCH)
    context = TrialContext(model, data, features, SINGLE_LABEL, "accuracy", settings)

    def run(values: Mapping[str, Any]) -> list[float]:
        fixed = {
            "weight_decay": WEIGHT_DECAY,
            "warmup_ratio": WARMUP_RATIO,
            "max_grad_norm": MAX_GRAD_NORM,
        }
        params = TrialParams.model_validate({**fixed, **_only_params(values)})
        trial = TrialTraining(context, params, seed=values["seed"])
        checkpoint = CheckpointFile(out / f"trial-{values['number']}.safetensors", "auto")
        trial.run(lambda _: Verdict.GO_ON, checkpoint=checkpoint)
        folder = out / f"trial-{values['number']}"
        save_trained(
            folder, trial.classifier, SINGLE_LABEL, data.label_names, data.max_length, dict(values)
        )
        checkpoint.remove()
        return [evaluation.metrics["val/accuracy"] for evaluation in trial.history]

    return run


# -- transformers.Trainer


def trainer(model_folder: Path, data: TokenizedData, out: Path, *, tuned: bool) -> RunTrial:
    """`Trainer.hyperparameter_search(backend="optuna")`, as documented or as an expert tunes it.

    Each call goes on with the same study and the same Trainer for one more trial. Nothing is
    pruned, as with hpo: every contender does the whole of every trial.
    """
    import optuna
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        EvalPrediction,
        Trainer,
        TrainingArguments,
    )

    from hpo.training.precision import has_bf16, pick_device

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    current: dict[str, Any] = {}
    accuracies: list[float] = []

    class Replay(optuna.samplers.BaseSampler):
        """Suggests what the fixed list says."""

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return {}

        def sample_relative(self, study: Any, trial: Any, space: Any) -> dict[str, Any]:
            return {}

        def sample_independent(self, study: Any, trial: Any, name: str, space: Any) -> Any:
            return current[name]

    def space(trial: optuna.Trial) -> dict[str, Any]:
        epochs = trial.suggest_int("epochs", 1, 100)
        return {
            "learning_rate": trial.suggest_float("learning_rate", 1e-7, 1, log=True),
            "per_device_train_batch_size": trial.suggest_int("batch_size", 1, 1024),
            "num_train_epochs": epochs,
            "eval_steps": 1 / (EVALUATIONS_PER_EPOCH * epochs),
            "seed": current["seed"],
        }

    def model_init(trial: optuna.Trial | None) -> Any:
        labels = len(data.label_names)
        model = AutoModelForSequenceClassification.from_pretrained(model_folder, num_labels=labels)
        depth = trial.suggest_int("freeze_depth", 0, 48) if trial is not None else 0
        if depth:
            frozen = [model.transformer.wte, model.transformer.wpe, *model.transformer.h[:depth]]
            for part in frozen:
                part.requires_grad_(False)
        return model

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        logits = prediction.predictions
        accuracies.append(float((logits.argmax(-1) == prediction.label_ids).mean()))
        return {"accuracy": accuracies[-1]}

    def rows(split: TokenizedSplit) -> Dataset:
        bounds = zip(split.offsets, split.offsets[1:], strict=False)
        ids = [split.tokens[start:end].tolist() for start, end in bounds]
        columns: dict[str, Any] = {"input_ids": ids, "label": split.labels.tolist()}
        columns["attention_mask"] = [[1] * len(run) for run in ids]
        if tuned:
            columns["length"] = [len(run) for run in ids]
        return Dataset.from_dict(columns)

    device = pick_device()
    tuning: dict[str, Any] = {
        "bf16": has_bf16(device),  # emulated, it takes a hundred times as long
        "train_sampling_strategy": "group_by_length",
        "per_device_eval_batch_size": 64,
        "save_strategy": "no",
    }
    arguments = TrainingArguments(
        output_dir=str(out / "trainer"),
        eval_strategy="steps",
        eval_steps=0.25,
        weight_decay=WEIGHT_DECAY,
        warmup_steps=WARMUP_RATIO,
        max_grad_norm=MAX_GRAD_NORM,
        report_to="none",
        disable_tqdm=True,
        use_cpu=device.type == "cpu",
        **(tuning if tuned else {}),
    )
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.pad_token = tokenizer.eos_token
    one = Trainer(
        model=None,
        args=arguments,
        train_dataset=rows(data.train),
        eval_dataset=rows(data.validation),
        compute_metrics=compute_metrics,
        processing_class=tokenizer,
        model_init=model_init,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    storage = optuna.storages.InMemoryStorage()

    def run(values: Mapping[str, Any]) -> list[float]:
        current.update(values)
        accuracies.clear()
        one.hyperparameter_search(
            hp_space=space,
            compute_objective=lambda metrics: metrics["eval_accuracy"],
            n_trials=1,
            direction="maximize",
            backend="optuna",
            sampler=Replay(),
            pruner=optuna.pruners.NopPruner(),
            storage=storage,
            study_name="replay",
            load_if_exists=True,
        )
        return list(accuracies)

    return run


# -- The process


def _only_params(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in ("seed", "number")}


def make(name: str, model: Path, data: TokenizedData, out: Path) -> RunTrial:
    if name.startswith("trainer"):
        return trainer(model, data, out, tuned=name == "trainer-tuned")
    _, _, without = name.partition("-without-")
    return hpo(model, data, out, without or None)


def written_bytes() -> int:
    """Bytes that this process has had written to disk, through memory maps too."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes"):
            return int(line.split()[1])
    return 0


@contextmanager
def _silent_stdout() -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Standard output is for answers alone: whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(document: Mapping[str, Any]) -> None:
        print(json.dumps(document), file=answers, flush=True)

    yield answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True, help="where it may write")
    parser.add_argument("--train-examples", type=int)
    parser.add_argument("--validation-examples", type=int)
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True, help="processes of this contender")
    parser.add_argument("--threads", type=int, required=True, help="of all of them together")
    options = parser.parse_args()
    divide(options.workers, options.threads, available_gpus())[0].take()
    with _silent_stdout() as answer:
        data = tokens_of(
            options.data,
            options.model,
            train_examples=options.train_examples,
            validation_examples=options.validation_examples,
            max_length=options.max_length,
        )
        from hpo.model.pretrained import load_pretrained

        architecture = load_pretrained(str(options.model)).architecture
        TABLE_ROWS[:] = architecture.vocab_size, architecture.n_positions
        run = make(options.name, options.model, data, options.out)
        answer({"ready": True})
        for line in sys.stdin:
            written, started = written_bytes(), time.perf_counter()
            accuracies = run(json.loads(line))
            seconds = time.perf_counter() - started
            gc.collect()
            answer(
                {
                    "seconds": seconds,
                    "accuracies": accuracies,
                    "written": written_bytes() - written,
                    "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                }
            )


if __name__ == "__main__":
    main()
