"""A worker's work on one study: claim a trial, train it, tell the storage and MLflow, until the budget is met."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optuna.trial import TrialState

from hpo.errors import StudyFailedError
from hpo.leases.budget import NoTrial, claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.leases.lease import LeaseLost
from hpo.model.weights_file import weights_digest
from hpo.results.dashboard_drawings import show_with_trial
from hpo.results.leaderboard import leaderboard, top_numbers
from hpo.results.presentation import end_in_words, present_study, present_trial
from hpo.runtime.events import Listener, TrialEnded, TrialEvaluated, TrialStarted
from hpo.runtime.kept_models import KeptModels, keep_trained
from hpo.runtime.preparation import Prepared, told_params, trial_params
from hpo.runtime.study_folder import study_folder
from hpo.runtime.trainings import Training, Trainings
from hpo.runtime.trial_end import BrokenOff, Ended, end_by, end_of
from hpo.runtime.trial_report import TUNED, dashboard_columns, log_confusion, log_evaluation
from hpo.spec.options import OptionValue
from hpo.spec.training import TrialParams
from hpo.studies.confirmations import run_key
from hpo.studies.memory import recall, remember
from hpo.studies.studies import OpenStudy
from hpo.tracking.tracker import StudyTracker
from hpo.tracking.trial_run import TrialRun
from hpo.training.checkpoint import CheckpointFile
from hpo.training.folds import FoldedTraining
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.micro_batches import MicroBatches
from hpo.training.result import Evaluation, TrialResult, Verdict

logger = logging.getLogger(__name__)

_MICRO_BATCH = "micro_batch"
_MOST_FAILURES_IN_A_ROW = 5
_WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class _Attempt:
    """One attempt at a trial: the claim on it, its MLflow run, and where it goes on from."""

    claim: Claim
    run: TrialRun
    checkpoint: CheckpointFile

    def break_off(self, reason: str) -> None:
        """Leave the run of a trial that this worker cannot go on with, or of one that has its end already."""
        if self.claim.is_over:
            self.run.leave()
        else:
            self.run.abandon(reason)


@dataclass
class StudyWork:
    """Work on one study in this process. The tracker's and the worker's life is the caller's."""

    study: OpenStudy
    prepared: Prepared
    tracker: StudyTracker
    worker: Worker
    state: Path
    on_event: Listener
    should_stop: Callable[[], bool]
    _failures_in_a_row: int = 0
    micro_batches: MicroBatches = field(init=False)
    _trainings: Trainings = field(init=False)
    _models: KeptModels = field(init=False)

    def __post_init__(self) -> None:
        known = recall(self.study.storage, self.study.study_id, _MICRO_BATCH)
        self.micro_batches = MicroBatches(known if isinstance(known, int) else None)
        self._trainings = Trainings(self.study, self.prepared, self.micro_batches)
        self._models = KeptModels(self.state, self.study.name, self.study.uid)

    def next_trial(self) -> NoTrial | None:
        """Take one trial and bring it to its end; why there was none, where there was none."""
        claim = claim_trial(self.study, self.worker)
        if isinstance(claim, NoTrial):
            return claim
        self._try(claim)
        return None

    def _try(self, claim: Claim) -> None:
        """One attempt at a trial, to whatever end."""
        started = time.monotonic()
        self.on_event(TrialStarted(claim.number, claim.attempt))
        end: Ended | None = None
        try:
            with claim:
                end = self._attempt(claim)
        except LeaseLost:
            logger.info("trial %d went to another worker", claim.number)
        except TrialInterrupted:
            logger.info("trial %d was given back unfinished", claim.number)
        told = ("RELEASED", None, None) if end is None else (end.state, end.value, end.reason)
        state, value, reason = told
        seconds = time.monotonic() - started
        self.on_event(TrialEnded(claim.number, state, value, seconds, reason, claim.point))
        if end is not None:
            self._count_failure(end)

    def _attempt(self, claim: Claim) -> Ended:
        """Train the trial and close it; raises what ends the attempt and not the trial."""
        params = trial_params(self.study.spec, claim.suggest())
        told = told_params(self.study.spec, params, self.prepared.context.task.name)
        run = self._start_run(claim, told)
        attempt = _Attempt(claim, run, self.checkpoint_of(claim.number))
        end: Ended | None = None
        try:
            trial, result = self._train(params, attempt)
            end = end_of(result)
            self._close(attempt, end, self._keep(trial, result, attempt))
            return end
        except Exception as error:
            found = end_by(error, storage=self.study.storage.redacted, state=self.state)
            if isinstance(found, BrokenOff):
                attempt.break_off(found.reason)
                if found.error is error:
                    raise
                raise found.error from error
            if end is not None and claim.is_over:
                # It has its end; a fault in what comes after must not give it another.
                logger.error("what follows trial %d failed", claim.number, exc_info=error)
                return end
            logger.error("trial %d failed: %s", claim.number, found.reason, exc_info=error)
            self._close(attempt, found)
            return found

    def _train(self, params: TrialParams, attempt: _Attempt) -> tuple[Training, TrialResult]:
        """Train from the checkpoint, where there is one, telling of each evaluation."""
        attempt.claim.note_environment(self.prepared.environment())
        trial = self._trainings.of(attempt.claim.trial, params)
        self._log_earlier_evaluations(trial, attempt)
        result = trial.run(
            lambda evaluation: self._on_evaluation(evaluation, trial, attempt),
            checkpoint=attempt.checkpoint,
            should_stop=self.should_stop,
        )
        return trial, result

    def _start_run(self, claim: Claim, told: Mapping[str, OptionValue | None]) -> TrialRun:
        confirms = run_key(claim.trial)[:2] if self.study.confirms else None
        return self.tracker.start_trial(claim.number, claim.attempt, told, confirms)

    def _keep(self, trial: Training, result: TrialResult, attempt: _Attempt) -> str | None:
        """Keep what training found out, before the trial ends, and a complete trial's model.

        A trial over folds trains as many models and keeps none: the champion's is trained by itself.

        Returns:
            The confusion matrix of a complete trial, as SVG, if its texts are of one class each.
        """
        if result.micro_batch is not None:
            remember(self.study.storage, self.study.study_id, _MICRO_BATCH, result.micro_batch)
        attempt.claim.set_user_attrs(dashboard_columns(result))
        if result.end == "pruned":
            return None
        if not self.study.confirms:
            attempt.claim.keep_probabilities(result.probabilities)
        if isinstance(trial, TrialTraining) and not self.study.confirms:
            attempt.claim.note_weights(weights_digest(trial.classifier.parameters))
            keep_trained(
                self._models,
                self.study.spec,
                attempt.claim.number,
                trial,
                trial.tuned_task,
                result.value,
            )
        elif isinstance(trial, FoldedTraining) and trial.tuned_facts:
            attempt.claim.set_user_attrs({TUNED: dict(trial.tuned_facts)})
        return log_confusion(attempt.run, result, self.prepared.context.data.label_names)

    def _close(self, attempt: _Attempt, end: Ended, drawing: str | None = None) -> None:
        """Give the trial its end everywhere, in the order in which a dead worker's are made up for.

        Args:
            attempt: What is closed.
            end: What the storage, MLflow and the dashboard are told.
            drawing: The confusion matrix of a complete trial, as SVG, where it has one.
        """
        claim, run, complete = attempt.claim, attempt.run, end.state == "COMPLETE"
        claim.finish(TrialState[end.state], end.value if complete else None, reason=end.reason)
        leads = complete and self._take_its_place(attempt, drawing)
        best = f"val/best_{self.study.spec.study.metric}"
        words = end_in_words(self.study.storage, self.study.uid, claim.number)
        run.finish(
            end.state,
            {} if end.value is None else {best: end.value},
            reason=end.reason,
            note=f"**The best trial when it ended.** {words}" if leads else words,
        )
        present_trial(self.study.storage, self.study.uid, claim.number)
        if leads:
            present_study(self.study, self.tracker)
        attempt.checkpoint.remove()

    def _take_its_place(self, attempt: _Attempt, drawing: str | None) -> bool:
        """Show a complete trial, and keep its model where it is among the best; whether it leads now."""
        claim, run = attempt.claim, attempt.run
        try:
            if drawing is not None:
                show_with_trial(
                    self.study.storage, claim.trial_id, self.state, "confusion_matrix.svg", drawing
                )
            entries = self.study.read(leaderboard)
            kept = top_numbers(entries, self.study.kept_models)
            if claim.number in kept:
                self._models.log(claim.number, run)
            self._models.drop_outdone(entries, kept, claim.number, self.tracker)
        except BaseException:
            # Ended now, it would stay without its model.
            run.leave()
            raise
        return entries[0].number == claim.number

    def checkpoint_of(self, number: int) -> CheckpointFile:
        """Where a trial goes on from after an interruption."""
        folder = study_folder(self.state, self.study.name, self.study.uid)
        path = folder / "checkpoints" / f"trial-{number:04d}.safetensors"
        return CheckpointFile(path, self.study.spec.training.checkpoint)

    def _log_earlier_evaluations(self, trial: Training, attempt: _Attempt) -> None:
        """Give the attempt's run the whole course of the trial, and Optuna nothing beyond the checkpoint."""
        claim = attempt.claim
        trial.resume(attempt.checkpoint)
        for evaluation in trial.history:
            log_evaluation(attempt.run, evaluation)
        if not claim.is_new:
            reported = [evaluation for evaluation in trial.history if evaluation.is_reported]
            claim.forget_reports_after(reported[-1].index if reported else 0)
            for evaluation in reported:
                # The checkpoint is sealed, and what was reported by then is not.
                claim.report(self._value(evaluation), evaluation.index)

    def _on_evaluation(self, evaluation: Evaluation, trial: Training, attempt: _Attempt) -> Verdict:
        claim, run, value = attempt.claim, attempt.run, self._value(evaluation)
        log_evaluation(run, evaluation)
        run.log_system(evaluation.examples_seen)
        if evaluation.is_reported:
            claim.report(value, evaluation.index)
        self.on_event(TrialEvaluated(claim.number, evaluation.step / trial.steps, value))
        if not evaluation.is_reported:
            return Verdict.GO_ON
        return Verdict.PRUNE if claim.should_prune() else Verdict.GO_ON

    def _value(self, evaluation: Evaluation) -> float:
        return evaluation.metrics[f"val/{self.study.spec.study.metric}"]

    def _count_failure(self, end: Ended) -> None:
        """Raise StudyFailedError after many failures with no trial between them that trained."""
        if end.state != "FAIL":
            self._failures_in_a_row = 0
            return
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _MOST_FAILURES_IN_A_ROW:
            raise StudyFailedError(
                f"study {self.study.name}",
                found=f"{self._failures_in_a_row} failed trials in a row, the last because {end.reason}",
                expected="trials that train",
                hint="Narrow the search space (a lower learning rate, smaller batches) or mend the data.",
            )


def until_done(next_trial: Callable[[], NoTrial | None], should_stop: Callable[[], bool]) -> bool:
    """Take trials until no budget has one left (True) or somebody asks to stop (False).

    Args:
        next_trial: Brings one to its end, or says why there was none; what it raises is raised.
        should_stop: Asked before each.
    """
    while not should_stop():
        outcome = next_trial()
        if outcome is NoTrial.DONE:
            return True
        if outcome is NoTrial.WAIT:
            time.sleep(_WAIT_SECONDS)
    return False
