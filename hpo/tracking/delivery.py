"""One outbox, one server: the oldest operations are sent, and settled once they arrived."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from hpo.errors import HpoError, TrackingError
from hpo.tracking import models
from hpo.tracking.answers import PermanentError, RetryableError
from hpo.tracking.gateway import Gateway
from hpo.tracking.keys import (
    OUTBOX_TAG,
    PARENT_TAG,
    RUN_KEY_TAG,
    TRIAL_NUMBER_TAG,
    parse_trial_run_key,
)
from hpo.tracking.ledger import KnownRun, WaitingOperation
from hpo.tracking.outbox import Outbox
from hpo.tracking.records import (
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
    describe,
    from_json,
    spooled_path,
)
from hpo.tracking.trial_run import STATUS_OF_STATE, OutcomeOf, RunOutcome, now_ms, outcome_tags
from hpo.tracking.uri import redact_text

logger = logging.getLogger(__name__)

RunOpened = Callable[[str, str, str], None]
"""Called with run key, run id and the page of a run once it exists."""

# MLflow answers BAD_REQUEST to some passing troubles of its database, such as a pool that has no
# connection left. What waits behind is held up for as long as it may take a person to mend that.
_DOUBTFUL_SECONDS = 300.0
# Besides, for that time may lie between two tries: a process that ends, and the next, a day later.
_DOUBTFUL_TRIES = 5
_WINDOW = 500


class Delivery:
    """Sends what waits in an outbox, in order. Used by one thread.

    The outbox of a dead owner is sent without setting runs RUNNING again, and `close_runs` then
    ends what the owner left open.
    """

    def __init__(
        self,
        outbox: Outbox,
        gateway: Gateway,
        on_run_opened: RunOpened | None = None,
        outcome_of: OutcomeOf | None = None,
    ) -> None:
        self._outbox = outbox
        self._ledger = outbox.ledger
        self._gateway = gateway
        self._on_run_opened = on_run_opened
        self._outcome_of = outcome_of
        self._owner_is_dead = outbox.abandoned_ms is not None
        self._comes_late = outbox.comes_late
        self._runs_with_refusals: set[str] = set()

    def step(self) -> int:
        """Send the oldest operation, with those right after it that fit into its request.

        Returns how many were settled, 0 where nothing waits. Raises RetryableError where the server cannot be
        used.
        """
        waiting = self._ledger.head(_WINDOW)
        if not waiting:
            return 0
        batch = self._batch(waiting)
        if len(batch) > 1:
            try:
                self._send_batch(batch)
            except PermanentError:
                # One of them is at fault: send them singly to find it.
                logger.debug("A batch of %d operations was refused", len(batch))
            else:
                self._settle([row for row, _ in batch])
                return len(batch)
        self._send_first(waiting[0])
        return 1

    def close_runs(self) -> None:
        """End the runs that a dead owner left open. Raises RetryableError where the server cannot be used."""
        ended_ms = self._outbox.abandoned_ms or 0
        for run in self._ledger.unfinished_runs():
            if run.shared and self._outbox.open_elsewhere(run.run_key):
                continue
            try:
                if not self._has_ended(run):
                    self._close(run, ended_ms)
                    logger.info("Run %s, whose process died, is closed", run.run_key)
            except PermanentError as refusal:
                logger.debug("Run %s cannot be closed: %s", run.run_key, refusal)
            self._ledger.mark_ended(run.run_key)

    def _close(self, run: KnownRun, ended_ms: int) -> None:
        """End a dead owner's run: as its trial ended, where it did before the owner could say so."""
        outcome = self._outcome(run.run_key)
        if outcome is None:
            self._gateway.log_batch(run.run_id, tags=run.if_abandoned)
            self._gateway.end_run(run.run_id, "KILLED", ended_ms)
            return
        # The same timestamp at each try, so that a point sent twice is one point.
        last = [MetricPoint(k, v, outcome.step, ended_ms) for k, v in outcome.metrics.items()]
        tags = outcome_tags(outcome.state, outcome.reason)
        self._gateway.log_batch(run.run_id, metrics=last, tags=tags)
        if outcome.keeps_model and outcome.model is not None:
            self._log_missing_model(run, outcome.model, outcome)
        self._gateway.end_run(run.run_id, STATUS_OF_STATE[outcome.state], ended_ms)

    def _outcome(self, run_key: str) -> RunOutcome | None:
        if self._outcome_of is None:
            return None
        try:
            return self._outcome_of(run_key)
        except HpoError as error:
            raise RetryableError(
                f"how the trial of {run_key} ended cannot be looked up: {error}"
            ) from error

    def _is_outdone(self, run_key: str) -> bool:
        """Whether a model that waited for long is no longer to be kept: its deletion may have come first."""
        outcome = self._outcome(run_key)
        return outcome is not None and not outcome.keeps_model

    def _log_missing_model(self, run: KnownRun, folder: Path, outcome: RunOutcome) -> None:
        operation = LogModel(
            RunRef("", run.run_key), run.run_key, "", folder.name, outcome.model_tags
        )
        if models.has_other_model(self._gateway, operation, run):
            return
        try:
            spooled = self._outbox.spool_folder(folder, bounded=False)
        except TrackingError as error:  # outdone by another trial, and dropped, meanwhile
            logger.debug("The model of %s is not logged: %s", run.run_key, error)
            return
        path = self._outbox.spool / spooled.path
        models.log_trial_model(self._gateway, operation, path, run, repeated=True)
        self._outbox.discard(spooled.path)

    def _batch(
        self, waiting: Sequence[WaitingOperation]
    ) -> list[tuple[WaitingOperation, LogMetrics | SetTags]]:
        """The first operations as long as they are metrics and tags of one run."""
        batch: list[tuple[WaitingOperation, LogMetrics | SetTags]] = []
        for row in waiting:
            if row.kind not in ("LogMetrics", "SetTags") or row.run_key != waiting[0].run_key:
                break
            try:
                operation = from_json(row.kind, row.body)
            except (ValueError, TypeError, KeyError):
                break
            assert isinstance(operation, LogMetrics | SetTags)
            if operation.run.key != row.run_key:
                break
            batch.append((row, operation))
        return batch

    def _send_batch(self, batch: Sequence[tuple[WaitingOperation, LogMetrics | SetTags]]) -> None:
        points: list[MetricPoint] = []
        tags: dict[str, str] = {}
        for _, operation in batch:
            if isinstance(operation, LogMetrics):
                points += operation.points
            else:
                tags |= operation.tags
        run = self._known(batch[0][1].run)
        if tags and self._comes_late:
            # What is there may be of later than these.
            there = self._gateway.run_tags(run.run_id)
            tags = {key: value for key, value in tags.items() if key not in there}
        self._gateway.log_batch(run.run_id, metrics=points, tags=tags)

    def _send_first(self, row: WaitingOperation) -> None:
        try:
            operation = from_json(row.kind, row.body)
        except (ValueError, TypeError, KeyError) as error:
            self._keep_aside(row, f"{row.kind} of {row.run_key}", f"unreadable: {error}")
            return
        if (row.run_key, row.spooled) != (operation.run.key, spooled_path(operation)):
            self._keep_aside(row, describe(operation), "damaged: its row differs from what it says")
            return
        damage = self._outbox.damage_of(operation)
        if damage is not None and not self._made_again(operation):
            self._keep_aside(row, describe(operation), damage)
            return
        try:
            self._send(row, operation)
        except PermanentError as refusal:
            if refusal.doubtful and self._may_pass(row):
                raise DoubtfulError(str(refusal)) from refusal
            may_pass_later = refusal.doubtful or self._ledger.has_rejected(row.run_key, "OpenRun")
            self._reject(row, describe(operation), str(refusal), keep_files=may_pass_later)
            return
        self._settle([row])

    def _made_again(self, operation: Operation) -> bool:
        """Whether the files of an operation, which are damaged, are there anew: a model that is kept."""
        outcome = self._outcome(operation.run.key) if isinstance(operation, LogModel) else None
        if outcome is None or outcome.model is None:
            return False
        assert isinstance(operation, LogModel)
        try:
            self._outbox.respool(operation.spooled, outcome.model)
        except TrackingError as error:
            logger.debug("%s is not made again: %s", describe(operation), error)
            return False
        return True

    def _may_pass(self, row: WaitingOperation) -> bool:
        """Count a doubtful refusal. Whether another try is worth holding up what waits behind it."""
        now = now_ms()
        doubt = self._ledger.doubt(row.id, now)
        return doubt.tries < _DOUBTFUL_TRIES or now - doubt.since_ms < _DOUBTFUL_SECONDS * 1000

    def _send(self, row: WaitingOperation, operation: Operation) -> None:
        gateway = self._gateway
        match operation:
            case OpenRun():
                self._open(row, operation)
            case LogMetrics() | SetTags():
                self._send_batch([(row, operation)])
            case LogArtifact():
                path = self._outbox.spool / operation.spooled
                gateway.log_artifact(
                    self._known(operation.run).run_id, path, operation.artifact_path
                )
            case LogDataset():
                gateway.log_dataset(self._known(operation.run).run_id, operation)
            case TagExperiment():
                gateway.tag_experiment(self._known(operation.run).experiment_id, operation.tags)
            case LogModel() | PublishModel():
                self._log_model(row, operation)
            case DropModels():
                models.drop_models(gateway, operation)
            case EndRun():
                self._end(operation)
            case EndEarlierAttempts():
                self._end_earlier_attempts(operation)

    def _open(self, row: WaitingOperation, operation: OpenRun) -> None:
        tags = {RUN_KEY_TAG: operation.run.key, OUTBOX_TAG: self._outbox.key}
        if operation.parent_key:
            parent = self._find(RunRef(operation.run.experiment, operation.parent_key))
            if parent is not None:
                tags[PARENT_TAG] = parent.run_id
        found = self._gateway.open_run(
            operation,
            tags,
            reopen=not self._owner_is_dead,
            before_creation=lambda: self._ledger.mark_attempted(row.id),
        )
        run = KnownRun(
            operation.run.key,
            found.run_id,
            found.experiment_id,
            operation.shared,
            row.attempted,
            operation.if_abandoned,
        )
        self._ledger.remember_run(run)
        if self._on_run_opened:
            url = self._gateway.url(run.experiment_id, run.run_id)
            try:
                self._on_run_opened(run.run_key, run.run_id, url)
            except HpoError as error:
                # The study's storage is away: opened once more when it is back, the run is the same.
                raise RetryableError(
                    f"the run of {run.run_key} cannot be noted: {error}"
                ) from error
            except Exception:
                logger.exception("Noting the MLflow run of %s elsewhere failed", run.run_key)
        if operation.params:
            self._gateway.log_batch(run.run_id, params=operation.params)

    def _log_model(self, row: WaitingOperation, operation: LogModel | PublishModel) -> None:
        if isinstance(operation, LogModel) and self._is_outdone(operation.run.key):
            return
        run = self._known(operation.run)
        folder = self._outbox.spool / operation.spooled
        repeated, late = row.attempted or self._comes_late, self._comes_late
        self._ledger.mark_attempted(row.id)
        if isinstance(operation, LogModel):
            models.log_trial_model(self._gateway, operation, folder, run, repeated=repeated)
        else:
            models.publish_model(self._gateway, operation, folder, run, late=late)

    def _end(self, operation: EndRun) -> None:
        run = self._find(operation.run)
        if run is None:
            if operation.only_if_there:
                return
            raise PermanentError("there is no such run")
        if self._owner_is_dead and run.shared and self._went_on(run, operation.end_ms):
            return
        if self._comes_late and run.shared and self._has_ended(run):
            return
        if operation.tags:
            self._gateway.log_batch(run.run_id, tags=operation.tags)
        self._gateway.end_run(run.run_id, operation.status, operation.end_ms)
        if run.doubtful:
            self._gateway.remove_doubles(
                operation.run.experiment, run.run_key, self._outbox.key, run.run_id
            )
        self._ledger.mark_ended(run.run_key)

    def _end_earlier_attempts(self, operation: EndEarlierAttempts) -> None:
        gateway = self._gateway
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
                self._ledger.mark_ended(key)

    def _has_ended(self, run: KnownRun) -> bool:
        return self._gateway.run_end_ms(run.run_id) is not None

    def _went_on(self, run: KnownRun, time_ms: int) -> bool:
        """Whether another process has a shared run open, or ended it after this time."""
        if self._outbox.open_elsewhere(run.run_key):
            return True
        ended_ms = self._gateway.run_end_ms(run.run_id)
        return ended_ms is not None and ended_ms > time_ms

    def _known(self, ref: RunRef) -> KnownRun:
        run = self._find(ref)
        if run is None:
            raise PermanentError("there is no such run")
        return run

    def _find(self, ref: RunRef) -> KnownRun | None:
        """The run as this outbox opened it, or as the server has it where another process did."""
        known = self._outbox.run(ref.key)
        if known is not None:
            return known
        found = self._gateway.find_runs(ref.experiment, ref.key)
        if not found:
            return None
        return KnownRun(ref.key, found[0].run_id, found[0].experiment_id, True, False, {})

    def _settle(self, rows: Sequence[WaitingOperation]) -> None:
        size = self._ledger.done([row.id for row in rows])
        self._outbox.arrived(len(rows), size)
        self._discard_files(rows)

    def _reject(
        self, row: WaitingOperation, what: str, reason: str, *, keep_files: bool = False
    ) -> None:
        # A run that was deleted refuses everything: one warning for it is enough.
        level = logging.DEBUG if row.run_key in self._runs_with_refusals else logging.WARNING
        self._runs_with_refusals.add(row.run_key)
        logger.log(level, "MLflow refuses to %s: %s", what, redact_text(reason))
        self._put_aside(row, reason)
        if not keep_files:
            self._discard_files([row])

    def _keep_aside(self, row: WaitingOperation, what: str, damage: str) -> None:
        """Send nothing of an operation that is not as it was written, and say so; its files stay too."""
        logger.warning(
            "Not sent to MLflow, but kept as rejected: %s; %s", what, redact_text(damage)
        )
        self._put_aside(row, damage)

    def _put_aside(self, row: WaitingOperation, reason: str) -> None:
        self._outbox.arrived(1, self._ledger.reject(row, reason))

    def _discard_files(self, rows: Sequence[WaitingOperation]) -> None:
        for row in rows:
            if row.spooled:
                self._outbox.discard(row.spooled)


class DoubtfulError(Exception):
    """MLflow refused an operation in a way that may pass; it is worth another try soon."""
