"""Studies for reports: trials of every state with made-up scores, by Optuna's own add_trials."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.results.champion_source import ChampionSource
from hpo.results.hard_texts import HARD_TEXTS_KEY, HardText, HardTexts, beginning
from hpo.results.presentation import CHAMPION_KEY
from hpo.spec.study import StudySpec
from hpo.storage.storage import Storage
from hpo.studies.memory import remember
from hpo.studies.reading import note_reading
from hpo.studies.registration import submit
from hpo.studies.studies import open_study
from tests.test_terminal import READING, champion

_EVIL_TEXT = "<img src=x onerror=alert(3)> a review of a film that was longer than it had to be"
SPACE: dict[str, object] = {
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "batch_size": [8, 16, 32],
    "epochs": {"low": 1, "high": 5},
    "optimizer": ["adamw", "lion", "sgd"],
    "dropout": {"low": 0.0, "high": 0.5},
    "head_dropout": {"low": 0.0, "high": 0.5},
    "label_smoothing": {"low": 0.0, "high": 0.2},
    "weight_decay": {"low": 1e-4, "high": 0.1, "log": True},
    "warmup_ratio": {"low": 0.0, "high": 0.3},
    "layer_decay": {"low": 0.6, "high": 1.0},
    "schedule": ["linear", "cosine", "constant"],
    "max_grad_norm": [0.5, 1.0, 5.0],
}
_DISTRIBUTIONS: dict[str, BaseDistribution] = {
    name: CategoricalDistribution(entry)
    if isinstance(entry, list)
    else IntDistribution(**entry)
    if isinstance(entry["low"], int)  # type: ignore[index]
    else FloatDistribution(**entry)  # type: ignore[arg-type]
    for name, entry in SPACE.items()
}
_BEGUN = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def add_study(
    storage: Storage, name: str, trials: int, *, finished: bool = True, **section: Any
) -> None:
    """A study of some trials: every fourth pruned, every tenth failed, the others complete.

    Args:
        finished: Whether it has a champion.
        section: Further keys of [study].
    """
    wanted = {"name": name, "metric": "accuracy", "trials": max(trials, 1), **section}
    spec = StudySpec.model_validate(
        {"study": wanted, "search": {"space": SPACE}, "confirm": {"seeds": 0}}
    )
    submit(storage, spec)
    study = open_study(storage, name)
    random = np.random.default_rng(0)
    made = [_trial(number, random, spec.study.metric) for number in range(trials)]
    study.load().add_trials(made)
    note_reading(storage, study.study_id, READING)
    if finished:
        best = study.load().best_trial
        assert best.value is not None
        crowned = replace(champion(((47, 5), (6, 42))), number=best.number, value=best.value)
        remember(storage, study.study_id, CHAMPION_KEY, crowned.as_json())
        remember(storage, study.study_id, HARD_TEXTS_KEY, _hard_texts(crowned.source).as_json())


def _hard_texts(source: ChampionSource) -> HardTexts:
    def told(row: int, sure: float) -> HardText:
        return HardText(beginning(f"</td>{_EVIL_TEXT}, and so on; " * 8), row, "good", "bad", sure)

    return HardTexts(
        source=source.as_json(),
        folds=0,
        origin="reviews.csv",
        row_noun="line",
        problem_type="single_label_classification",
        texts=500,
        wrong=40,
        surely_wrong=tuple(told(row, 0.999 - row / 1e3) for row in range(2, 12)),
        undecided=tuple(told(row, 0.5 + row / 1e4) for row in range(20, 30)),
    )


def _trial(number: int, random: np.random.Generator, metric: str) -> FrozenTrial:
    params = {name: _drawn(each, random) for name, each in _DISTRIBUTIONS.items()}
    state = TrialState.PRUNED if number % 4 == 3 else TrialState.COMPLETE
    state = TrialState.FAIL if number % 10 == 9 else state
    evaluations = 4 * params["epochs"]
    final = 0.93 - 0.04 * abs(math.log10(params["learning_rate"]) + 3.5) - 0.2 * params["dropout"]
    curve = {
        step: float(final - 0.3 * math.exp(-step) + 0.005 * random.normal())
        for step in range(1, (evaluations // 2 if state == TrialState.PRUNED else evaluations) + 1)
    }
    seconds = 2.5 * len(curve)
    begun = _BEGUN + timedelta(seconds=60 * number)
    told = {
        metric: max(curve.values()),
        "epochs_run": len(curve) / 4,
        "seconds": seconds,
        "stopped": "pruned" if state == TrialState.PRUNED else "finished",
        "mlflow_url": f"http://127.0.0.1:5000/#/experiments/1/runs/{number}",
    }
    trial = create_trial(
        state=state,
        value=max(curve.values()) if state == TrialState.COMPLETE else None,
        params=params,
        distributions=_DISTRIBUTIONS,
        intermediate_values=curve,
        user_attrs={"hpo.reason": "out of memory"} if state == TrialState.FAIL else told,
    )
    trial.datetime_start = begun
    trial.datetime_complete = begun + timedelta(seconds=seconds + 1)
    return trial


def _drawn(distribution: BaseDistribution, random: np.random.Generator) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[random.integers(len(distribution.choices))]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution):
        return int(random.integers(int(low), int(high) + 1))
    if distribution.log:
        return float(10 ** random.uniform(math.log10(low), math.log10(high)))
    return float(random.uniform(low, high))
