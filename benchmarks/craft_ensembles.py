"""What ensembles and cross-validation add to the best single trial of a small study, and what they cost.

The study is a random search for the learning rate about `craft.py`'s baseline, on the same data, judged
by hold-out; its champion's test score is the baseline here. Each ensemble is made of the study's
trials, so that differences are paired; `folds` is the same search with the same texts, judged by folds.
A cell's cost is the time of the search and of the ensemble, over the time of the search.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, get_args

import torch
from craft_data import baseline_keys
from craft_runs import Run, Runs, craft_options, table

from hpo.results.champion import Champion
from hpo.runtime.course import StudyCourse
from hpo.runtime.ensembling import make_ensemble
from hpo.runtime.finish import finish_study
from hpo.runtime.preparation import prepare
from hpo.runtime.session import Session, open_session
from hpo.spec.ensemble_methods import EnsembleMethod
from hpo.spec.locations import Locations
from hpo.spec.study_file import find_study_file, read_study
from hpo.storage.storage import open_storage
from hpo.studies.registration import submit

BEST_TRIAL: Final = "best of 8 trials"
METHODS: Final[tuple[EnsembleMethod, ...]] = get_args(EnsembleMethod)
FOLDS: Final = "folds = 5"

_SIZES: Final[Mapping[EnsembleMethod, int]] = {"bagging": 3, "boosting": 3}  # the others' are usual
_SEARCH: Final[Mapping[str, object]] = {
    "study.trials": 8,
    "confirm.seeds": 0,
    "search.sampler": "random",
    "search.pruner": "none",
    "search.space": {"learning_rate": {"low": 3e-4, "high": 3e-3, "log": True}},
}
_HOLD_OUT: Final[Mapping[str, object]] = {"tracking.keep": "all"}
_IN_FOLDS: Final[Mapping[str, object]] = {"validation.folds": 5, "search.pruner": "median"}
_TEXTS_OF_FOLDS: Final = 1_500  # what hold-out trains on and what it validates on


def main() -> None:
    options = craft_options(__doc__, (*METHODS, FOLDS), "craft-ensembles.jsonl")
    logging.getLogger("hpo").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    runs = Runs(options.output)
    methods = [method for method in METHODS if method in options.only]
    with TemporaryDirectory(prefix="hpo-craft-") as folder:
        for seed in range(options.seeds):
            for data in options.on:
                keys = baseline_keys(data, options, Path(folder)) | {"study.seed": seed}
                del keys["training.learning_rate"]
                if not all(runs.has(data, name, seed) for name in (BEST_TRIAL, *methods)):
                    _ensembles(runs, data, seed, keys, methods, Path(folder))
                if FOLDS in options.only and not runs.has(data, FOLDS, seed):
                    _folds(runs, data, seed, keys, Path(folder))
    print(table(runs.all, (BEST_TRIAL, *METHODS, FOLDS), BEST_TRIAL))


def _ensembles(
    runs: Runs,
    data: str,
    seed: int,
    keys: Mapping[str, object],
    methods: list[EnsembleMethod],
    folder: Path,
) -> None:
    """The search by hold-out, and each ensemble of its trials."""
    name = f"{data}-{seed}"
    with _searched(name, {**keys, **_SEARCH, **_HOLD_OUT}, folder) as (session, best, searched):
        metric = session.study.spec.study.metric
        if not runs.has(data, BEST_TRIAL, seed):
            score = best.test.metrics[metric]
            runs.add(Run(data, BEST_TRIAL, seed, score, best.value, searched))
        for method in methods:
            if runs.has(data, method, seed):
                continue
            started = time.process_time()
            made = make_ensemble(session, method, size=_SIZES.get(method))
            seconds = searched + time.process_time() - started
            score, honest = made.test.metrics[metric], made.comparison.ensemble
            runs.add(Run(data, method, seed, score, honest, seconds))


def _folds(runs: Runs, data: str, seed: int, keys: Mapping[str, object], folder: Path) -> None:
    """The same search with the same texts, each trial judged by folds of them."""
    if "data.max_train_examples" in keys:
        keys = {**keys, "data.max_train_examples": _TEXTS_OF_FOLDS}
        del keys["data.validation_fraction"]
    with _searched(f"{data}-folds-{seed}", {**keys, **_SEARCH, **_IN_FOLDS}, folder) as found:
        session, best, searched = found
        score = best.test.metrics[session.study.spec.study.metric]
        runs.add(Run(data, FOLDS, seed, score, best.value, searched))


@contextmanager
def _searched(
    name: str, keys: Mapping[str, object], folder: Path
) -> Iterator[tuple[Session, Champion, float]]:
    """A finished study, its champion, and the seconds of one core that both took."""
    spec = read_study(find_study_file("quickstart"), {**keys, "study.name": name})
    usual = Locations.of()
    locations = Locations(
        f"sqlite:///{folder}/optuna.db",
        f"sqlite:///{folder}/mlflow.db",
        folder / "state",
        usual.cache,
        usual.cache_limit,
    )
    prepared = prepare(spec, locations)
    with open_storage(locations.storage_url) as storage:
        submit(storage, prepared.spec, fingerprints=prepared.fingerprints)
        with open_session(storage, name, locations, prepared=prepared) as session:
            started = time.process_time()
            StudyCourse(session).until_done()
            champion = finish_study(session)
            assert champion is not None
            yield session, champion, time.process_time() - started


if __name__ == "__main__":
    main()
