"""A trial over folds: one training after the other, whose mean score is the trial's."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hpo.data.batches import steps_per_epoch
from hpo.spec.training import TrialParams
from hpo.tasks.metrics import recalls
from hpo.tasks.task import tuned_facts
from hpo.training.checkpoint import CheckpointFile
from hpo.training.fold_scores import FoldsCheckpoint, FoldScore, finished_folds, mean_evaluation
from hpo.training.loop import TrialTraining
from hpo.training.micro_batches import MicroBatches
from hpo.training.result import End, Evaluation, TrialResult, Verdict
from hpo.training.time_parts import sum_of_parts
from hpo.training.trial_context import TrialContext

logger = logging.getLogger(__name__)


class FoldedTraining:
    """One trial in training on the folds of its study, in turn.

    Each fold is a training of its own, from the trial's parameters and seed. Its evaluations are told
    on the way, and after it the mean over the folds so far. A trial is given up within its first fold,
    where it is compared as any other would be, or after a fold: then trials are compared that are
    equally far, and the mean of some folds with a part of the next is compared with nothing.

    Attributes:
        history: All evaluations so far, in the order in which they were told.
        steps: Updates of the weights in all folds together, where none stops early.
        tuned_facts: After the end, what the task has learnt from the texts that the folds left out; JSON.
    """

    def __init__(
        self,
        context: TrialContext,
        params: TrialParams,
        *,
        seed: int,
        evaluations_a_fold: int,
        scored_at: Sequence[int] = (),
        micro_batches: MicroBatches | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is trained yet.

        Args:
            context: With the folds.
            params: The trial's.
            seed: The trial's, of each of its folds.
            evaluations_a_fold: The most that a trial of the study may have: after its k-th fold each
                trial reports at k times as many.
            scored_at: Of each fold the evaluation that counts; empty: each fold's best.
            micro_batches: What fits into memory.
            clock: Tells the time in seconds.
        """
        self.context = context
        self.params = params
        self.seed = seed
        self.micro_batches = micro_batches or MicroBatches()
        self.history: list[Evaluation] = []
        self.tuned_facts: Mapping[str, Any] = {}
        self._evaluations_a_fold = evaluations_a_fold
        self._scored_at = scored_at
        self._clock = clock
        self._finished: list[FoldScore] = []
        self._running: TrialTraining | None = None
        self._steps = [
            params.epochs * steps_per_epoch(fold.train.count(context.data), params.batch_size)
            for fold in context.folds
        ]
        self.steps = sum(self._steps)

    def resume(self, checkpoint: CheckpointFile) -> bool:
        """Go on from a checkpoint of this same trial, as `TrialTraining.resume` does."""
        saved = checkpoint.read()
        if saved is None:
            return False
        try:
            finished, history = finished_folds(saved)
        except (ValueError, LookupError) as error:
            logger.warning("%s is damaged (%s); its trial begins anew", checkpoint.path, error)
            return False
        if len(finished) >= len(self.context.folds):
            return False
        running = self._training(len(finished))
        if not running.resume(FoldsCheckpoint(checkpoint, finished, history)):
            return False
        self._finished, self.history, self._running = finished, history, running
        return True

    def run(
        self,
        on_evaluation: Callable[[Evaluation], Verdict],
        *,
        checkpoint: CheckpointFile | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> TrialResult:
        """Train on the folds that are left; arguments and errors are those of `TrialTraining.run`."""
        file = None
        if checkpoint is not None:
            file = FoldsCheckpoint(checkpoint, self._finished, self.history, clock=self._clock)
        while True:
            result = self._run_fold(on_evaluation, file, should_stop)
            if result.end == "pruned":
                return self._result("pruned")
            verdict = on_evaluation(self._told_after_fold())
            if len(self._finished) == len(self.context.folds):
                ends = {score.end for score in self._finished}
                return self._result("early" if "early" in ends else "finished")
            if verdict is Verdict.PRUNE:
                return self._result("pruned")

    def _training(self, fold: int) -> TrialTraining:
        return TrialTraining(
            self.context,
            self.params,
            seed=self.seed,
            texts=self.context.folds[fold],
            micro_batches=self.micro_batches,
            scored_at=self._scored_at[fold] if self._scored_at else None,
            clock=self._clock,
        )

    def _run_fold(
        self,
        on_evaluation: Callable[[Evaluation], Verdict],
        file: FoldsCheckpoint | None,
        should_stop: Callable[[], bool],
    ) -> TrialResult:
        number = len(self._finished)
        # Nothing else holds the training before: two of them need not fit into memory.
        training, self._running = self._running or self._training(number), None

        def told(evaluation: Evaluation) -> Verdict:
            self.history.append(self._within(evaluation, number))
            verdict = on_evaluation(self.history[-1])
            return verdict if self.history[-1].is_reported else Verdict.GO_ON

        result = training.run(told, checkpoint=file, should_stop=should_stop)
        self._finished.append(FoldScore.of(result))
        return result

    def _within(self, evaluation: Evaluation, fold: int) -> Evaluation:
        """An evaluation of a fold as one of the trial."""
        return replace(
            evaluation,
            fold=fold + 1,
            step=sum(self._steps[:fold]) + evaluation.step,
            examples_seen=evaluation.examples_seen
            + sum(score.examples_seen for score in self._finished),
        )

    def _told_after_fold(self) -> Evaluation:
        """The mean over the folds so far, with the spread and each fold's own."""
        metric, scores = self.context.metric, self._finished
        values = {
            f"fold_{number}/val/best_{metric}": score.value
            for number, score in enumerate(scores, start=1)
        }
        deviation = deviation_of([score.value for score in scores])
        spread = {} if deviation is None else {f"val/{metric}_std": deviation}
        mean = self._mean()
        told = replace(
            mean,
            examples_seen=sum(score.examples_seen for score in scores),
            metrics={**mean.metrics, **spread, **values},
        )
        self.history.append(told)
        return told

    def _mean(self) -> Evaluation:
        finished = len(self._finished)
        return mean_evaluation(
            [score.best for score in self._finished],
            index=finished * self._evaluations_a_fold,
            step=sum(self._steps[:finished]),
        )

    def _result(self, end: End) -> TrialResult:
        scores, data = self._finished, self.context.data
        task = self.context.task.of_trial(np.array(data.train.labels), self.params)
        mean = self._mean()
        validated = [fold.validation for fold in self.context.folds[: len(scores)]]
        texts = np.concatenate([part.positions(data) for part in validated])
        order = np.argsort(texts, kind="stable")
        probabilities = np.concatenate([score.probabilities for score in scores])[order]
        labels = np.array(data.train.labels)[texts[order]]
        matrix = task.confusion(probabilities, labels)
        self.tuned_facts = tuned_facts(task, probabilities, labels)
        return TrialResult(
            value=mean.metrics[f"val/{self.context.metric}"],
            best=mean,
            evaluations=sum(score.evaluations for score in scores),
            end=end,
            seconds=sum(score.seconds for score in scores),
            examples_seen=sum(score.examples_seen for score in scores),
            probabilities=probabilities,
            confusion=matrix,
            recalls=recalls(matrix),
            micro_batch=self.micro_batches.size,
            fold_values=tuple(score.value for score in scores),
            fold_evaluations=tuple(score.best.index for score in scores),
            parts=sum_of_parts([score.parts for score in scores]),
        )


def deviation_of(values: Sequence[float]) -> float | None:
    """The standard deviation of a sample (n - 1) of folds; None for a single one."""
    return statistics.stdev(values) if len(values) > 1 else None
