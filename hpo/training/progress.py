"""Where a trial is: what changes as it trains, and how that becomes a checkpoint and a trial again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.model.classifier import Classifier
from hpo.model.dropout import Dropout
from hpo.training.checkpoint import Checkpoint
from hpo.training.micro_batches import MicroBatches
from hpo.training.optimizer import TrialOptimizer
from hpo.training.result import Evaluation


@dataclass
class Progress:
    """What a trial has come to besides its weights.

    Attributes:
        loss_sum: Since the last evaluation.
        best: The evaluation that counts: the best so far, unless another was chosen beforehand.
    """

    step: int = 0
    examples_seen: int = 0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros(()))
    loss_examples: int = 0
    without_improvement: int = 0
    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    waiting_seconds: float = 0.0
    history: list[Evaluation] = field(default_factory=list)
    best: Evaluation | None = None
    best_decay: float = 1.0
    best_weights: Mapping[str, Tensor] = field(default_factory=dict)
    best_probabilities: NDArray[np.float32] = field(
        default_factory=lambda: np.empty((0, 0), np.float32)
    )

    def count(self, loss: Tensor, texts: int) -> None:
        """Note a step over so many texts.

        Args:
            loss: Their sum, left on its device.
        """
        self.step += 1
        self.examples_seen += texts
        self.loss_sum = self.loss_sum + loss
        self.loss_examples += texts

    @contextmanager
    def evaluating(self, clock: Callable[[], float]) -> Iterator[None]:
        """Note how long an evaluation takes."""
        began = clock()
        yield
        self.evaluation_seconds += clock() - began

    @contextmanager
    def waiting(self, clock: Callable[[], float]) -> Iterator[None]:
        """Note how long those take who are told of an evaluation."""
        began = clock()
        yield
        self.waiting_seconds += clock() - began

    def take_mean_loss(self) -> float:
        """The mean training loss since it was last taken."""
        mean = float(self.loss_sum) / max(self.loss_examples, 1)
        self.loss_sum, self.loss_examples = torch.zeros(()), 0
        return mean

    def note(
        self,
        evaluation: Evaluation,
        probabilities: NDArray[np.float32],
        classifier: Classifier,
        *,
        improved: bool,
        counts: bool,
    ) -> None:
        """Note an evaluation, and the weights that it was made with where it is the one that counts.

        Args:
            improved: Whether it is the best so far.
            counts: Whether it counts in place of the one before.
        """
        self.history.append(evaluation)
        self.without_improvement = 0 if improved else self.without_improvement + 1
        if not counts:
            return
        self.best = evaluation
        self.best_weights, self.best_decay = classifier.snapshot(), classifier.decay
        self.best_probabilities = probabilities


@dataclass
class TrainingState:
    """All of a trial that changes while it trains."""

    classifier: Classifier
    optimizer: TrialOptimizer
    dropout: Dropout
    micro_batches: MicroBatches
    progress: Progress = field(default_factory=Progress)

    def go_on_with(self, classifier: Classifier, optimizer: TrialOptimizer) -> None:
        """Train more from now on.

        Args:
            classifier: With the weights so far, and more that are trained.
            optimizer: Of its weights; it goes on with what is known of those that were trained before.
        """
        optimizer.restore(self.optimizer.state())
        self.classifier, self.optimizer = classifier, optimizer
        self.progress.without_improvement = 0

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """While it lasts, have the classifier hold what is evaluated, where that is not what is trained."""
        decay = self.classifier.decay
        with self.optimizer.evaluation_weights() as factor:
            self.classifier.decay = decay * factor
            try:
                yield
            finally:
                self.classifier.decay = decay

    def checkpoint(self, identity: Mapping[str, Any]) -> Checkpoint:
        """The state as one file holds it.

        Args:
            identity: What must be the same to go on from it; JSON.
        """
        progress, best = self.progress, self.progress.best
        tensors = {f"weights/{name}": t for name, t in self.classifier.parameters.items()}
        tensors |= {f"optimizer/{key}": t for key, t in self.optimizer.state().items()}
        tensors |= {f"best/{name}": t for name, t in progress.best_weights.items()}
        tensors["best_probabilities"] = torch.from_numpy(progress.best_probabilities)
        tensors["loss_sum"] = progress.loss_sum
        return Checkpoint(
            tensors,
            {
                "trial": dict(identity),
                "step": progress.step,
                "examples_seen": progress.examples_seen,
                "loss_examples": progress.loss_examples,
                "without_improvement": progress.without_improvement,
                "seconds": progress.seconds,
                "evaluation_seconds": progress.evaluation_seconds,
                "waiting_seconds": progress.waiting_seconds,
                "history": [vars(evaluation) for evaluation in progress.history],
                "best": None if best is None else progress.history.index(best),
                "best_decay": progress.best_decay,
                "decay": self.classifier.decay,
                "random": self.dropout.state(),
                "micro_batch": self.micro_batches.size,
            },
        )

    def restore(self, saved: Checkpoint) -> None:
        """Take over the state that `checkpoint` gave."""
        facts: dict[str, Any] = dict(saved.facts)
        del facts["trial"]
        self.classifier.restore(_under("weights/", saved.tensors), facts.pop("decay"))
        self.optimizer.restore(_under("optimizer/", saved.tensors))
        self.dropout.restore(facts.pop("random"))
        history = [Evaluation(**evaluation) for evaluation in facts.pop("history")]
        best, micro_batch = facts.pop("best"), facts.pop("micro_batch")
        self.micro_batches.learn(micro_batch)
        self.progress = Progress(
            **facts,
            loss_sum=saved.tensors["loss_sum"],
            history=history,
            best=None if best is None else history[best],
            best_weights=_under("best/", saved.tensors),
            best_probabilities=saved.tensors["best_probabilities"].numpy(),
        )

    @property
    def checkpoint_bytes(self) -> int:
        """About how large a checkpoint is: weights, best weights, and the rule's state of each."""
        weights = sum(tensor.nbytes for tensor in self.classifier.parameters.values())
        return (2 + self.optimizer.slots) * weights


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
