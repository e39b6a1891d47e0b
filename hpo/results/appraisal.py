"""Whether a champion is any good: beside an answer that never looks at the text, and class by class."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from hpo.data.reading import unbalanced
from hpo.data.table import shortened
from hpo.results.baseline import baseline_of
from hpo.results.final_test import TestScore
from hpo.spec.study import Metric, direction_of

Beats = Literal["yes", "unclear", "no"]
_MOST_NAMED: Final = 3
_PLAINEST: Final = ("accuracy", "f1_macro", "f1_micro", "spearman", "rmse")
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
        label_names: In the order of the confusion, of the classes or labels, or none where they are not known.
    """
    constant = baseline_of(test, label_names, [metric])
    by_label = test.by_label
    names = label_names or [f"class {number}" for number in range(len(by_label))]
    beats = _beats(test, metric, constant.scores[metric])
    never_answered = tuple(
        name
        for name, (texts, given, _) in zip(names, by_label, strict=False)
        if texts and not given
    )
    remarks = []
    if beats != "yes":
        verb = "does not beat" if beats == "no" else "cannot be told from"
        numbers = f"test {metric} {test.metrics[metric]:.4f} against {constant.scores[metric]:.4f}"
        unclear = ", which lies in its 95 % interval" * (beats == "unclear")
        remarks.append(f"the champion {verb} {constant.answer(metric)}: {numbers}{unclear}")
    if never_answered:
        listed = ", ".join(shortened(name, 30) for name in never_answered[:_MOST_NAMED])
        listed += ", …" * (len(never_answered) > _MOST_NAMED)
        present = sum(texts > 0 for texts, _, _ in by_label)
        what = "classes" if test.confusion else "labels"
        remarks.append(
            f"the champion never answers {len(never_answered)} of the {present} {what} of the test"
            f" split ({listed})"
        )
    counts = [texts for texts, _, _ in by_label]
    hidden = bool(remarks) and metric == "accuracy" and (bool(never_answered) or unbalanced(counts))
    return Appraisal(
        dict(constant.scores), beats, never_answered, tuple(remarks), _HINT if hidden else None
    )


def second_metric(metric: Metric, known: Collection[str]) -> Metric:
    """The metric to look at beside the study's: one that sees every class, or the plainest.

    Args:
        metric: The study's.
        known: Those that a split was scored by.
    """
    return next(name for name in _PLAINEST if name in known and name != metric)


def card_section(test: TestScore, metric: Metric, label_names: Sequence[str]) -> list[str]:
    """Lines of a model card: what the scores are to be held against, and what speaks against it."""
    metrics = (metric, second_metric(metric, test.metrics))
    against = baseline_of(test, label_names, metrics).in_words(metrics)
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
