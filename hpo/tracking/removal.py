"""What MLflow has of a study, found and deleted: its runs, the logged models, its registered versions."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.outbox.outbox import waiting_runs
from hpo.spec.names import key_part
from hpo.tracking.download import store_that_is_there
from hpo.tracking.hidden_tags import name_in_mlflow
from hpo.tracking.identity import StudyIdentity
from hpo.tracking.keys import RUN_KEY_TAG, uid_in

if TYPE_CHECKING:
    from hpo.tracking.found_run import FoundRun
    from hpo.tracking.gateway import Gateway

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InMlflow:
    """What MLflow has of a study.

    Attributes:
        runs: Ids of runs that are not deleted.
        models: Ids of logged models.
        versions: Of registered models, as name and number.
    """

    runs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()


def find_in_mlflow(tracking_uri: str, study: StudyIdentity) -> InMlflow:
    """What MLflow has of a study. Waits for the server.

    Raises:
        TrackingError: It cannot be used.
    """
    with _opened(tracking_uri, study, "a list of what is the study's") as found:
        return InMlflow() if found is None else found.shown


def delete_from_mlflow(tracking_uri: str, study: StudyIdentity) -> None:
    """Delete it, and the experiment where nothing is left in it. Cut short, it may be called again.

    Raises:
        TrackingError: The server, which is waited for, cannot be used.
    """
    from hpo.tracking import registry
    from hpo.tracking.answers import answers
    from hpo.tracking.models import delete_models

    with _opened(tracking_uri, study, "a deletion of what is the study's") as found:
        if found is None:
            return
        gateway = found.gateway
        # In this order: a version that an earlier release made is told by its run.
        registry.unregister(gateway, found.shown.versions, study.uid)
        delete_models(gateway, found.models)
        for run_id in found.shown.runs:
            with answers():
                gateway.client.delete_run(run_id)
        if found.experiment_id is not None:
            _delete_if_empty(gateway, found.experiment_id, study)


def waits_for_mlflow(state: Path, study: StudyIdentity) -> int:
    """How many operations of a study wait under a state folder."""
    uid = key_part(study.uid)
    return sum(count for key, count in waiting_runs(state).items() if uid_in(key) == uid)


@dataclass(frozen=True)
class _Found:
    gateway: Gateway
    experiment_id: str | None
    models: list[Any]
    shown: InMlflow


@contextmanager
def _opened(tracking_uri: str, study: StudyIdentity, expected: str) -> Iterator[_Found | None]:
    """What there is of the study; None where there is no store."""
    with store_that_is_there(tracking_uri, expected) as gateway:
        yield None if gateway is None else _found(gateway, study)


def runs_of(gateway: Gateway, experiment_id: str, uid: str) -> list[FoundRun]:
    """The runs in an experiment that are a study's, by its uid."""
    part = key_part(uid)
    named = (
        gateway.search_runs(experiment_id, f"tags.`{name}` LIKE '%:{part}%'")
        for name in (name_in_mlflow(RUN_KEY_TAG), RUN_KEY_TAG)
    )
    keyed = {run.run_id: run for runs in named for run in runs}
    return [run for run in keyed.values() if uid_in(run.tags[RUN_KEY_TAG]) == part]


def models_of(gateway: Gateway, experiment_id: str, run_ids: Sequence[str]) -> list[Any]:
    """The logged models in an experiment that these runs made."""
    from hpo.tracking.models import find_models

    return [m for m in find_models(gateway, experiment_id, {}) if m.source_run_id in run_ids]


def _found(gateway: Gateway, study: StudyIdentity) -> _Found:
    from hpo.tracking import registry

    experiment_id = gateway.experiment_id(study.name, create=False)
    runs: list[str] = []
    models: list[Any] = []
    if experiment_id is not None:
        runs = [run.run_id for run in runs_of(gateway, experiment_id, study.uid)]
        models = models_of(gateway, experiment_id, runs)
    shown = InMlflow(
        runs=tuple(runs),
        models=tuple(str(model.model_id) for model in models),
        versions=tuple(registry.versions_of(gateway, study)),
    )
    return _Found(gateway, experiment_id, models, shown)


def _delete_if_empty(gateway: Gateway, experiment_id: str, study: StudyIdentity) -> None:
    from hpo.tracking.answers import PermanentError, answers
    from hpo.tracking.models import find_models

    if gateway.search_runs(experiment_id, "") or find_models(gateway, experiment_id, {}):
        return
    try:
        with answers():
            # Under its name it would be brought back for the next study of that name, and its runs with it.
            gateway.client.rename_experiment(
                experiment_id, f"{study.name} (deleted {study.uid[:8]})"
            )
            gateway.client.delete_experiment(experiment_id)
    except PermanentError as refusal:
        logger.debug("The empty experiment %s stays: %s", study.name, refusal)
