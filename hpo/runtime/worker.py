"""A worker's work on one study: claim a trial, train it, tell the storage and MLflow, until the budget is met."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from optuna.trial import TrialState

from hpo.errors import DiskError, HpoError, StudyFailedError, TrackingError
from hpo.leases.budget import NoTrial, claim_trial
from hpo.leases.claims import Claim, ClaimLost
from hpo.leases.heartbeat import Worker
from hpo.model.saved import save_trained
from hpo.results.dashboard_figures import show_with_trial
from hpo.results.figures import confusion_figure
from hpo.results.leaderboard import Entry, leaderboard, top_numbers
from hpo.results.presentation import present_study, present_trial
from hpo.runtime.events import Listener, TrialEnded, TrialEvaluated, TrialStarted
from hpo.runtime.kept_models import KeptModels, study_folder
from hpo.runtime.outcomes import EXAMPLES_SEEN, THREADS
from hpo.runtime.preparation import Prepared, trial_params
from hpo.search.samplers import seed_for
from hpo.storage.retries import database_error, fault_in_words
from hpo.studies.memory import recall, remember
from hpo.studies.studies import OpenStudy
from hpo.tracking.tracker import StudyTracker
from hpo.tracking.trial_run import TrialRun
from hpo.training.checkpoint import CheckpointFile
from hpo.training.evaluate import TrainingDiverged
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.micro_batches import BatchTooLarge, MicroBatches
from hpo.training.result import Evaluation, TrialResult, Verdict

logger = logging.getLogger(__name__)

_MICRO_BATCH = "micro_batch"
_MOST_FAILURES_IN_A_ROW = 5
_WAIT_SECONDS = 0.5


@dataclass
class StudyWork:
    """Work on one study in this process. The tracker's and the worker's life is the caller's."""

    study: OpenStudy
    prepared: Prepared
    tracker: StudyTracker
    worker: Worker
    state: Path
    study_uid: str
    on_event: Listener
    should_stop: Callable[[], bool]
    _failures_in_a_row: int = 0
    micro_batches: MicroBatches = field(init=False)
    _models: KeptModels = field(init=False)

    def __post_init__(self) -> None:
        known = recall(self.study.storage, self.study.study_id, _MICRO_BATCH)
        self.micro_batches = MicroBatches(known if isinstance(known, int) else None)
        self._models = KeptModels(self.state, self.study.name, self.study_uid)

    def until_done(self) -> bool:
        """Take trials until the budget is met (True) or somebody asks to stop (False).

        Raises StudyFailedError after many failures in a row, StorageError where the database stays away.
        """
        while not self.should_stop():
            outcome = self.next_trial()
            if outcome is NoTrial.DONE:
                return True
            if outcome is NoTrial.WAIT:
                time.sleep(_WAIT_SECONDS)
        return False

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
        state, value, reason = "RELEASED", None, None
        try:
            with claim:
                state, value, reason = self._attempt(claim)
        except ClaimLost:
            logger.info("trial %d went to another worker", claim.number)
        except TrialInterrupted:
            logger.info("trial %d was given back unfinished", claim.number)
        self.on_event(TrialEnded(claim.number, state, value, time.monotonic() - started, reason))
        self._count_failure(state, reason)

    def _attempt(self, claim: Claim) -> tuple[str, float | None, str | None]:
        spec = self.study.spec
        params = trial_params(spec, claim.suggest())
        run = self.tracker.start_trial(claim.number, claim.attempt, params.model_dump())
        checkpoint = self.checkpoint_of(claim.number)
        try:
            trial = TrialTraining(
                self.prepared.context,
                params,
                seed=seed_for(spec.study.seed, claim.number),
                micro_batches=self.micro_batches,
            )
            self._log_earlier_evaluations(trial, claim, run, checkpoint)
            result = trial.run(
                lambda evaluation: self._on_evaluation(evaluation, trial, claim, run),
                checkpoint=checkpoint,
                should_stop=self.should_stop,
            )
            ended = "PRUNED" if result.end == "pruned" else "COMPLETE", result.value, None
            self._complete(trial, result, claim, run)
            checkpoint.remove()
            return ended
        except (TrialInterrupted, ClaimLost) as interruption:
            run.abandon("stopped" if isinstance(interruption, TrialInterrupted) else "claim lost")
            raise
        except HpoError:
            _let_go(claim, run, "the worker cannot go on")
            raise
        except OSError as error:
            _let_go(claim, run, f"{type(error).__name__}: {error}")
            raise DiskError(
                str(error.filename or self.state),
                found=error.strerror or str(error),
                expected="a disk that can be written",
                hint="Free some space or mend the rights, and run the same command again.",
            ) from error
        except Exception as error:
            if database_error(error) is not None:
                _let_go(claim, run, "the storage cannot be used")
                place = self.study.storage.redacted
                raise fault_in_words(error, doing="working on a trial", place=place) from error
            if claim.is_over:
                # It has its end; a fault in what comes after must not give it another.
                logger.error("what follows trial %d failed", claim.number, exc_info=error)
                return ended
            reason = _reason(error)
            logger.error("trial %d failed: %s", claim.number, reason, exc_info=error)
            claim.finish(TrialState.FAIL, reason=reason)
            run.finish("FAIL", reason=reason)
            present_trial(self.study.storage, self.study_uid, claim.number)
            checkpoint.remove()
            return "FAIL", None, reason

    def checkpoint_of(self, number: int) -> CheckpointFile:
        """Where a trial goes on from after an interruption."""
        folder = study_folder(self.state, self.study.name, self.study_uid)
        path = folder / "checkpoints" / f"trial-{number:04d}.safetensors"
        return CheckpointFile(path, self.study.spec.training.checkpoint)

    def _log_earlier_evaluations(
        self, trial: TrialTraining, claim: Claim, run: TrialRun, checkpoint: CheckpointFile
    ) -> None:
        """Give the attempt's run the whole course of the trial, and Optuna nothing beyond the checkpoint."""
        trial.resume(checkpoint)
        for evaluation in trial.history:
            run.log(evaluation.metrics, evaluation.examples_seen)
        if not claim.is_new:
            claim.forget_reports_after(trial.history[-1].index if trial.history else 0)
            for evaluation in trial.history:
                # The checkpoint is sealed, and what was reported by then is not.
                claim.report(self._value(evaluation), evaluation.index)

    def _on_evaluation(
        self, evaluation: Evaluation, trial: TrialTraining, claim: Claim, run: TrialRun
    ) -> Verdict:
        value = self._value(evaluation)
        run.log(evaluation.metrics, evaluation.examples_seen)
        run.log_system(evaluation.examples_seen)
        claim.report(value, evaluation.index)
        self.on_event(TrialEvaluated(claim.number, evaluation.step / trial.steps, value))
        return Verdict.PRUNE if claim.should_prune() else Verdict.GO_ON

    def _value(self, evaluation: Evaluation) -> float:
        return evaluation.metrics[f"val/{self.study.spec.study.metric}"]

    def _complete(
        self, trial: TrialTraining, result: TrialResult, claim: Claim, run: TrialRun
    ) -> None:
        self._remember_micro_batch(result.micro_batch)
        claim.set_user_attrs(_attributes(result))
        best = {f"val/best_{self.study.spec.study.metric}": result.value}
        if result.end == "pruned":
            claim.finish(TrialState.PRUNED)
            run.finish("PRUNED", best)
            present_trial(self.study.storage, self.study_uid, claim.number)
            return
        folder = self._models.writing(claim.number)
        data, task = self.prepared.context.data, self.prepared.context.task
        facts = {
            "study": self.study.name,
            "number": claim.number,
            "params": trial.params.model_dump(),
            "value": result.value,
        }
        save_trained(folder, trial.classifier, task, data.label_names, data.max_length, facts)
        self._models.commit(claim.number)
        drawing = _log_confusion(run, result, data.label_names)
        claim.finish(TrialState.COMPLETE, result.value)
        try:
            show_with_trial(
                self.study.storage, claim.trial_id, self.state, "confusion_matrix.svg", drawing
            )
            entries = self.study.read(leaderboard)
            self._apply_keep_policy(entries, claim.number, run)
        except BaseException:
            # Ended now, it would stay without its model.
            run.leave()
            raise
        run.finish("COMPLETE", best)
        present_trial(self.study.storage, self.study_uid, claim.number)
        if entries[0].number == claim.number:
            present_study(self.study, self.tracker)

    def _apply_keep_policy(self, entries: Sequence[Entry], number: int, run: TrialRun) -> None:
        """Log the trial's model if it is among those to be kept; drop those that no longer are."""
        kept = top_numbers(entries, self.study.spec.tracking.kept_models)
        if number in kept:
            try:
                run.log_model(self._models.path(number))
            except TrackingError as error:
                # The weights stay here. Whoever closes the run logs them, where there is room by then.
                logger.warning("the model of trial %d is not logged yet: %s", number, error)
                run.leave()
        # Only trials on the leaderboard: another worker's may be written and not yet be there.
        outdone = ({entry.number for entry in entries} - kept) & self._models.numbers()
        self._models.drop(outdone)
        for other in outdone - {number}:
            self.tracker.drop_model(other)

    def _remember_micro_batch(self, size: int | None) -> None:
        if size is not None:
            remember(self.study.storage, self.study.study_id, _MICRO_BATCH, size)

    def _count_failure(self, state: str, reason: str | None) -> None:
        if state != "FAIL":
            self._failures_in_a_row = (
                0 if state in ("COMPLETE", "PRUNED") else self._failures_in_a_row
            )
            return
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _MOST_FAILURES_IN_A_ROW:
            raise StudyFailedError(
                f"study {self.study.name}",
                found=f"{self._failures_in_a_row} failed trials in a row, the last because {reason}",
                expected="trials that train",
                hint="Narrow the search space (a lower learning rate, smaller batches) or mend the data.",
            )


def _log_confusion(run: TrialRun, result: TrialResult, label_names: tuple[str, ...]) -> str:
    """Log the confusion matrix at the best evaluation and each class's recall. Returns its drawing."""
    document = {
        "columns": ["true label", *label_names, "recall"],
        "data": [
            [name, *map(int, row), round(float(recall), 4)]
            for name, row, recall in zip(label_names, result.confusion, result.recalls, strict=True)
        ],
    }
    run.log_text(json.dumps(document, ensure_ascii=False), "confusion_matrix.json")
    recalls = zip(recall_names(label_names), result.recalls, strict=True)
    metrics = {name: float(recall) for name, recall in recalls}
    run.log(metrics, result.best.examples_seen)
    drawing = confusion_figure(
        result.confusion,
        label_names,
        "Confusion on the validation split",
        f"at the best evaluation, after {result.best.epoch:.2f} epochs",
    )
    run.log_text(drawing, "confusion_matrix.svg")
    return drawing


def recall_names(label_names: Sequence[str]) -> list[str]:
    """A metric's name for each class, in the characters that MLflow allows and unlike all others."""
    allowed = [re.sub(r"[^\w. -]", "_", label)[:100] for label in label_names]
    names = [f"val/recall_{label}" for label in allowed]
    return [
        name if names.count(name) == 1 else f"{name}_{index}" for index, name in enumerate(names)
    ]


def _attributes(result: TrialResult) -> dict[str, float | int | str]:
    """What is worth a column in the Optuna dashboard."""
    scores = {
        name.removeprefix("val/"): value
        for name, value in result.best.metrics.items()
        if name.startswith("val/") and name != "val/loss"  # which is log_loss again
    }
    return {
        **scores,
        "epochs_run": round(
            result.examples_seen / max(result.best.examples_seen, 1) * result.best.epoch, 3
        ),
        EXAMPLES_SEEN: result.examples_seen,
        "seconds": round(result.seconds, 3),
        "examples_per_second": round(result.examples_seen / max(result.seconds, 1e-9), 1),
        "stopped": result.end,
        THREADS: torch.get_num_threads(),
    }


def _let_go(claim: Claim, run: TrialRun, reason: str) -> None:
    """Leave the run of a trial that this worker cannot go on with, or of one that has its end already."""
    if claim.is_over:
        run.leave()
    else:
        run.abandon(reason)


def _reason(error: Exception) -> str:
    if isinstance(error, TrainingDiverged | BatchTooLarge):
        return str(error)
    return f"{type(error).__name__}: {error}"
