"""What a study's data were understood to be, and what a score on them will be worth, before any study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hpo.data.dataset import LabelledData, labelled_data, read_tables
from hpo.data.facts import FileFacts, TextFacts, file_facts, quantiles, sampled, text_facts
from hpo.data.labelled import Split
from hpo.data.reading import number_facts, unbalanced
from hpo.data.table import shortened
from hpo.data.tokens import tokenize_texts
from hpo.data.words import count_words
from hpo.runtime.task_checks import PLAINEST_METRIC
from hpo.tasks.scorer import metrics_for

if TYPE_CHECKING:
    from hpo.spec.study import StudySpec
    from hpo.tasks.task import Task

MOST_MEASURED: Final = 20_000
_MEANING: Final = {
    "accuracy": "no class is so large that it misleads",
    "f1_macro": "every class has the same weight",
    "f1_micro": "all labels of all texts together; f1_macro gives rare labels the same weight",
    "rmse": "in the units of the numbers; spearman asks for their order only",
}
_BESIDE: Final = {
    "single_label": ("accuracy", "f1_macro"),
    "multi_label": ("f1_micro", "f1_macro"),
    "regression": ("rmse", "spearman"),
}


@dataclass(frozen=True)
class Lengths:
    """How long the texts are.

    Attributes:
        texts: That were measured; of more than MOST_MEASURED a sample.
        words: Shortest, median, what 95 % are no more than, longest.
        tokens: The same of their tokens, before any were cut off.
        tokenizer: The model whose tokens they are.
        texts_cut: Of more than max_length tokens.
        tokens_cut: The share of all tokens that is beyond it.
    """

    texts: int
    words: Mapping[str, int]
    tokens: Mapping[str, int]
    tokenizer: str
    max_length: int
    texts_cut: int
    tokens_cut: float


@dataclass(frozen=True)
class Floors:
    """What can be had without a language model, on the validation texts, by metric.

    Attributes:
        same_answer: The same answer for every text.
        words: TF-IDF and a linear model.
        trained_on: Training texts that the linear model was fitted on.
        measured_on: Validation texts.
    """

    same_answer: Mapping[str, float]
    words: Mapping[str, float]
    trained_on: int
    measured_on: int


@dataclass(frozen=True)
class DataOverview:
    """All that is known of a study's data without training.

    Attributes:
        files: By split; the splits that there are.
        columns: Of the training split's file.
        texts: By split, after what was left out.
        class_counts: Of each class by split, in the order of `classes`.
        numbers: Of the training texts, where they have numbers.
        split_off: The splits that the source lacks.
        folds: Of the training texts, in place of a validation split.
        metric: The study's, or one that suits the labels better, and `why`.
    """

    source: str
    files: Mapping[str, FileFacts]
    columns: tuple[str, ...]
    text_column: str
    label_column: str
    task: str
    classes: tuple[str, ...]
    texts: Mapping[str, int]
    class_counts: Mapping[str, tuple[int, ...]]
    numbers: Mapping[str, float]
    split_off: tuple[str, ...]
    folds: int
    lengths: Lengths
    facts: TextFacts
    floors: Floors
    metric: str
    why: str
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


def overview_of(spec: StudySpec, at: Callable[[str], None]) -> DataOverview:
    """Look at a study's data. Writes nothing.

    Args:
        spec: The study.
        at: Told what is done next, in words.

    Raises:
        DataError: The data cannot be read, or cannot serve for training.
        ModelError: The model, whose tokens are counted, cannot be loaded.
        StudyFileError: The study asks for what the data or the model do not have.
    """
    at(f"reading {spec.data.source}")
    tables = read_tables(spec.data, spec.cleaning)
    data = labelled_data(
        tables,
        spec.data,
        seed=spec.study.seed,
        cleaning=spec.cleaning,
        validation=spec.validation,
    )
    files, facts = file_facts(tables), text_facts(tables, data)
    splits = {
        role: split
        for role, split in (
            ("train", data.train),
            ("validation", data.validation),
            ("test", data.test),
        )
        if len(split)
    }
    counts = {
        role: tuple(split.counts(len(data.label_names)).tolist()) for role, split in splits.items()
    }
    lengths = _lengths(spec, splits, at)
    metric, why = _suited_metric(spec, data, counts["train"])
    return DataOverview(
        source=data.source,
        files=files,
        columns=tables.columns,
        text_column=data.text_column,
        label_column=data.label_column,
        task=data.task,
        classes=data.label_names,
        texts={role: len(split) for role, split in splits.items()},
        class_counts=counts,
        numbers=number_facts(data.train.labels) if data.task == "regression" else {},
        split_off=data.split_off,
        folds=len(data.folds),
        lengths=lengths,
        facts=facts,
        floors=_floors(data, metric, at),
        metric=metric,
        why=why,
        warnings=data.warnings,
    )


def _lengths(spec: StudySpec, splits: Mapping[str, Split], at: Callable[[str], None]) -> Lengths:
    from hpo.model.pretrained import load_pretrained
    from hpo.runtime.preparation import max_length_of

    texts = sampled([text for split in splits.values() for text in split.texts], MOST_MEASURED)
    at(f"counting the tokens of {len(texts):,} texts")
    model = load_pretrained(spec.model.name, spec.model.revision)
    max_length = max_length_of(spec, model.architecture, model.name)
    tokens = tokenize_texts(texts, model.tokenizer, max_length=max_length)
    whole = tokens.lengths + tokens.cut
    return Lengths(
        texts=len(texts),
        words=quantiles([count_words(text) for text in texts]),
        tokens=quantiles(whole),
        tokenizer=model.name,
        max_length=max_length,
        texts_cut=int(np.count_nonzero(tokens.cut)),
        tokens_cut=float(tokens.cut.sum() / whole.sum()),
    )


def _floors(data: LabelledData, metric: str, at: Callable[[str], None]) -> Floors:
    """On the validation split, or the first fold's; the test split is left for the end of a study."""
    from hpo.results.word_floor import word_floor
    from hpo.tasks import task_named
    from hpo.tasks.constant import same_answer

    train, validation = data.train, data.validation
    if data.folds:
        train, validation = (
            data.train.take(part) for part in (data.folds[0].train, data.folds[0].validation)
        )
    at(f"fitting TF-IDF on {len(train):,} texts")
    task: Task = task_named(data.task)
    metrics = dict.fromkeys((*_BESIDE[data.task], metric))
    words = word_floor(train, validation, task, data.label_names, list(metrics))
    same = same_answer(task, validation.labels, data.label_names, list(metrics))
    return Floors(
        same_answer={name: same[name] for name in metrics},
        words={name: words.scores[name] for name in metrics},
        trained_on=words.trained_on,
        measured_on=words.measured_on,
    )


def _suited_metric(spec: StudySpec, data: LabelledData, counts: Sequence[int]) -> tuple[str, str]:
    """The study's own metric and why, or another where that is none for these labels or misleads."""
    chosen = metric = spec.study.metric
    if chosen not in metrics_for(data.task):
        metric = PLAINEST_METRIC[data.task]
    if metric == "accuracy" and unbalanced(counts):
        largest = int(np.argmax(counts))
        share = counts[largest] / sum(counts)
        return "f1_macro", (
            f"accuracy misleads, for {share:.0%} of the training texts are "
            f"{shortened(data.label_names[largest], 30)}; f1_macro gives every class the same weight"
        )
    none = f"{chosen} is none for these labels; " if metric != chosen else ""
    return metric, none + _MEANING.get(metric, "as the study says")
