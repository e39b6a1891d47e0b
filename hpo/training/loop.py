"""The training loop of a trial: steps, evaluations, early stopping, checkpoints.

A trial knows nothing of studies, storages or processes. It takes a model, data and parameters, tells
of each evaluation through a callback, and returns its result. Given its seed it is a pure function
of them: the same trial run again, or resumed from a checkpoint, gives the same numbers.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.data.batches import epoch_batches, steps_per_epoch
from hpo.data.tokens import TokenizedData
from hpo.model.classifier import Classifier, Vocabulary
from hpo.model.dropout import Dropout
from hpo.model.gpt2 import PretrainedModel
from hpo.model.inputs import SplitInputs
from hpo.model.prefix import Prefix
from hpo.model.saved import predict
from hpo.spec.study import Metric, direction_of
from hpo.spec.training import TrainingSection, TrialParams
from hpo.training.allocator import keep_freed_memory
from hpo.training.checkpoint import Checkpoint, CheckpointFile
from hpo.training.determinism import choose_deterministic_kernels
from hpo.training.gradients import gradient_pass
from hpo.training.memory import MicroBatches
from hpo.training.metrics import classification_metrics, confusion, recalls
from hpo.training.optimizer import TrialOptimizer
from hpo.training.result import Evaluation, Stopped, TrialResult, Verdict
from hpo.training.schedule import learning_rate_factor

logger = logging.getLogger(__name__)


class TrainingDiverged(Exception):  # noqa: N818
    """The loss became NaN or infinite."""


class TrainingStopped(Exception):  # noqa: N818
    """Somebody asked the trial to stop; its checkpoint is written, so that it can go on later."""


@dataclass(frozen=True)
class Workbench:
    """What all trials of a study share in one process."""

    model: PretrainedModel
    data: TokenizedData
    prefix: Prefix
    metric: Metric
    settings: TrainingSection

    def inputs(self, split: str, freeze_depth: int, vocabulary: Vocabulary | None) -> SplitInputs:
        """The batches of "train", "validation" or "test" at a freeze depth."""
        return SplitInputs(
            getattr(self.data, split),
            f"{self.data.fingerprint}:{split}",
            freeze_depth=freeze_depth,
            prefix=self.prefix,
            vocabulary=vocabulary,
        )


@dataclass
class _Progress:
    """Where a trial is. With weights, optimiser and random state it makes up a checkpoint."""

    step: int = 0
    examples_seen: int = 0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros(()))  # since the last evaluation
    loss_examples: int = 0
    without_improvement: int = 0
    seconds: float = 0.0
    history: list[Evaluation] = field(default_factory=list)
    best: Evaluation | None = None
    best_decay: float = 1.0
    best_weights: Mapping[str, Tensor] = field(default_factory=dict)
    best_probabilities: NDArray[np.float32] = field(
        default_factory=lambda: np.empty((0, 0), np.float32)
    )


class Trial:
    """One trial in training."""

    def __init__(
        self,
        bench: Workbench,
        params: TrialParams,
        *,
        seed: int,
        micro_batches: MicroBatches | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bench = bench
        self.params = params
        self.seed = seed
        self.progress = _Progress()
        self.micro_batches = micro_batches or MicroBatches()
        self._clock = clock
        data, model, prefix = bench.data, bench.model, bench.prefix
        keep_freed_memory()
        choose_deterministic_kernels(prefix.device)
        vocabulary = None
        if params.freeze_depth == 0:
            splits = data.train, data.validation
            longest = max(int(split.lengths.max()) for split in splits)
            vocabulary = Vocabulary.of(*(split.tokens for split in splits), longest=longest)
        self.train_inputs = bench.inputs("train", params.freeze_depth, vocabulary)
        self.validation_inputs = bench.inputs("validation", params.freeze_depth, vocabulary)
        self.classifier = Classifier(
            model,
            freeze_depth=params.freeze_depth,
            classes=len(data.label_names),
            vocabulary=vocabulary,
            seed=seed,
            dtype=prefix.dtype,
            device=prefix.device,
        )
        self.dropout = _dropout_of(model, params, seed, prefix.device)
        self.optimizer = TrialOptimizer(
            self.classifier.parameters, params, model.architecture.n_layer
        )
        self._add_gradient = gradient_pass(self.classifier, self.dropout, params.label_smoothing)
        self.steps_per_epoch = steps_per_epoch(len(data.train), params.batch_size)
        self.steps = self.steps_per_epoch * params.epochs

    @property
    def history(self) -> Sequence[Evaluation]:
        """All evaluations so far, those before `resume` included."""
        return self.progress.history

    def resume(self, checkpoint: CheckpointFile) -> bool:
        """Go on from a checkpoint of this same trial; False, and nothing changed, where there is none.

        Same means: parameters, seed, model, data and number format. Call it before `run`.
        """
        saved = checkpoint.read()
        if saved is None:
            return False
        if saved.facts.get("trial") != self._identity():
            logger.warning("%s is of another trial; this one starts anew", checkpoint.path)
            return False
        self._restore(saved)
        return True

    def run(
        self,
        on_evaluation: Callable[[Evaluation], Verdict],
        *,
        checkpoint: CheckpointFile | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> TrialResult:
        """Train to the end, the best weights left in the classifier.

        checkpoint: where to write how far the trial is; should_stop: asked after every step. Raises
        TrainingDiverged, TrainingStopped, BatchTooLarge, and whatever `on_evaluation` raises.
        """
        started = self._clock() - self.progress.seconds
        last_saved = self._clock()
        evaluations = self._evaluations()
        stopped: Stopped = "finished"
        for step, texts in self._remaining_batches():
            self._train_step(step, texts)
            evaluation = evaluations.get(self.progress.step)
            if evaluation is not None:
                self.progress.seconds = self._clock() - started
                verdict = on_evaluation(self._evaluate(evaluation))
                if self.progress.step == self.steps:
                    break
                if verdict is Verdict.PRUNE:
                    stopped = "pruned"
                    break
                if 0 < self.bench.settings.early_stopping <= self.progress.without_improvement:
                    stopped = "early"
                    break
            stopping = should_stop()
            if checkpoint is not None and (
                stopping
                or (
                    evaluation is not None
                    and checkpoint.is_due(self._clock() - last_saved, self._checkpoint_bytes())
                )
            ):
                self.progress.seconds = self._clock() - started
                checkpoint.write(self._checkpoint(), clock=self._clock)
                last_saved = self._clock()
            if stopping:
                raise TrainingStopped
        self.progress.seconds = self._clock() - started
        return self._result(stopped)

    def _remaining_batches(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        lengths, size = self.bench.data.train.lengths, self.params.batch_size
        first_epoch, skip = divmod(self.progress.step, self.steps_per_epoch)
        for epoch in range(first_epoch, self.params.epochs):
            batches = epoch_batches(lengths, size, seed=self.seed, epoch=epoch)
            for within in range(skip, len(batches)):
                yield epoch * self.steps_per_epoch + within, batches[within]
            skip = 0

    def _train_step(self, step: int, texts: NDArray[np.int64]) -> None:
        random = self.dropout.state()

        def begin_again() -> None:
            self.optimizer.clear_gradients()
            self.dropout.restore(random)

        loss = self.micro_batches.run(texts, self._accumulate, clear=begin_again)
        self.classifier.decay *= self.optimizer.step(self._factor(step))
        self.progress.step = step + 1
        self.progress.examples_seen += len(texts)
        self.progress.loss_sum = self.progress.loss_sum + loss
        self.progress.loss_examples += len(texts)

    def _factor(self, step: int) -> float:
        """The share of the peak learning rate at a step."""
        return learning_rate_factor(
            step,
            steps=self.steps,
            warmup_ratio=self.params.warmup_ratio,
            schedule=self.params.schedule,
        )

    def _accumulate(self, texts: NDArray[np.int64], of: int) -> Tensor:
        """Add the gradient of some texts of a batch of `of`; their summed loss, left on its device."""
        return self._add_gradient(self.train_inputs.batch(texts), of)

    def _evaluations(self) -> dict[int, int]:
        """Step -> index of the evaluation after it: even fractions of an epoch, the last at the end.

        Where fractions fall on one step, the last of them counts.
        """
        count = self.bench.settings.evaluations_per_epoch * self.params.epochs
        return {max(1, round(self.steps * part / count)): part for part in range(1, count + 1)}

    def _evaluate(self, index: int) -> Evaluation:
        progress = self.progress
        train_loss = float(progress.loss_sum) / max(progress.loss_examples, 1)
        progress.loss_sum, progress.loss_examples = torch.zeros(()), 0
        probabilities = predict(self.classifier, self.validation_inputs)
        if not (math.isfinite(train_loss) and np.isfinite(probabilities).all()):
            raise TrainingDiverged(
                f"the loss became {train_loss} at step {progress.step} of {self.steps}"
            )
        scores = classification_metrics(probabilities, self.bench.data.validation.labels)
        evaluation = Evaluation(
            index=index,
            step=progress.step,
            epoch=progress.step / self.steps_per_epoch,
            examples_seen=progress.examples_seen,
            metrics={
                "train/loss": train_loss,
                "train/learning_rate": self.params.learning_rate * self._factor(progress.step - 1),
                "train/epoch": progress.step / self.steps_per_epoch,
                "train/examples_per_second": progress.examples_seen / max(progress.seconds, 1e-9),
                "val/loss": scores["log_loss"],  # so that MLflow finds the pair of train/loss
                **{f"val/{name}": value for name, value in scores.items()},
            },
        )
        progress.history.append(evaluation)
        if self._improves(evaluation):
            progress.best, progress.without_improvement = evaluation, 0
            progress.best_weights = self.classifier.snapshot()
            progress.best_decay = self.classifier.decay
            progress.best_probabilities = probabilities
        else:
            progress.without_improvement += 1
        return evaluation

    def _improves(self, evaluation: Evaluation) -> bool:
        """Whether the metric is better than ever or, where it is as good, the validation loss is lower.

        On few texts accuracy stands still for many evaluations while the model goes on learning.
        """
        best = self.progress.best
        if best is None:
            return True
        key = f"val/{self.bench.metric}"
        gain = evaluation.metrics[key] - best.metrics[key]
        if gain == 0:
            return evaluation.metrics["val/log_loss"] < best.metrics["val/log_loss"]
        return (gain > 0) == (direction_of(self.bench.metric) == "maximize")

    def _result(self, stopped: Stopped) -> TrialResult:
        progress = self.progress
        assert progress.best is not None, "the last step is always evaluated"
        self.classifier.restore(progress.best_weights, progress.best_decay)
        matrix = confusion(progress.best_probabilities, self.bench.data.validation.labels)
        return TrialResult(
            value=progress.best.metrics[f"val/{self.bench.metric}"],
            best=progress.best,
            evaluations=len(progress.history),
            stopped=stopped,
            seconds=progress.seconds,
            examples_seen=progress.examples_seen,
            probabilities=progress.best_probabilities,
            confusion=matrix,
            recalls=recalls(matrix),
            micro_batch=self.micro_batches.size,
        )

    def _checkpoint(self) -> Checkpoint:
        progress, best = self.progress, self.progress.best
        tensors = {f"weights/{name}": t for name, t in self.classifier.parameters.items()}
        tensors |= {f"optimizer/{key}": t for key, t in self.optimizer.state().items()}
        tensors |= {f"best/{name}": t for name, t in progress.best_weights.items()}
        tensors["best_probabilities"] = torch.from_numpy(progress.best_probabilities)
        tensors["loss_sum"] = progress.loss_sum
        return Checkpoint(
            tensors,
            {
                "trial": self._identity(),
                "step": progress.step,
                "examples_seen": progress.examples_seen,
                "loss_examples": progress.loss_examples,
                "without_improvement": progress.without_improvement,
                "seconds": progress.seconds,
                "history": [vars(evaluation) for evaluation in progress.history],
                "best": None if best is None else progress.history.index(best),
                "best_decay": progress.best_decay,
                "decay": self.classifier.decay,
                "random": self.dropout.state(),
                "micro_batch": self.micro_batches.size,
            },
        )

    def _checkpoint_bytes(self) -> int:
        """About how large a checkpoint is: weights, best weights, and the rule's state of each."""
        slots = 2 if self.params.optimizer == "adamw" else 1
        return (2 + slots) * sum(tensor.nbytes for tensor in self.classifier.parameters.values())

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be this trial's; JSON."""
        bench = self.bench
        return {
            "params": self.params.model_dump(mode="json"),
            "seed": self.seed,
            "model": bench.model.fingerprint,
            "data": bench.data.fingerprint,
            "dtype": str(bench.prefix.dtype),
            "metric": bench.metric,
            "evaluations_per_epoch": bench.settings.evaluations_per_epoch,
        }

    def _restore(self, saved: Checkpoint) -> None:
        facts: dict[str, Any] = dict(saved.facts)
        del facts["trial"]
        self.classifier.restore(_under("weights/", saved.tensors), facts.pop("decay"))
        self.optimizer.restore(_under("optimizer/", saved.tensors))
        self.dropout.restore(facts.pop("random"))
        history = [Evaluation(**evaluation) for evaluation in facts.pop("history")]
        best, micro_batch = facts.pop("best"), facts.pop("micro_batch")
        self.micro_batches.learn(micro_batch)
        self.progress = _Progress(
            **facts,
            loss_sum=saved.tensors["loss_sum"],
            history=history,
            best=None if best is None else history[best],
            best_weights=_under("best/", saved.tensors),
            best_probabilities=saved.tensors["best_probabilities"].numpy(),
        )


def _dropout_of(
    model: PretrainedModel, params: TrialParams, seed: int, device: torch.device
) -> Dropout:
    architecture, chosen = model.architecture, params.dropout
    return Dropout(
        embedding=architecture.embedding_dropout if chosen is None else chosen,
        attention=architecture.attention_dropout if chosen is None else chosen,
        residual=architecture.residual_dropout if chosen is None else chosen,
        seed=seed,
        device=device,
    )


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
