"""The validation texts that a champion is most surely wrong about, and those that it could hardly decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hpo.data.labelled import Split
from hpo.tasks.task import Labels, Probabilities, Task
from hpo.tasks.temperature import tempered

HARD_TEXTS_KEY: Final = "hard texts"  # under which the study remembers them
_CHARACTERS: Final = 300
_SEVERAL: Final = "multi_label_classification"
_NUMBERS: Final = "regression"
_LEAST: Final = 1e-7  # of a probability whose odds are told


@dataclass(frozen=True)
class HardText:
    """One text, and what the champion makes of it.

    Attributes:
        text: On one line, its beginning where it is long.
        row: Its number in its file.
        true: Its label, its labels or its number.
        answer: The champion's.
        sure: The probability of the answer; where a text may have several labels, that of `label`; of
            a number how far the answer lies above it.
        label: The one of several that is meant; else empty.
    """

    text: str
    row: int
    true: str
    answer: str
    sure: float
    label: str = ""


@dataclass(frozen=True)
class HardTexts:
    """Those of one champion.

    Attributes:
        source: What the champion is made of, as JSON.
        folds: Over how many the texts were validated; the answers are then those of the trainings of
            the champion's trial that had left the texts out, 0 for a validation split.
        origin: Their file or hub split.
        row_noun: What their numbers count.
        problem_type: As transformers calls the champion's task.
        texts: How many were validated on.
        wrong: How many of them have an answer that is not wholly right; of numbers None.
        surely_wrong: Those wrong ones that it is most sure of; of numbers the largest errors.
        undecided: Of the others those whose answer a little would have changed.
    """

    source: Mapping[str, Any]
    folds: int
    origin: str
    row_noun: str
    problem_type: str
    texts: int
    wrong: int | None
    surely_wrong: tuple[HardText, ...]
    undecided: tuple[HardText, ...]

    def as_json(self) -> dict[str, Any]:
        """Facts for `from_json`, which other processes may read."""
        return asdict(self)

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> HardTexts:
        """What `as_json` told of."""
        lists = {
            name: tuple(HardText(**each) for each in document[name])
            for name in ("surely_wrong", "undecided")
        }
        return HardTexts(**{**document, **lists})


@dataclass(frozen=True, eq=False)
class _Judged:
    """What is made of each text.

    Attributes:
        wrong: Whether the answer is not wholly right, (texts,).
        sureness: By which wrong ones are ranked, (texts,).
        lead: How far the answer is from another one, (texts,).
        sure: As in `HardText`, of wrong texts and of undecided ones, (texts,) each.
        label: The places of the labels that are meant, likewise; of no meaning for a single label.
    """

    wrong: NDArray[np.bool_]
    sureness: NDArray[np.float64]
    lead: NDArray[np.float64]
    sure: tuple[NDArray[np.float64], NDArray[np.float64]]
    label: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None


def hard_texts(
    task: Task,
    answers: Probabilities,
    split: Split,
    label_names: Sequence[str],
    *,
    count: int,
    source: Mapping[str, Any],
    folds: int = 0,
) -> HardTexts:
    """Choose them; of equals the earlier.

    Args:
        task: As it is answered, with its temperature and thresholds.
        answers: Of a split's texts, without the temperature, (texts, scores).
        split: The same texts.
        label_names: In the order of the classes.
        count: Texts of each kind at most.
        source: As in `HardTexts`, and folds.
    """
    kind = task.problem_type
    served = tempered(answers, task.temperature, one_class=kind != _SEVERAL)
    judge = {_NUMBERS: _numbers, _SEVERAL: _several_labels}.get(kind, _one_label)
    judged = judge(task, served.astype(np.float64), split.labels)
    wrong = np.flatnonzero(judged.wrong)
    first = wrong[np.argsort(-judged.sureness[wrong], kind="stable")][:count]
    others = np.setdiff1d(np.arange(len(split)), first)
    near = others[np.argsort(judged.lead[others], kind="stable")][:count]
    given = task.predictions(served)

    def told(places: NDArray[np.int64], which: int) -> tuple[HardText, ...]:
        labels = None if judged.label is None else judged.label[which]
        return tuple(
            HardText(
                text=beginning(split.texts[place]),
                row=split.row(place),
                true=_named(split.labels[place], label_names),
                answer=_named(given[place], label_names),
                sure=float(judged.sure[which][place]),
                label="" if labels is None else label_names[labels[place]],
            )
            for place in places.tolist()
        )

    numbers = kind == _NUMBERS
    return HardTexts(
        source=source,
        folds=folds,
        origin=split.origin,
        row_noun=split.row_noun,
        problem_type=kind,
        texts=len(split),
        wrong=None if numbers else len(wrong),
        surely_wrong=told(first, 0),
        undecided=() if numbers else told(near, 1),
    )


def beginning(text: str) -> str:
    """A text on one line, its beginning where it is long."""
    line = " ".join(text[: 4 * _CHARACTERS].split())
    return line if len(line) <= _CHARACTERS else f"{line[: _CHARACTERS - 1].rstrip()}…"


def _one_label(task: Task, probabilities: NDArray[np.float64], labels: Labels) -> _Judged:
    """An answer is as far from another one as the likeliest class is from the next."""
    answers, sure = probabilities.argmax(1), probabilities.max(1)
    next_best = np.partition(probabilities, -2, axis=1)[:, -2]
    return _Judged(answers != labels, sure, sure - next_best, (sure, sure))


def _several_labels(task: Task, probabilities: NDArray[np.float64], labels: Labels) -> _Judged:
    """Of each text the label that is most surely wrong counts, and the one nearest to its threshold."""
    given = task.predictions(probabilities.astype(np.float32)) > 0.5
    true = np.asarray(labels) > 0.5
    beside = np.where(given != true, np.abs(probabilities - true), -1.0)
    limits = np.asarray(task.facts.get("thresholds") or 0.5, np.float64)
    lead = np.abs(_log_odds(probabilities) - _log_odds(limits))
    worst, nearest = beside.argmax(1), lead.argmin(1)
    each = np.arange(len(true))
    return _Judged(
        wrong=(given != true).any(1),
        sureness=beside.max(1),
        lead=lead.min(1),
        sure=(probabilities[each, worst], probabilities[each, nearest]),
        label=(worst, nearest),
    )


def _numbers(task: Task, probabilities: NDArray[np.float64], labels: Labels) -> _Judged:
    """There is no right or wrong, nor how sure it is: the largest errors count."""
    error = probabilities[:, 0] - labels
    return _Judged(error != 0, np.abs(error), np.abs(error), (error, error))


def _log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(probabilities, _LEAST, 1 - _LEAST)
    odds: NDArray[np.float64] = np.log(inside) - np.log1p(-inside)
    return odds


def _named(label: Any, names: Sequence[str]) -> str:
    """A label in the form of `Labels`, or an answer, for people."""
    if np.ndim(label):
        return ", ".join(name for name, has in zip(names, label, strict=True) if has) or "none"
    return names[label] if np.issubdtype(np.asarray(label).dtype, np.integer) else f"{label:.4g}"
