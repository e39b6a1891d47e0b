"""What MLflow is asked to do for each kind of operation, a function a kind.

A handler returns once it is done, or raises PermanentError or Away; done twice, it has the effect of once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hpo.outbox.records import (
    DropModels,
    EndEarlierAttempts,
    EndRun,
    LogArtifact,
    LogDataset,
    LogMetrics,
    LogModel,
    MetricPoint,
    OpenRun,
    Operation,
    PublishModel,
    RunRef,
    SetTags,
    TagExperiment,
)
from hpo.outbox.rows import KnownRun, WaitingOperation
from hpo.tracking import models
from hpo.tracking.answers import PermanentError
from hpo.tracking.channel import Channel
from hpo.tracking.descriptions import sparing_edited
from hpo.tracking.keys import (
    NOTE_TAG,
    OUTBOX_TAG,
    PARENT_TAG,
    RUN_KEY_TAG,
    TRIAL_NUMBER_TAG,
    parse_trial_run_key,
)

Handler = Callable[[Channel, WaitingOperation, Any], None]
"""Called with the operation as it is stored and as a value, of the kind that it stands for in `HANDLERS`."""


def handle(channel: Channel, row: WaitingOperation, operation: Operation) -> None:
    """Have MLflow do what an operation asks for."""
    HANDLERS[type(operation)](channel, row, operation)


def log_together(channel: Channel, operations: Sequence[LogMetrics | SetTags]) -> None:
    """Log metrics and tags of one run in as few requests as MLflow takes."""
    points: list[MetricPoint] = []
    tags: dict[str, str] = {}
    for operation in operations:
        if isinstance(operation, LogMetrics):
            points += operation.points
        else:
            tags |= operation.tags
    run = channel.find(operations[0].run)
    if run is None:
        if all(isinstance(each, SetTags) and each.only_if_there for each in operations):
            return
        raise PermanentError("there is no such run")
    if tags and channel.origin.may_be_outdated:
        # What is there may be of later than these.
        there = channel.gateway.run_tags(run.run_id)
        tags = {key: value for key, value in tags.items() if key not in there}
    tags = _spared(channel, run, tags)
    channel.gateway.log_batch(run.run_id, metrics=points, tags=tags)


def _spared(channel: Channel, run: KnownRun, tags: Mapping[str, str]) -> dict[str, str]:
    """The tags to set of a run, without a description where a person has written one."""
    if NOTE_TAG not in tags:
        return dict(tags)
    there = channel.gateway.run_tags(run.run_id)
    # Earlier releases left no mark; of a trial's run, the description may be a person's and stays.
    of_study = run.shared and parse_trial_run_key(run.run_key) is None
    return sparing_edited(tags, there, unmarked_is_ours=of_study)


def _log(channel: Channel, row: WaitingOperation, operation: LogMetrics | SetTags) -> None:
    log_together(channel, [operation])


def _open_run(channel: Channel, row: WaitingOperation, operation: OpenRun) -> None:
    found = channel.gateway.open_run(
        operation,
        _identity(channel, operation),
        reopen=channel.origin.reopens_runs,
        before_creation=lambda: channel.ledger.mark_attempted(row.id),
    )
    run = KnownRun(
        operation.run.key,
        found.run_id,
        found.experiment_id,
        operation.shared,
        row.attempted,
        operation.if_abandoned,
    )
    channel.ledger.remember_run(run)
    channel.tell_opened(run)
    if operation.params:
        channel.gateway.log_batch(run.run_id, params=operation.params)


def _identity(channel: Channel, operation: OpenRun) -> dict[str, str]:
    """The tags by which a run is found again, and its parent's, if that is there."""
    tags = {RUN_KEY_TAG: operation.run.key, OUTBOX_TAG: channel.outbox.key}
    if operation.parent_key:
        parent = channel.find(RunRef(operation.run.experiment, operation.parent_key))
        if parent is not None:
            tags[PARENT_TAG] = parent.run_id
    return tags


def _log_artifact(channel: Channel, row: WaitingOperation, operation: LogArtifact) -> None:
    path = channel.outbox.spool.path / operation.spooled
    run = channel.known(operation.run)
    channel.gateway.log_artifact(run.run_id, path, operation.artifact_path)


def _log_dataset(channel: Channel, row: WaitingOperation, operation: LogDataset) -> None:
    channel.gateway.log_dataset(channel.known(operation.run).run_id, operation)


def _tag_experiment(channel: Channel, row: WaitingOperation, operation: TagExperiment) -> None:
    experiment_id, tags = channel.known(operation.run).experiment_id, operation.tags
    if NOTE_TAG in tags:
        tags = sparing_edited(tags, channel.gateway.experiment_tags(experiment_id))
    channel.gateway.tag_experiment(experiment_id, tags)


def _log_model(channel: Channel, row: WaitingOperation, operation: LogModel) -> None:
    outcome = channel.outcome(operation.run.key)
    if outcome is not None and not outcome.keeps_model:
        return  # it waited for long, and its deletion may have come first
    run = channel.known(operation.run)
    folder = channel.outbox.spool.path / operation.spooled
    repeated = row.attempted or channel.origin.may_be_outdated
    channel.ledger.mark_attempted(row.id)
    models.log_trial_model(channel.gateway, operation, folder, run, repeated=repeated)


def _publish_model(channel: Channel, row: WaitingOperation, operation: PublishModel) -> None:
    run = channel.known(operation.run)
    folder = channel.outbox.spool.path / operation.spooled
    late = channel.origin.may_be_outdated
    channel.ledger.mark_attempted(row.id)
    models.publish_model(channel.gateway, operation, folder, run, late=late)


def _drop_models(channel: Channel, row: WaitingOperation, operation: DropModels) -> None:
    models.drop_models(channel.gateway, operation)


def _end_run(channel: Channel, row: WaitingOperation, operation: EndRun) -> None:
    run = channel.find(operation.run)
    if run is None:
        if operation.only_if_there:
            return
        raise PermanentError("there is no such run")
    if run.shared and _is_overtaken(channel, run, operation.end_ms):
        return
    gateway = channel.gateway
    if operation.tags:
        gateway.log_batch(run.run_id, tags=_spared(channel, run, operation.tags))
    gateway.end_run(run.run_id, operation.status, operation.end_ms)
    if run.doubtful:
        gateway.remove_doubles(
            operation.run.experiment, run.run_key, channel.outbox.key, run.run_id
        )
    channel.ledger.mark_ended(run.run_key)


def _is_overtaken(channel: Channel, run: KnownRun, end_ms: int) -> bool:
    """Whether another process went on with a shared run, so that this end of it no longer counts."""
    if not channel.origin.may_be_overtaken:
        return False
    if channel.outbox.open_elsewhere(run.run_key):
        return True
    ended_ms = channel.gateway.run_end_ms(run.run_id)
    return ended_ms is not None and (channel.origin.may_be_outdated or ended_ms > end_ms)


def _end_earlier_attempts(
    channel: Channel, row: WaitingOperation, operation: EndEarlierAttempts
) -> None:
    gateway = channel.gateway
    latest = parse_trial_run_key(operation.run.key)
    experiment_id = gateway.experiment_id(operation.run.experiment, create=False)
    if latest is None or experiment_id is None:
        return
    at_work = "attributes.status = 'RUNNING'"
    of_trial = f"tags.`{TRIAL_NUMBER_TAG}` = '{latest.number}'"
    for run in gateway.search_runs(experiment_id, f"{at_work} AND {of_trial}"):
        key = run.tags.get(RUN_KEY_TAG, "")
        found = parse_trial_run_key(key)
        if found is not None and found.comes_before(latest):
            gateway.log_batch(run.run_id, tags=operation.tags)
            gateway.end_run(run.run_id, "KILLED", operation.end_ms)
            channel.ledger.mark_ended(key)


HANDLERS: Mapping[type[Operation], Handler] = {
    OpenRun: _open_run,
    LogMetrics: _log,
    SetTags: _log,
    LogArtifact: _log_artifact,
    LogDataset: _log_dataset,
    TagExperiment: _tag_experiment,
    LogModel: _log_model,
    DropModels: _drop_models,
    PublishModel: _publish_model,
    EndRun: _end_run,
    EndEarlierAttempts: _end_earlier_attempts,
}
