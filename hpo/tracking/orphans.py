"""The runs that a dead process left open, closed as their trials ended."""

from __future__ import annotations

import logging
from pathlib import Path

from hpo.errors import TrackingError
from hpo.outbox.records import LogModel, MetricPoint, RunRef
from hpo.outbox.rows import KnownRun
from hpo.tracking import models
from hpo.tracking.answers import PermanentError
from hpo.tracking.channel import Channel
from hpo.tracking.trial_run import STATUS_OF_STATE, RunOutcome, outcome_tags

logger = logging.getLogger(__name__)


def close_runs(channel: Channel) -> None:
    """End the runs that a dead owner left open.

    Raises:
        RetryableError: The server cannot be used.
    """
    ended_ms = channel.outbox.abandoned_ms or 0
    for run in channel.ledger.unfinished_runs():
        if run.shared and channel.outbox.open_elsewhere(run.run_key):
            continue
        try:
            if channel.gateway.run_end_ms(run.run_id) is None:
                _close(channel, run, ended_ms)
                logger.info("Run %s, whose process died, is closed", run.run_key)
        except PermanentError as refusal:
            logger.debug("Run %s cannot be closed: %s", run.run_key, refusal)
        channel.ledger.mark_ended(run.run_key)


def _close(channel: Channel, run: KnownRun, ended_ms: int) -> None:
    """End a run: as its trial ended, where it did before the owner could say so."""
    outcome = channel.outcome(run.run_key)
    if outcome is None:
        channel.gateway.log_batch(run.run_id, tags=run.if_abandoned)
        channel.gateway.end_run(run.run_id, "KILLED", ended_ms)
        return
    # The same timestamp at each try, so that a point sent twice is one point.
    last = [MetricPoint(k, v, outcome.step, ended_ms) for k, v in outcome.metrics.items()]
    tags = outcome_tags(outcome.state, outcome.reason, outcome.note)
    channel.gateway.log_batch(run.run_id, metrics=last, tags=tags)
    if outcome.keeps_model and outcome.model is not None:
        _log_missing_model(channel, run, outcome.model, outcome)
    channel.gateway.end_run(run.run_id, STATUS_OF_STATE[outcome.state], ended_ms)


def _log_missing_model(channel: Channel, run: KnownRun, folder: Path, outcome: RunOutcome) -> None:
    operation = LogModel(RunRef("", run.run_key), run.run_key, "", folder.name, outcome.model_tags)
    if models.has_other_model(channel.gateway, operation, run):
        return
    spool = channel.outbox.spool
    try:
        spooled = spool.add_folder(folder, bounded=False)
    except TrackingError as error:  # outdone by another trial, and dropped, meanwhile
        logger.debug("The model of %s is not logged: %s", run.run_key, error)
        return
    path = spool.path / spooled.path
    models.log_trial_model(channel.gateway, operation, path, run, repeated=True)
    spool.discard(spooled.path)
