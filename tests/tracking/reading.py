"""What a test reads back from MLflow: the runs of a study and the points of their metrics."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any


def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def runs(uri: str, study: str) -> list[Any]:
    """All runs of the study's experiment that are not deleted."""
    mlflow = client(uri)
    experiment = mlflow.get_experiment_by_name(study)
    return [] if experiment is None else list(mlflow.search_runs([experiment.experiment_id]))


def run_named(uri: str, study: str, name: str) -> Any:
    """The one run of this name."""
    found = [run for run in runs(uri, study) if run.info.run_name == name]
    assert len(found) == 1, [run.info.run_name for run in runs(uri, study)]
    return found[0]


def points(uri: str, run_id: str, metric: str) -> Counter[tuple[int, float]]:
    """The (step, value) pairs of a metric, each with the number of times that it was stored."""
    return Counter((m.step, m.value) for m in client(uri).get_metric_history(run_id, metric))


def all_points(database: Path, metric: str) -> Counter[tuple[str, int]]:
    """The (run id, step) of every stored point of a metric, read past MLflow from its SQLite file."""
    query = "SELECT run_uuid, step FROM metrics WHERE key = ?"
    with closing(sqlite3.connect(database)) as connection:
        return Counter((str(run), int(step)) for run, step in connection.execute(query, (metric,)))


def statuses(uri: str, study: str) -> dict[str, str]:
    """The status of each run by its name; run names must differ."""
    found = runs(uri, study)
    named = {run.info.run_name: run.info.status for run in found}
    assert len(named) == len(found), [run.info.run_name for run in found]
    return named
