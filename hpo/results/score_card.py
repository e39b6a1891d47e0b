"""What a model card tells of a test besides its metrics: each label, what is taken for what, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hpo.results.final_test import TestScore
from hpo.results.markdown_table import markdown_table

_MOST_CLASSES: Final = 10  # of a confusion that can be read as a table


def score_sections(test: TestScore, label_names: Sequence[str]) -> list[str]:
    """Lines of Markdown, each table or paragraph after an empty one."""
    return [*_label_table(test, label_names), *_confusion(test, label_names), *_calibration(test)]


def _label_table(test: TestScore, names: Sequence[str]) -> list[str]:
    """Each class's or label's precision, recall and F1."""
    rows = [
        (
            name,
            str(texts),
            f"{right / max(given, 1):.4f}",
            f"{right / max(texts, 1):.4f}",
            f"{2 * right / max(texts + given, 1):.4f}",
        )
        for name, (texts, given, right) in zip(names, test.by_label, strict=False)
    ]
    header = ("label", "texts", "precision", "recall", "F1")
    return ["", *markdown_table(header, rows)] if rows else []


def _confusion(test: TestScore, names: Sequence[str]) -> list[str]:
    """The texts of each class by what was answered, where the classes are few."""
    if not 0 < len(test.confusion) <= _MOST_CLASSES:
        return []
    rows = zip(names, test.confusion, strict=False)
    cells = [(name, *map(str, row)) for name, row in rows]
    return ["", *markdown_table(("true \\ answered", *names), cells)]


def _calibration(test: TestScore) -> list[str]:
    if test.calibration is None:
        return []
    temperature = test.calibration.temperature
    divided = (
        f" The model's logits are divided by {temperature:.3g}, which was fitted to the validation split "
        "(temperature scaling: Guo et al., 2017) and changes no answer."
        if temperature != 1
        else ""
    )
    return ["", f"{test.calibration.in_words()}{divided}"]
