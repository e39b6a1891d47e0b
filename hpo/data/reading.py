"""What was read of a study's data, in numbers: for the line that says so, and for all who judge a score later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from hpo.data.folds import validated_texts
from hpo.data.labelled import LabelledData, Labels
from hpo.data.table import shortened
from hpo.data.tokens import TokenizedData
from hpo.spec.cleaning import Keep

_ROLES: Final = {"train": "training", "validation": "validation", "test": "test"}
_MOST_NAMED: Final = 3

# A class is large where it has more than 70 % of the texts, or more than three times its even share:
# an accuracy can then look good though most classes are never found.
_LARGE_SHARE: Final = 0.7
_EVEN_SHARES: Final = 3


@dataclass(frozen=True)
class Reading:
    """Columns, rows, classes and lengths of a study's data.

    Attributes:
        class_counts: Texts of each class by split, in the order of `classes`.
        split_off: The splits that the source lacked and that were split off its training split.
        texts_cut: Texts of more than max_length tokens.
        tokens: Of all texts, before tokens_cut of them were cut off.
        cut_from: The part of the text that lost them, "end", "beginning" or "middle".
        folds: Of the training texts, 0 where there is a validation split; the validation texts are
            then those of any fold, which are training texts too.
        task: What the texts are asked.
        texts: By split, where they are not counted by their classes.
        without_label: The training texts that have none of the labels.
        numbers: Of the training texts, where they have numbers: min, mean, max, std.
        baselines: What the same answer for every text gives at most, by split and metric, where it
            does not follow from the class counts.
    """

    source: str
    text_column: str
    label_column: str
    classes: tuple[str, ...]
    class_counts: Mapping[str, tuple[int, ...]]
    split_off: tuple[str, ...]
    max_length: int
    texts_cut: int
    tokens: int
    tokens_cut: int
    cut_from: str
    folds: int = 0
    task: str = "single_label"
    texts: Mapping[str, int] = field(default_factory=dict)
    without_label: int = 0
    numbers: Mapping[str, float] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, int]:
        """Texts by split."""
        if self.texts:
            return dict(self.texts)
        return {role: sum(counts) for role, counts in self.class_counts.items()}

    def as_json(self) -> dict[str, Any]:
        """Facts for programs, and for `from_json`."""
        return {"rows": self.rows, **asdict(self)}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Reading:
        """The reading that `as_json` told of."""
        values = {key: value for key, value in document.items() if key != "rows"}
        values["classes"] = tuple(values["classes"])
        values["split_off"] = tuple(values["split_off"])
        values["class_counts"] = {r: tuple(c) for r, c in values["class_counts"].items()}
        return Reading(**values)

    def in_words(self) -> str:
        """One line of what was read."""
        return (
            f"Read {self.source}: {'; '.join((*self._rows_in_words(), self._length_in_words()))}."
        )

    def large_class(self) -> str | None:
        """A warning where one class is so large that accuracy misleads, else None."""
        counts = self.class_counts["train"]
        if not unbalanced(counts):
            return None
        name, share = self._shares()[0]
        return (
            f"{self.source}: {share:.0%} of the training texts are {shortened(name, 30)}, one of "
            f"{len(counts)} classes: a high accuracy may only mean that it is always answered; "
            "--set study.metric=f1_macro (or balanced_accuracy) gives every class the same weight"
        )

    def _not_all_validated(self) -> str:
        """By time, the first block is trained on only."""
        validated = self.rows["validation"]
        return "" if validated == self.rows["train"] else f" ({validated:,} of them validated on)"

    def _own_texts(self) -> list[str]:
        """The splits that share no text."""
        return [role for role in _ROLES if not (self.folds and role == "validation")]

    def _rows_in_words(self) -> tuple[str, ...]:
        *others, last = [f"{self.rows[role]:,} {_ROLES[role]}" for role in self._own_texts()]
        if self.folds:
            others = [f"{others[0]} texts in {self.folds} folds{self._not_all_validated()}"]
        rows = f"{', '.join(others)} and {last} texts"
        if self.split_off:
            rows += f" ({' and '.join(self.split_off)} split off the training texts)"
        columns = f"columns {_plain(self.text_column)} and {_plain(self.label_column)}"
        return columns, rows, self._labels_in_words()

    def _labels_in_words(self) -> str:
        if self.numbers:
            numbers = self.numbers
            return (
                f"numbers from {numbers['min']:.6g} to {numbers['max']:.6g}, "
                f"mean {numbers['mean']:.4g}, standard deviation {numbers['std']:.4g}"
            )
        shares = self._shares()
        named = len(shares) if len(shares) <= _MOST_NAMED + 1 else _MOST_NAMED
        classes = ", ".join(f"{_plain(name)} {share:.1%}" for name, share in shares[:named])
        more = f" and {len(shares) - named} more" * (len(shares) > named)
        if self.task == "single_label":
            return f"{len(shares)} classes: {classes}{more}"
        texts = self.rows["train"]
        a_text = sum(self.class_counts["train"]) / max(texts, 1)
        none = f", none for {self.without_label / max(texts, 1):.1%} of the texts"
        return f"{len(shares)} labels: {classes}{more}; {a_text:.2f} labels a text" + none * (
            self.without_label > 0
        )

    def _length_in_words(self) -> str:
        if not self.texts_cut:
            return f"no text is longer than {self.max_length} tokens"
        texts = sum(self.rows[role] for role in self._own_texts())
        verb = "is" if self.texts_cut == 1 else "are"
        share = self.tokens_cut / self.tokens
        return (
            f"{self.texts_cut:,} of {texts:,} texts ({self.texts_cut / texts:.1%}) {verb} longer than "
            f"{self.max_length} tokens, so that {share:.1%} of all tokens are cut, at the {self.cut_from}"
        )

    def _shares(self) -> list[tuple[str, float]]:
        """The classes and their shares of the training texts, the largest first."""
        counts = self.class_counts["train"]
        whole = max(self.rows["train"], 1)
        named = zip(self.classes, counts, strict=True)
        return [(name, count / whole) for name, count in sorted(named, key=lambda each: -each[1])]


def reading_of(
    data: LabelledData,
    tokens: TokenizedData,
    *,
    truncation_side: str,
    same_answer: Callable[[Labels], Mapping[str, float]] | None = None,
) -> Reading:
    """What was read of a study's data.

    Args:
        data: As it was read.
        tokens: The same as tokens.
        truncation_side: The tokenizer's, "right" or "left".
        same_answer: What the same answer for every text gives at most with these labels, by metric;
            None where that follows from the class counts.
    """
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    if data.folds:
        splits["validation"] = data.train.take(validated_texts(data.folds))
    labels = data.train.labels
    tokenized = (tokens.train, tokens.validation, tokens.test.unsealed())  # to count tokens
    cut = [split.cut for split in tokenized]
    tokens_cut = sum(int(each.sum()) for each in cut)
    return Reading(
        source=data.source,
        text_column=data.text_column,
        label_column=data.label_column,
        classes=data.label_names,
        class_counts={
            role: tuple(split.counts(len(data.label_names)).tolist())
            for role, split in splits.items()
        },
        split_off=data.split_off,
        max_length=tokens.max_length,
        texts_cut=sum(int(np.count_nonzero(each)) for each in cut),
        tokens=sum(int(split.offsets[-1]) for split in tokenized) + tokens_cut,
        tokens_cut=tokens_cut,
        cut_from=_cut_from(tokens.preprocessing.keep, truncation_side),
        folds=len(data.folds),
        task=data.task,
        texts={role: len(split) for role, split in splits.items()},
        without_label=0 if labels.ndim == 1 else int((labels.sum(1) == 0).sum()),
        numbers=number_facts(labels) if data.task == "regression" else {},
        baselines={}
        if same_answer is None
        else {role: same_answer(splits[role].labels) for role in ("validation", "test")},
    )


def number_facts(labels: Labels) -> dict[str, float]:
    """Least, mean, greatest and standard deviation of numbers (n,)."""
    values = labels.astype(np.float64)
    of = {"min": values.min(), "mean": values.mean(), "max": values.max(), "std": values.std()}
    return {name: float(value) for name, value in of.items()}


def _cut_from(keep: Keep | None, truncation_side: str) -> str:
    if keep is None:
        return "beginning" if truncation_side == "left" else "end"
    return {"head": "end", "tail": "beginning", "head+tail": "middle"}[keep]


def unbalanced(counts: Sequence[int]) -> bool:
    """Whether the largest class is so large that accuracy says little of the others."""
    classes = sum(count > 0 for count in counts)
    if classes < 2:
        return False
    return max(counts) / sum(counts) > min(_LARGE_SHARE, _EVEN_SHARES / classes)


def _plain(name: str) -> str:
    """A name as it is, in quotes only where it would not be told from the words around it."""
    return name if name.replace("_", "").isalnum() and len(name) <= 30 else shortened(name, 30)
