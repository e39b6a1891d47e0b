"""What a trial costs beyond its training, at 10, 100 and 1,000 finished trials; and what 50 trials leave on disk.

    python benchmarks/overhead.py               # the cost
    python benchmarks/overhead.py --artifacts   # 50 trials at GPT-2's real size, trained by a stub

The cost: real trials of a real session (TPE, the median pruner, SQLite, a local MLflow store, twelve
evaluations, as many checkpoints as a trial of 30 s has), with training steps and evaluations taken off.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import torch
from prefill import add_finished_trials, set_budget

import hpo.runtime.study_work as study_work
import hpo.runtime.trial_report as trial_report
import hpo.training.evaluate as evaluation
import hpo.training.loop as loop
from hpo.leases.claims import Claim
from hpo.runtime.finish import finish_study, tidy
from hpo.runtime.preparation import prepare
from hpo.runtime.session import Session, open_session
from hpo.spec.locations import Locations
from hpo.spec.study import StudySpec
from hpo.storage.storage import open_storage
from hpo.studies.registration import submit
from hpo.studies.studies import open_study
from hpo.tracking.tracker import StudyTracker
from hpo.tracking.trial_run import TrialRun
from hpo.training.checkpoint import CheckpointFile

TRIAL_SECONDS = 30.0
EPOCHS, EVALUATIONS_PER_EPOCH = 3, 4

# Functions whose time is no training, by what they are for. Those within others count there.
PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "claim": ((study_work, "claim_trial"),),
    "sampling": ((Claim, "suggest"),),
    "set-up of the trial": ((loop.TrialTraining, "__init__"),),
    "storage": (
        (Claim, "report"),
        (Claim, "should_prune"),
        (Claim, "set_user_attrs"),
        (Claim, "finish"),
        (Claim, "forget_reports_after"),
    ),
    "outbox": (
        (StudyTracker, "start_trial"),
        (TrialRun, "log"),
        (TrialRun, "log_text"),
        (TrialRun, "finish"),
        (TrialRun, "log_model"),
    ),
    "checkpoints": ((CheckpointFile, "write"), (CheckpointFile, "remove")),
    "model": ((study_work, "keep_trained"),),
    "notes and figures": (
        (trial_report, "draw_confusion"),
        (study_work, "show_with_trial"),
        (study_work, "present_trial"),
        (study_work, "present_study"),
        (study_work, "leaderboard"),
    ),
}
TRAINING = ((loop.TrialTraining, "_train_step"), (loop.TrialTraining, "_evaluate"))


@dataclass(frozen=True)
class Cost:
    """Medians over trials, in ms. other_threads: CPU time of the heartbeat and of sending to MLflow."""

    finished: int
    overhead: float
    parts: dict[str, float]
    other_threads: float
    share_of_30_s: float


def main() -> int:
    options = _options()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="hpo-bench-") as folder:
        if options.artifacts:
            return _artifacts(Path(folder), options)
        return _costs(Path(folder), options)


def _costs(folder: Path, options: argparse.Namespace) -> int:
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "import hpo.runtime.session, mlflow.tracking"], check=True
    )
    imports = time.perf_counter() - begun
    costs: list[Cost] = []
    _write_checkpoints_as_in_half_a_minute()
    clock = _Clock()
    opening = []
    for finished in options.finished:
        place = folder / str(finished)
        place.mkdir()
        begun = time.perf_counter()
        # The pruner looks at everything, and prunes nothing: every trial is whole.
        pruner = {"name": "median", "n_warmup_steps": 10**6}
        with _opened(_spec(10**6, pruner=pruner), _locations(place)) as session:
            opening.append(time.perf_counter() - begun)
            add_finished_trials(session.study, finished, reports=EPOCHS * EVALUATIONS_PER_EPOCH)
            set_budget(session.study.storage, session.study, 10**6)
            costs.append(_cost(session, finished, options.trials, clock))
    _show_costs(costs)
    print(
        f"once a worker: imports {imports:.1f} s, data, model and session {median(opening):.1f} s\n"
        f"growth from {costs[0].finished} to {costs[-1].finished} finished trials: "
        f"{costs[-1].overhead / costs[0].overhead:.2f}x; most of a {TRIAL_SECONDS:.0f}-second trial: "
        f"{max(cost.share_of_30_s for cost in costs):.2%}"
    )
    if options.output:
        Path(options.output).write_text(json.dumps([asdict(cost) for cost in costs], indent=1))
    return 0


def _cost(session: Session, finished: int, trials: int, clock: _Clock) -> Cost:
    for _ in range(2):  # kernels, MLflow's import and the study's first load are no trial's
        session.work.next_trial()
    session.tracker.flush(60)
    overheads, parts, others = [], defaultdict[str, list[float]](list), []
    for _ in range(trials):
        clock.reset()
        begun, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
        session.work.next_trial()
        seconds, own_cpu = time.perf_counter() - begun, time.thread_time() - own
        session.tracker.flush(60)
        overheads.append(seconds - clock.seconds["training"])
        others.append(max(0.0, time.process_time() - cpu - own_cpu))
        for name in PARTS:
            parts[name].append(clock.seconds[name])
    return Cost(
        finished,
        1000 * median(overheads),
        {name: round(1000 * median(parts[name]), 1) for name in PARTS},
        1000 * median(others),
        median(overheads) / TRIAL_SECONDS,
    )


def _write_checkpoints_as_in_half_a_minute() -> None:
    """The usual policy writes at most every 5 s: every other one of 12 evaluations in 30 s."""
    calls = iter(range(10**9))
    _replace(CheckpointFile, "is_due", lambda file, seconds, size: next(calls) % 2 == 1)


class _Clock:
    """Adds up the time in the functions of PARTS and TRAINING, the outermost of nested ones alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = False
        for name, functions in {**PARTS, "training": TRAINING}.items():
            for owner, attribute in functions:
                setattr(owner, attribute, self._timed(name, getattr(owner, attribute)))

    def reset(self) -> None:
        self.seconds.clear()

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return function(*args, **kwargs)
            self._inside, begun = True, time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] += time.perf_counter() - begun
                self._inside = False

        return timed


def _artifacts(folder: Path, options: argparse.Namespace) -> int:
    """50 trials whose training a stub does, at GPT-2's real size: what is left when all is over."""
    from random_gpt2 import save_random_gpt2

    model = save_random_gpt2(
        folder / "model",
        layers=options.layers,
        width=options.width,
        heads=options.heads,
        tokenizer=Path(options.tokenizer) if options.tokenizer else None,
    )
    place = folder / "place"
    place.mkdir()
    spec = _spec(options.trials, str(model), least_depth=0)
    most = 0
    _stub_training()
    with _opened(spec, _locations(place)) as session:
        while session.work.next_trial() is None:
            most = max(most, _size(place))
        finish_study(session)
        assert session.tracker.flush(600) == 0
    tidy(session)
    artifacts, everything = _size(place / "mlruns"), _size(place)
    print(f"{options.trials} trials, GPT-2 of {options.layers} layers, {options.width} wide:")
    print(f"  MLflow artifacts {artifacts / 1e9:.2f} GB")
    print(
        f"  everything that is left {everything / 1e9:.2f} GB, at most {most / 1e9:.2f} GB meanwhile"
    )
    for path in sorted(place.iterdir()):
        print(f"    {path.name}: {_size(path) / 1e6:,.1f} MB")
    return 0 if everything <= 1.5e9 else 1


def _stub_training() -> None:
    """Steps that do nothing, evaluations that like large models best: everything else is as ever."""

    def train_step(trial: loop.TrialTraining, texts: Any) -> None:
        trial.progress.step += 1
        trial.progress.examples_seen += len(texts)

    def predict(classifier: Any, inputs: Any, task: Any) -> Any:
        labels = torch.tensor(inputs.split.labels)
        right = torch.rand(len(labels)) < 0.9 - 0.02 * classifier.trained.first_block
        chosen = torch.where(right, labels, 1 - labels)
        noise = torch.randn(len(labels), 2)
        return (noise + 10 * torch.nn.functional.one_hot(chosen, 2)).softmax(-1).numpy()

    _replace(loop.TrialTraining, "_train_step", train_step)
    _replace(evaluation, "predict", predict)


def _replace(owner: Any, name: str, function: Any) -> None:
    setattr(owner, name, function)


@contextmanager
def _opened(spec: StudySpec, locations: Locations) -> Iterator[Session]:
    with open_storage(locations.storage_url) as storage:
        submit(storage, spec)
        prepared = prepare(spec, locations)
        open_study(storage, spec.name, n_layer=prepared.n_layer)
        with open_session(storage, spec.name, locations, prepared=prepared) as session:
            yield session


def _spec(
    trials: int, model: str = "demo", *, least_depth: int = 1, pruner: Any = "none"
) -> StudySpec:
    space: dict[str, Any] = {
        "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
        "batch_size": [16, 32],
        "freeze_depth": {"low": least_depth, "high": "n_layer"},
    }
    return StudySpec.model_validate(
        {
            "study": {"name": "overhead", "trials": trials},
            "data": {"source": "demo", "max_train_examples": 256},
            "confirm": {"seeds": 0},
            "model": {"name": model},
            "search": {"sampler": "tpe", "pruner": pruner, "space": space},
            "training": {
                "epochs": EPOCHS,
                "evaluations_per_epoch": EVALUATIONS_PER_EPOCH,
                "early_stopping": 0,
            },
        }
    )


def _locations(folder: Path) -> Locations:
    return Locations(
        f"sqlite:///{folder}/optuna.db",
        f"sqlite:///{folder}/mlflow.db",
        folder / ".hpo",
        folder.parent / "cache",
        10**10,
    )


def _show_costs(costs: list[Cost]) -> None:
    names = list(PARTS)
    print(" | ".join(["finished", "ms a trial", *names, "other threads", "of 30 s"]))
    for cost in costs:
        parts = [f"{cost.parts[name]:.1f}" for name in names]
        ends = [f"{cost.other_threads:.0f}", f"{cost.share_of_30_s:.2%}"]
        print(" | ".join([f"{cost.finished}", f"{cost.overhead:.0f}", *parts, *ends]))


def _size(path: Path) -> int:
    """Bytes of a file or of all files in a folder, also while they come and go."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for each in path.rglob("*"):
        try:
            total += each.stat().st_size if each.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finished", nargs="+", type=int, default=[10, 100, 1000])
    parser.add_argument("--trials", type=int, help="trials measured at each (15), or trained (50)")
    parser.add_argument("--artifacts", action="store_true", help="what 50 trials leave on disk")
    parser.add_argument("--tokenizer", help="a folder with GPT-2's tokenizer, for its vocabulary")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--output", help="a JSON file for the costs")
    options = parser.parse_args()
    options.trials = options.trials or (50 if options.artifacts else 15)
    return options


if __name__ == "__main__":
    sys.exit(main())
