"""MLflow models of ours: logged, registered, found again, deleted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.outbox.records import DropModels, LogModel, PublishModel
from hpo.outbox.rows import KnownRun
from hpo.spec.names import logged_name
from hpo.tracking import registry
from hpo.tracking.answers import PermanentError, RetryableError, answers
from hpo.tracking.gateway import Gateway
from hpo.tracking.hidden_tags import read, sent, spellings
from hpo.tracking.keys import (
    ALIAS_TAG,
    ATTEMPT_TAG,
    CHAMPION_ALIAS,
    OPERATION_TAG,
    PUBLISHED_TAG,
    STUDY_TAG,
    STUDY_UID_TAG,
    TIMES_TESTED_TAG,
)
from hpo.tracking.limits import MAX_DESCRIPTION_CHARACTERS, cut, upload_time
from hpo.tracking.model_folder import build, champion_flavor, pyfunc_flavor
from hpo.tracking.registry import MLMODEL

logger = logging.getLogger(__name__)


def log_trial_model(
    gateway: Gateway,
    operation: LogModel,
    folder: Path,
    run: KnownRun,
    *,
    repeated: bool,
) -> None:
    """Log the folder (`trained.safetensors`, `trial.json`) as a model whose source is the run.

    The folder is rebuilt in place.

    Args:
        repeated: It was tried before, so that the model may exist already.
    """
    model_id = _logged_model(gateway, operation, run, operation.name, repeated=repeated)
    build(folder, "data", pyfunc_flavor, model_id=model_id, run_id=run.run_id)
    _finish(gateway, model_id, run.run_id, folder)


def has_other_model(gateway: Gateway, operation: LogModel, run: KnownRun) -> bool:
    """Whether a model with the operation's tags is there that another operation logged."""
    found = find_models(gateway, run.experiment_id, operation.tags)
    return any(read(model.tags).get(OPERATION_TAG) != operation.operation_id for model in found)


def publish_model(
    gateway: Gateway,
    operation: PublishModel,
    folder: Path,
    run: KnownRun,
    *,
    late: bool = False,
) -> None:
    """Log what `save_pretrained` or `save_ensemble` wrote as a model, register it and set the alias.

    The alias stays with a later champion of the study. The same champion published again makes
    whole what is missing of it. Where the registered model is another's, it goes to one beside it.

    Args:
        late: Another may have been published since.
    """
    uid = operation.tags.get(STUDY_UID_TAG) or gateway.run_tags(run.run_id).get(STUDY_UID_TAG, "")
    name = registry.name_for(gateway, operation.registered_name, uid)
    model_id = _logged_model(gateway, operation, run, name, repeated=True)
    if not (folder / MLMODEL).exists() and not (folder / "README.md").exists():
        (folder / "README.md").write_text(_card(operation, name), encoding="utf-8")
    build(folder, "model", champion_flavor, model_id=model_id, run_id=run.run_id)
    _finish(gateway, model_id, run.run_id, folder)
    if operation.metrics and not _has_metrics(gateway, model_id):
        gateway.log_batch(run.run_id, metrics=operation.metrics, model_id=model_id)
    _register(gateway, operation, name, uid, model_id, run.run_id, late=late)


def drop_models(gateway: Gateway, operation: DropModels) -> int:
    """Delete the models that carry the operation's tags, files first.

    Returns:
        How many.
    """
    experiment_id = gateway.experiment_id(operation.run.experiment, create=False)
    if experiment_id is None:
        return 0
    models = find_models(gateway, experiment_id, operation.tags)
    delete_models(gateway, models)
    return len(models)


def delete_models(gateway: Gateway, models: Sequence[Any]) -> None:
    """Delete logged models, files first."""
    for model in models:
        _delete_files(gateway, model)
        with answers():
            gateway.client.delete_logged_model(model.model_id)


def _logged_model(
    gateway: Gateway,
    operation: LogModel | PublishModel,
    run: KnownRun,
    name: str,
    *,
    repeated: bool,
) -> str:
    if repeated:
        found = find_models(gateway, run.experiment_id, {OPERATION_TAG: operation.operation_id})
        if found:
            return str(found[0].model_id)
    client = gateway.client
    with answers():
        model = client.create_logged_model(
            run.experiment_id,
            name=logged_name(name),
            source_run_id=run.run_id,
            tags=sent({**operation.tags, OPERATION_TAG: operation.operation_id}),
            model_type="text-classification",
        )
    return str(model.model_id)


def find_models(gateway: Gateway, experiment_id: str, tags: Mapping[str, str]) -> list[Any]:
    """The logged models that carry all of the tags: by attempts at their trials, then the oldest first."""
    found: list[Any] = []
    for spelling in spellings(tags):
        condition = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in spelling.items())
        found += _search_models(gateway, experiment_id, condition)
    return sorted(found, key=_age)


def _search_models(gateway: Gateway, experiment_id: str, condition: str) -> list[Any]:
    """The logged models that fit MLflow's filter, through all pages."""
    client = gateway.client
    found: list[Any] = []
    token = None
    while True:
        with answers():
            page = client.search_logged_models([experiment_id], condition, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _age(model: Any) -> tuple[int, int, str]:
    # Without a server, the time is that of the machine which logged the model; attempts are counted.
    attempt = int(model.tags.get(ATTEMPT_TAG, 0))
    return attempt, model.creation_timestamp, model.model_id


def _finish(gateway: Gateway, model_id: str, run_id: str, folder: Path) -> None:
    from mlflow.entities import LoggedModelOutput

    client = gateway.client
    with answers(), upload_time(folder):
        client.log_model_artifacts(model_id, str(folder))
    with answers():
        client.finalize_logged_model(model_id, "READY")
    with answers():
        outputs = client.get_run(run_id).outputs
        known = {output.model_id for output in outputs.model_outputs} if outputs else set()
        if model_id not in known:
            client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])


def _has_metrics(gateway: Gateway, model_id: str) -> bool:
    """Whether a model was given its metrics before: a second time they would be other points."""
    with answers():
        return bool(gateway.client.get_logged_model(model_id).metrics)


def _register(
    gateway: Gateway,
    operation: PublishModel,
    name: str,
    uid: str,
    model_id: str,
    run_id: str,
    *,
    late: bool,
) -> None:
    client = gateway.client
    description = cut(_card(operation, name), MAX_DESCRIPTION_CHARACTERS)
    tags = {**operation.tags, STUDY_UID_TAG: uid, OPERATION_TAG: operation.operation_id}
    registry.make(gateway, name, uid, tags.get(STUDY_TAG, ""))
    with answers():
        versions = client.search_model_versions(f"name = '{name}'")
    # One whose files are gone may be left of the same operation.
    mine = [v for v in versions if read(v.tags).get(OPERATION_TAG) == operation.operation_id]
    mine = [v for v in mine if model_id in (v.model_id, *(v.source or "").split("/"))]
    if mine:
        version = mine[0].version
    else:
        # A store without a server would resolve models:/… through the process-wide tracking URI.
        source = f"models:/{model_id}"
        if not gateway.tracking_uri.startswith("http"):
            with answers():
                source = client.get_logged_model(model_id).artifact_location
        with answers():
            created = client.create_model_version(
                name,
                source,
                run_id=run_id,
                tags=sent(tags),
                description=description,
                await_creation_for=0,
                model_id=model_id,
            )
        version = created.version
    if any(_is_newer(read(v.tags), tags, late=late) for v in versions):
        return
    if operation.alias == CHAMPION_ALIAS:
        with answers():
            client.update_registered_model(name, description=description)
    with answers():
        client.set_registered_model_alias(name, operation.alias, version)


def _card(operation: PublishModel, name: str) -> str:
    """The model's card, with the address that it is registered under."""
    return operation.card.replace(f"models:/{operation.registered_name}@", f"models:/{name}@")


def _is_newer(other: Mapping[str, str], mine: Mapping[str, str], *, late: bool) -> bool:
    """Whether a version is of a later champion than the one that is being published: in the study's own order."""
    if other.get(ALIAS_TAG, CHAMPION_ALIAS) != mine.get(ALIAS_TAG, CHAMPION_ALIAS):
        return False
    same_study = other.get(STUDY_UID_TAG) == mine.get(STUDY_UID_TAG)
    theirs, ours = (int(tags.get(TIMES_TESTED_TAG, 0)) for tags in (other, mine))
    if same_study and theirs != ours and theirs and ours:
        return theirs > ours
    # By an earlier version, or of an earlier study of that name: nothing but the workers' clocks tells.
    published, publishing = (int(tags.get(PUBLISHED_TAG, 0)) for tags in (other, mine))
    return late and published > publishing


def _delete_files(gateway: Gateway, model: Any) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        with answers():
            repository: Any = get_artifact_repository(
                model.artifact_location, tracking_uri=gateway.tracking_uri
            )
            repository.delete_artifacts()
    except (RetryableError, PermanentError) as answer:
        # Some artifact stores cannot delete; `mlflow gc` does it then. A server that is away says
        # so at the next call, and the operation is repeated.
        logger.debug("The files of model %s stay: %s", model.model_id, answer)
