"""What an examination of a study after faults has found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.storage.storage import open_storage
from hpo.studies.studies import open_study
from tests.faults.place import LAYERS, STUDY, Place

STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}


@dataclass
class Findings:
    """lost: acknowledged or due, and not there; doubled: there twice; wrong: anything else."""

    trials: int = 0
    attempts: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    run_id: str
    key: str
    name: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    # By metric and step, all values that are stored for it.
    metrics: Mapping[str, Steps]


Result = tuple[int, str, float | None, dict[str, Any], dict[int, float]]


def results(place: Place) -> list[Result]:
    """Number, state, value, parameters and reports of each trial."""
    with open_storage(place.storage_url) as storage:
        trials = open_study(storage, STUDY, n_layer=LAYERS).load().get_trials(deepcopy=False)
    return [(t.number, t.state.name, t.value, t.params, t.intermediate_values) for t in trials]


def hold(found: Findings) -> None:
    """Fail on whatever was found, all of it at once."""
    said = [f"LOST {each}" for each in found.lost]
    said += [f"DOUBLED {each}" for each in found.doubled]
    said += [f"WRONG {each}" for each in found.wrong]
    assert not said, "\n".join(said[:40])


def find_runs(place: Place) -> dict[str, list[Run]]:
    """All runs of the study that are not deleted, by their key."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=place.tracking_uri)
    experiment = client.get_experiment_by_name(STUDY)
    if experiment is None:
        return {}
    runs: dict[str, list[Run]] = defaultdict(list)
    token = None
    while True:
        page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
        for run in page:
            metrics = {
                key: steps_of(client.get_metric_history(run.info.run_id, key))
                for key in run.data.metrics
            }
            tags = dict(run.data.tags)
            runs[tags.get("mlflow.hpo.run_key", "")].append(
                Run(
                    run.info.run_id,
                    tags.get("mlflow.hpo.run_key", ""),
                    run.info.run_name,
                    run.info.status,
                    tags,
                    dict(run.data.params),
                    metrics,
                )
            )
        token = page.token
        if not token:
            return runs


def steps_of(history: Sequence[Any]) -> dict[int, list[float]]:
    steps: dict[int, list[float]] = defaultdict(list)
    for point in history:
        steps[point.step].append(point.value)
    return steps


Steps = Mapping[int, Sequence[float]]
