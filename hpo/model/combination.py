"""How the members of an ensemble become one answer: a few numbers, and the arithmetic on probabilities.

It imports nothing of ours, for publishing copies it beside a model that is served without hpo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

ENSEMBLE_FILE = "ensemble.json"
"""Of a saved ensemble: holds the combination, and tells what else there is."""

Kind = Literal["mean", "samme", "stacking"]

LEAST = 1e-6
"""Probabilities are raised to it before stacking takes their logarithm: what is kept of trials is fp16."""


@dataclass(frozen=True)
class Combination:
    """A rule that makes one table of probabilities of the members' tables.

    Attributes:
        kind: "mean" is the weighted mean of the probabilities, for tasks of every kind. Where each
            text is of one class, "samme" is the weighted vote of boosting, and "stacking" a logistic
            regression on the logarithms of the members' probabilities.
        weights: One a member; empty for stacking.
        matrix: Of stacking, (members * classes, classes), the first member's classes first.
        bias: Of stacking, (classes,).
        task_facts: What the members' task has learnt of how they answer together, as JSON: the
            thresholds of several labels, which are others for a mean than for its members.
    """

    kind: Kind
    weights: tuple[float, ...] = ()
    matrix: tuple[tuple[float, ...], ...] = ()
    bias: tuple[float, ...] = ()
    task_facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"a combination of the kind {self.kind!r}")
        if self.kind == "stacking":
            _check_stacking(np.array(self.matrix), np.array(self.bias))
        else:
            _check_weights(np.array(self.weights))

    @staticmethod
    def mean(weights: Sequence[float] | NDArray[np.floating[Any]]) -> Combination:
        """The weighted mean of the members' probabilities.

        Args:
            weights: (members,), none negative, of any sum.
        """
        return Combination("mean", tuple(map(float, weights)))

    @staticmethod
    def samme(alphas: Sequence[float] | NDArray[np.floating[Any]]) -> Combination:
        """The weighted vote of SAMME (Zhu, Zou, Rosset and Hastie, 2009).

        A class has as many votes as the members have alphas that hold it for the likeliest. What the
        paper derives the classes' probabilities from, exp(f_k / (K - 1)), is then exp(votes of k), up
        to what makes them add up to 1.

        Args:
            alphas: (members,), none negative: log((1 - error) / error) + log(K - 1).
        """
        return Combination("samme", tuple(map(float, alphas)))

    @staticmethod
    def stacking(matrix: NDArray[np.floating[Any]], bias: NDArray[np.floating[Any]]) -> Combination:
        """A softmax over `log(probabilities) @ matrix + bias` (Wolpert, 1992).

        Args:
            matrix: (members * classes, classes), the first member's classes first.
            bias: (classes,).
        """
        rows = tuple(tuple(map(float, row)) for row in matrix)
        return Combination("stacking", matrix=rows, bias=tuple(map(float, bias)))

    @property
    def members(self) -> int:
        """How many members it combines."""
        return len(self.matrix) // len(self.bias) if self.kind == "stacking" else len(self.weights)

    def of(self, probabilities: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Combine the members' probabilities.

        Args:
            probabilities: One table a member, (texts, classes) each.

        Returns:
            (texts, classes) fp32.

        Raises:
            ValueError: Where there are more or fewer members.
        """
        stacked = np.stack([np.asarray(table, np.float64) for table in probabilities])
        if len(stacked) != self.members:
            raise ValueError(f"{len(stacked)} members for a combination of {self.members}")
        combine = {"mean": self._mean, "samme": self._votes, "stacking": self._stacked}
        return combine[self.kind](stacked).astype(np.float32)

    def as_json(self) -> dict[str, Any]:
        """Facts for `from_json`."""
        return asdict(self)

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Combination:
        """The combination that `as_json` told of.

        Raises:
            ValueError: Where it told of none.
            LookupError: Where something is missing.
            TypeError: Where something is of another type.
        """
        rows = tuple(tuple(map(float, row)) for row in document["matrix"])
        weights, bias = (tuple(map(float, document[name])) for name in ("weights", "bias"))
        return Combination(
            document["kind"], weights, rows, bias, dict(document.get("task_facts", {}))
        )

    def _mean(self, stacked: NDArray[np.float64]) -> NDArray[np.float64]:
        weights = np.array(self.weights)
        return np.asarray(np.tensordot(weights / weights.sum(), stacked, axes=1))

    def _votes(self, stacked: NDArray[np.float64]) -> NDArray[np.float64]:
        chosen = np.eye(stacked.shape[2])[stacked.argmax(2)]
        return _softmax(np.tensordot(np.array(self.weights), chosen, axes=1))

    def _stacked(self, stacked: NDArray[np.float64]) -> NDArray[np.float64]:
        logs = np.log(np.maximum(stacked, LEAST))
        features = np.concatenate(list(logs), axis=1)
        return _softmax(features @ np.array(self.matrix) + np.array(self.bias))


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True))


def _check_weights(weights: NDArray[np.float64]) -> None:
    usable = weights.ndim == 1 and np.isfinite(weights).all() and (weights >= 0).all()
    if not usable or not weights.sum() > 0:
        raise ValueError("weights that are not all finite, 0 or more, and one above 0")


def _check_stacking(matrix: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
    classes = len(bias)
    fits = matrix.ndim == 2 and classes and matrix.shape[1] == classes
    if not fits or not len(matrix) or len(matrix) % classes:
        raise ValueError(f"a matrix {matrix.shape} for a bias of {classes}")
    if not (np.isfinite(matrix).all() and np.isfinite(bias).all()):
        raise ValueError("a matrix or bias with numbers that are not finite")
