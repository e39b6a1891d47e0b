"""The training loop of a trial: steps, evaluations, early stopping, checkpoints.

A trial knows nothing of studies, storages or processes. It takes a model, data and parameters, tells
of each evaluation through a callback, and returns its result. Given its seed it is a pure function
of them: the same trial run again, or resumed from a checkpoint, gives the same numbers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hpo.data.batches import epoch_batches, steps_per_epoch
from hpo.model.classifier import Classifier
from hpo.model.inputs import Batch, SplitInputs
from hpo.spec.training import TrialParams
from hpo.tasks.metrics import recalls
from hpo.tasks.task import Task
from hpo.training.allocator import keep_freed_memory
from hpo.training.checkpoint import CheckpointFile
from hpo.training.cuda_graphs import passes_on
from hpo.training.determinism import choose_deterministic_kernels
from hpo.training.evaluate import evaluate, evaluations_by_step, improves_on
from hpo.training.identity import identity_of, is_same_trial
from hpo.training.micro_batches import MicroBatches
from hpo.training.optimizer import TrialOptimizer
from hpo.training.progress import Progress, TrainingState
from hpo.training.result import End, Evaluation, TrialResult, Verdict
from hpo.training.saved_progress import damage_in_facts
from hpo.training.schedule import learning_rate_factor
from hpo.training.stages import Stage, stage_at, stage_metrics, stages_of
from hpo.training.time_parts import time_parts
from hpo.training.trial_context import TrialContext
from hpo.training.trial_data import TrialData

logger = logging.getLogger(__name__)


class TrialInterrupted(Exception):  # noqa: N818
    """Somebody asked the trial to stop; its checkpoint is written, so that it can go on later."""


class TrialTraining:
    """One trial in training. The evaluation with the index `scored_at` counts; where that is None, the best."""

    def __init__(
        self,
        context: TrialContext,
        params: TrialParams,
        *,
        seed: int,
        texts: TrialData | None = None,
        micro_batches: MicroBatches | None = None,
        scored_at: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.context = context
        self.params = params
        self.seed = seed
        self.texts = texts or TrialData()
        self.micro_batches = micro_batches or MicroBatches()
        self.scored_at = scored_at
        self._clock = clock
        device = context.features.device
        keep_freed_memory()
        choose_deterministic_kernels(device)
        self.steps_per_epoch = steps_per_epoch(
            self.texts.train.count(context.data), params.batch_size
        )
        self.steps = self.steps_per_epoch * params.epochs
        self.task = context.task.of_trial(self.texts.train.labels(context.data), params)
        self.stages = stages_of(context, self.task, params, self.texts, self.steps_per_epoch)
        self.stage = self.stages[0]
        self.training_pass = passes_on(device)
        self.dropout = context.dropout(params, seed)
        classifier = context.classifier(
            self.task, self.stage.trained, self.stage.embedding_rows, seed
        )
        optimizer = context.optimizer(classifier, params)
        self.state = TrainingState(classifier, optimizer, self.dropout, self.micro_batches)

    @property
    def classifier(self) -> Classifier:
        """What is trained now; after the end, what was best."""
        return self.state.classifier

    @property
    def optimizer(self) -> TrialOptimizer:
        """The update rule over what is trained now."""
        return self.state.optimizer

    @property
    def train_inputs(self) -> SplitInputs:
        """The training texts as `classifier` reads them in the epoch at hand."""
        return self.stage.train_in(self.progress.step // self.steps_per_epoch)

    @property
    def validation_inputs(self) -> SplitInputs:
        """The validation texts as `classifier` reads them."""
        return self.stage.validation

    @property
    def progress(self) -> Progress:
        """Where the trial is."""
        return self.state.progress

    @property
    def history(self) -> Sequence[Evaluation]:
        """All evaluations so far, those before `resume` included."""
        return self.progress.history

    @property
    def tuned_task(self) -> Task:
        """The task as the classifier answers it whose weights `run` has left."""
        labels = self.validation_inputs.labels
        return self.task.tuned(self.progress.best_probabilities, labels)

    def resume(self, checkpoint: CheckpointFile) -> bool:
        """Go on from a checkpoint of this same trial; False, and nothing changed, where there is none.

        Same means: parameters, seed, model, data and number format. Call it before `run`.
        """
        saved = checkpoint.read()
        if saved is None:
            return False
        if not is_same_trial(saved.facts.get("trial", {}), self._identity()):
            logger.warning("%s is of another trial; this one starts anew", checkpoint.path)
            return False
        damage = damage_in_facts(saved.facts, self.steps)
        if damage is not None:
            logger.warning("%s is damaged (%s); its trial begins anew", checkpoint.path, damage)
            return False
        # Of the last step that was made: a stage begins with its first step and not a moment before.
        self._enter(stage_at(self.stages, saved.facts["step"] - 1))
        self.state.restore(saved)
        return True

    def run(
        self,
        on_evaluation: Callable[[Evaluation], Verdict],
        *,
        checkpoint: CheckpointFile | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> TrialResult:
        """Train to the end, the best weights left in the classifier.

        Args:
            checkpoint: Where to write how far the trial is.
            should_stop: Asked after every step.

        Raises:
            TrainingDiverged: The loss is not a number.
            TrialInterrupted: `should_stop` said so; the checkpoint is written.
            BatchTooLarge: A single text does not fit into memory.
            Exception: Whatever `on_evaluation` raises.
        """
        started = self._clock() - self.progress.seconds
        last_saved = self._clock()
        evaluations = evaluations_by_step(
            self.steps, self.context.settings.evaluations_per_epoch * self.params.epochs
        )
        end: End = "finished"
        for texts in self._remaining_batches():
            self._enter(stage_at(self.stages, self.progress.step))
            self._train_step(texts)
            evaluation = evaluations.get(self.progress.step)
            if evaluation is not None:
                self.progress.seconds = self._clock() - started
                with self.state.evaluation_weights():
                    told = self._evaluate(evaluation)
                with self.progress.waiting(self._clock):
                    verdict = on_evaluation(told)
                if self.progress.step == self.steps:
                    break
                if verdict is Verdict.PRUNE:
                    end = "pruned"
                    break
                if self._has_waited_enough():
                    end = "early"
                    break
            stopping = should_stop()
            if checkpoint is not None and (
                stopping
                or (
                    evaluation is not None
                    and checkpoint.is_due(self._clock() - last_saved, self.state.checkpoint_bytes)
                )
            ):
                self.progress.seconds = self._clock() - started
                checkpoint.write(self.state.checkpoint(self._identity()), clock=self._clock)
                last_saved = self._clock()
            if stopping:
                raise TrialInterrupted
        self.progress.seconds = self._clock() - started
        return self._result(end)

    def run_for(
        self,
        steps: int,
        *,
        on_step: Callable[[float], None] = lambda share: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train up to a step without a look at the validation texts, the last weights left.

        Args:
            steps: From the beginning, at most `self.steps`.
            on_step: Told after each step which share of them is made.
            should_stop: Asked after every step.

        Raises:
            TrialInterrupted: `should_stop` said so.
            BatchTooLarge: A single text does not fit into memory.
        """
        for texts in self._remaining_batches():
            self._enter(stage_at(self.stages, self.progress.step))
            self._train_step(texts)
            on_step(self.progress.step / steps)
            if self.progress.step == steps:
                break
            if should_stop():
                raise TrialInterrupted
        with self.state.evaluation_weights():
            weights, decay = self.classifier.snapshot(), self.classifier.decay
        self.classifier.restore(weights, decay)

    def _enter(self, stage: Stage) -> None:
        """Train what a stage trains, with all that was learnt so far."""
        if stage is self.stage:
            return
        self.stage = stage
        classifier = self.classifier.unfrozen(stage.trained, stage.embedding_rows)
        self.state.go_on_with(classifier, self.context.optimizer(classifier, self.params))
        self.training_pass = passes_on(self.context.features.device)

    def _has_waited_enough(self) -> bool:
        """Whether to stop early; never before the last stage, which all the others are for, nor the score."""
        if self.stage is not self.stages[-1] or self.history[-1].index < (self.scored_at or 0):
            return False
        return 0 < self.context.settings.early_stopping <= self.progress.without_improvement

    def _remaining_batches(self) -> Iterator[NDArray[np.int64]]:
        size = self.params.batch_size
        first_epoch, skip = divmod(self.progress.step, self.steps_per_epoch)
        for epoch in range(first_epoch, self.params.epochs):
            inputs = stage_at(self.stages, self.progress.step).train_in(epoch)
            lengths, among = inputs.split.lengths, inputs.indices
            batches = epoch_batches(lengths, size, seed=self.seed, epoch=epoch, among=among)
            yield from batches[skip:]
            skip = 0

    def _train_step(self, texts: NDArray[np.int64]) -> None:
        """One update of the weights. texts: indices of the batch's texts, (batch,)."""
        random = self.dropout.state()

        def forward_and_backward(batch: Batch) -> Tensor:
            logits = self.classifier.logits(batch.inputs, batch.layout, self.dropout)
            loss = self.task.loss(logits, batch.labels, weights=batch.weights, params=self.params)
            self.optimizer.backward(loss / len(texts))
            return loss.detach()

        def accumulate(part: NDArray[np.int64], batch_size: int) -> Tensor:
            batch = self.train_inputs.batch(part)
            return self.training_pass(forward_and_backward, batch, batch_size)

        def begin_again() -> None:
            self.optimizer.clear_gradients()
            self.dropout.restore(random)

        loss = self.micro_batches.run(texts, accumulate, clear=begin_again)
        factor = self._factor(self.progress.step)
        self.optimizer.clip_gradients()
        self.optimizer.step(factor)
        self.optimizer.clear_gradients()
        self.classifier.decay *= self.optimizer.decay_of_unused_rows(factor)
        self.progress.count(loss, len(texts))

    def _factor(self, step: int) -> float:
        """The share of the peak learning rate at a step."""
        return learning_rate_factor(
            step, steps=self.steps, params=self.params, history=self.history
        )

    def _evaluate(self, index: int) -> Evaluation:
        progress = self.progress
        epoch, train_loss = progress.step / self.steps_per_epoch, progress.take_mean_loss()
        with progress.evaluating(self._clock):
            probabilities, scores = evaluate(
                self.classifier,
                self.validation_inputs,
                self.task,
                train_loss,
                metric=self.context.metric,
                at=f"step {progress.step} of {self.steps}",
            )
        evaluation = Evaluation(
            index=index,
            step=progress.step,
            epoch=epoch,
            examples_seen=progress.examples_seen,
            # In the order in which MLflow's page of a run lists them.
            metrics={
                **scores,
                "train/loss": train_loss,
                "train/learning_rate": self.params.learning_rate * self._factor(progress.step - 1),
                "work/epoch": epoch,
                "work/examples_per_second": progress.examples_seen / max(progress.seconds, 1e-9),
                **stage_metrics(self.stages, self.stage),
            },
        )
        improved = improves_on(self.history, evaluation, self.context.metric)
        counts = improved if self.scored_at is None else index <= self.scored_at
        progress.note(evaluation, probabilities, self.classifier, improved=improved, counts=counts)
        return evaluation

    def _result(self, end: End) -> TrialResult:
        progress = self.progress
        assert progress.best is not None, "the last step is always evaluated"
        stage = stage_at(self.stages, progress.best.step - 1)
        if stage is not self.stage:  # what was frozen then is as it was pretrained
            self.stage = stage
            self.state.classifier = self.context.classifier(
                self.task, stage.trained, stage.embedding_rows, self.seed
            )
        self.classifier.restore(progress.best_weights, progress.best_decay)
        matrix = self.task.confusion(progress.best_probabilities, self.validation_inputs.labels)
        return TrialResult(
            value=progress.best.metrics[f"val/{self.context.metric}"],
            best=progress.best,
            evaluations=len(progress.history),
            end=end,
            seconds=progress.seconds,
            examples_seen=progress.examples_seen,
            probabilities=progress.best_probabilities,
            confusion=matrix,
            recalls=recalls(matrix),
            micro_batch=self.micro_batches.size,
            parts=time_parts(progress, self.stages, self.context.features),
        )

    def _identity(self) -> dict[str, Any]:
        return identity_of(
            self.context, self.params, self.texts, seed=self.seed, scored_at=self.scored_at
        )
