"""Whether a champion is any good: beside an answer that never looks at the text, and class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from hpo.data.reading import unbalanced
from hpo.data.table import shortened
from hpo.results.final_test import TestScore
from hpo.spec.study import Metric, direction_of
from hpo.tasks.metrics import constant_answer

Beats = Literal["yes", "unclear", "no"]
_MOST_NAMED: Final = 3
# Others may be of the probabilities.
_OF_ANSWERS: Final = ("accuracy", "balanced_accuracy", "f1_macro", "mcc")
_HINT: Final = (
    'Accuracy counts texts, not classes: with study.metric = "f1_macro", in a study of another name,'
    " every class counts the same."
)


@dataclass(frozen=True)
class Appraisal:
    """A champion on the test split, held against always giving the same answer.

    Attributes:
        baseline: What that answer gives, by metric.
        beats: Whether the champion is better, as far as its 95 % interval can tell.
        never_answered: The classes that have texts there and are never predicted.
        remarks: What is wrong, for people, if anything is.
        hint: What to do about it, where accuracy hid it.
    """

    baseline: dict[str, float]
    beats: Beats
    never_answered: tuple[str, ...]
    remarks: tuple[str, ...]
    hint: str | None

    def as_json(self) -> dict[str, Any]:
        """Facts for programs."""
        return {
            "baseline": self.baseline,
            "beats_baseline": self.beats,
            "never_answered": list(self.never_answered),
            "remarks": list(self.remarks),
            "mend": self.hint,
        }


def appraise(test: TestScore, metric: Metric, label_names: Sequence[str]) -> Appraisal:
    """Judge a champion.

    Args:
        label_names: In the order of the confusion, or none where they are not known.
    """
    matrix = np.array(test.confusion, np.int64)
    counts = matrix.sum(1).tolist()
    names = _names(label_names, len(counts))
    baseline = constant_answer(counts, [metric])
    beats = _beats(test, metric, baseline[metric])
    silent = np.flatnonzero((matrix.sum(0) == 0) & (matrix.sum(1) > 0)).tolist()
    never_answered = tuple(names[number] for number in silent)
    remarks = []
    if beats != "yes":
        verb = "does not beat" if beats == "no" else "cannot be told from"
        numbers = f"test {metric} {test.metrics[metric]:.4f} against {baseline[metric]:.4f}"
        unclear = ", which lies in its 95 % interval" * (beats == "unclear")
        remarks.append(
            f"the champion {verb} {_constant(metric, counts, names)}: {numbers}{unclear}"
        )
    if never_answered:
        listed = ", ".join(shortened(name, 30) for name in never_answered[:_MOST_NAMED])
        listed += ", …" * (len(never_answered) > _MOST_NAMED)
        present = sum(count > 0 for count in counts)
        remarks.append(
            f"the champion never answers {len(never_answered)} of the {present} classes of the test"
            f" split ({listed})"
        )
    hidden = bool(remarks) and metric == "accuracy" and (bool(never_answered) or unbalanced(counts))
    return Appraisal(
        baseline, beats, never_answered, tuple(remarks), hint=_HINT if hidden else None
    )


def beside(metrics: Sequence[Metric], counts: Sequence[int], label_names: Sequence[str]) -> str:
    """What the same answer for every text would give on a split.

    `Always answering 'good', the largest class, would give accuracy 0.5200 there.`

    Args:
        counts: Its texts by class.
    """
    baseline = constant_answer(counts, metrics)
    given = " and ".join(f"{metric} {baseline[metric]:.4f}" for metric in metrics)
    constant = _constant(metrics[0], counts, _names(label_names, len(counts)))
    comma = "," if metrics[0] in _OF_ANSWERS else ""
    return f"{constant[0].upper()}{constant[1:]}{comma} would give {given} there."


def second_metric(metric: Metric) -> Metric:
    """The metric to look at beside the study's: one that sees every class, or the plainest."""
    return "f1_macro" if metric == "accuracy" else "accuracy"


def card_section(test: TestScore, metric: Metric, label_names: Sequence[str]) -> list[str]:
    """Lines of a model card: what the scores are to be held against, and what speaks against it."""
    counts = [sum(row) for row in test.confusion]
    against = beside((metric, second_metric(metric)), counts, label_names)
    return [line for part in (against, *warnings(test, metric, label_names)) for line in ("", part)]


def warnings(test: TestScore, metric: Metric, label_names: Sequence[str]) -> list[str]:
    """What speaks against a champion, in Markdown, a paragraph each; none where nothing does."""
    appraisal = appraise(test, metric, label_names)
    remarks = [f"**Beware:** {remark}." for remark in appraisal.remarks]
    return [*remarks, *([appraisal.hint] if appraisal.hint else [])]


def _beats(test: TestScore, metric: Metric, baseline: float) -> Beats:
    sign = 1 if direction_of(metric) == "maximize" else -1
    low, high = test.intervals[metric]
    if sign * (test.metrics[metric] - baseline) <= 0:
        return "no"
    worst = low if sign > 0 else high
    return "yes" if sign * (worst - baseline) > 0 else "unclear"


def _constant(metric: Metric, counts: Sequence[int], names: Sequence[str]) -> str:
    if metric in _OF_ANSWERS:
        return f"always answering {shortened(names[int(np.argmax(counts))], 30)}, the largest class"
    return "answering with the shares of the classes alone"


def _names(label_names: Sequence[str], classes: int) -> Sequence[str]:
    return label_names or [f"class {number}" for number in range(classes)]
