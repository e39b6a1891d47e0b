"""What the words of the texts alone bring: TF-IDF and a linear model, the floor under any fine-tuned one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hpo.data.labelled import Split
from hpo.data.splits import stratified_sample
from hpo.data.words import terms_of
from hpo.tasks.task import Labels, Probabilities, Task

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Bounds of time: a minute at the very most, seconds as a rule.
MOST_TEXTS: Final = 20_000
_MOST_CHARACTERS: Final = 40_000_000
_FEW_CHARACTERS: Final = 5_000_000
_MOST_TERMS: Final = 50_000
_LEAST_TERMS: Final = 2_000
_MOST_WEIGHTS: Final = 2_000_000  # of all classes together
_STRENGTH: Final = 10.0  # scikit-learn's C: TF-IDF rows have length 1, so that 1 is too strong
_MOST_ITERATIONS: Final = 100
_SEED: Final = 0


@dataclass(frozen=True)
class WordFloor:
    """How good the words alone are.

    Attributes:
        scores: On the validation texts, by metric.
        trained_on: Training texts that it was fitted on, at most MOST_TEXTS.
        measured_on: Validation texts, as many at most.
    """

    scores: dict[str, float]
    trained_on: int
    measured_on: int


def word_floor(
    train: Split, validation: Split, task: Task, label_names: Sequence[str], also: Sequence[str]
) -> WordFloor:
    """Fit a linear model on the TF-IDF of the training texts' words, and score it on validation.

    Words and, where the texts are short, pairs of them; a logistic regression, one for each label
    where a text may have several, and a ridge regression on numbers. Of many texts a stratified
    sample, the same one each time.

    Args:
        train: What it is fitted on.
        validation: What it is scored on.
        task: What the texts are asked.
        label_names: Of the data.
        also: Names of metrics besides the task's own.
    """
    train, validation = _sample(train, label_names), _sample(validation, label_names)
    most_terms = max(_MOST_WEIGHTS // len(label_names), _LEAST_TERMS)
    known, new = _features(train.texts, validation.texts, min(most_terms, _MOST_TERMS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no convergence, a label that no text has: it serves
        answers = _answers(known, train.labels, new, len(label_names))
    scores = task.metrics(answers, validation.labels, also)
    return WordFloor(scores, len(train), len(validation))


def _sample(split: Split, label_names: Sequence[str]) -> Split:
    if len(split) <= MOST_TEXTS or len(label_names) > MOST_TEXTS:
        return split
    return split.take(stratified_sample(split, MOST_TEXTS, seed=_SEED))


def _features(
    train: Sequence[str], validation: Sequence[str], most_terms: int
) -> tuple[csr_matrix, csr_matrix]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    longest = _MOST_CHARACTERS // max(len(train), len(validation))
    few = sum(map(len, train)) <= _FEW_CHARACTERS
    vectorizer = TfidfVectorizer(
        analyzer=lambda text: _terms(text[:longest], pairs=few),
        max_features=most_terms,
        sublinear_tf=True,
        dtype=np.float32,
    )
    return vectorizer.fit_transform(train), vectorizer.transform(validation)


def _terms(text: str, *, pairs: bool) -> list[str]:
    # An empty word, so that a text of none has something, too.
    words = ["", *terms_of(text)]
    return [*words, *map(" ".join, pairwise(words))] if pairs else words


def _answers(known: Any, labels: Labels, new: Any, outputs: int) -> Probabilities:
    """What the fitted model says of each new text, (texts, outputs)."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    if labels.dtype.kind == "f" and labels.ndim == 1:
        return np.asarray(Ridge().fit(known, labels).predict(new), np.float32).reshape(-1, 1)
    # A gradient is bounded by the share of a class, which is small where there are many.
    tolerance = min(1e-3, 1e-2 / outputs)
    model = LogisticRegression(C=_STRENGTH, max_iter=_MOST_ITERATIONS, tol=tolerance)
    if labels.ndim == 2:
        of_labels = OneVsRestClassifier(model).fit(known, labels.astype(np.int64))
        return np.asarray(of_labels.predict_proba(new), np.float32)
    answers = np.zeros((new.shape[0], outputs), dtype=np.float32)
    if labels.min() == labels.max():  # a first fold by time may have one class
        answers[:, labels[0]] = 1
        return answers
    fitted = model.fit(known, labels)
    answers[:, fitted.classes_] = fitted.predict_proba(new)
    return answers
