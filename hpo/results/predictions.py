"""What a finished model says of rows, as columns beside theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from hpo.data.row_stream import Rows
from hpo.data.tokens import TokenizedSplit
from hpo.data.word_tokens import WordTokens
from hpo.spec.numbers import counted
from hpo.tracking.pyfunc import answers_of
from hpo.tracking.served_classifier import Answers, NoText, text_of

if TYPE_CHECKING:
    from hpo.model.predictor import Predictor

ERROR_COLUMN: Final = "error"
_REASONS_TOLD: Final = 3
_OURS: Final = "predicted_"  # before a column of ours whose name the input has already


@dataclass(frozen=True)
class AnswerForm:
    """What is told of each text.

    Attributes:
        top: Instead of a probability for each label, so many labels with theirs, the likeliest
            first; None: every label's.
        threshold: The least probability at which a text is given a label; None: the model's own, for
            several labels a text, and otherwise none.
    """

    top: int | None = None
    threshold: float | None = None

    def columns(self, answers: Answers, scores: NDArray[np.float64]) -> dict[str, Sequence[Any]]:
        """The columns of a table with a row for each row of the scores, (texts, labels)."""
        if answers.problem_type == "multi_label_classification" and self.threshold is not None:
            limits = (self.threshold,) * len(answers.label_names)
            answers = Answers(answers.problem_type, answers.label_names, limits)
        columns = {name: list(column) for name, column in answers.columns(scores).items()}
        if "label" in columns and self.threshold is not None:
            reached = scores.max(1, initial=0.0) >= self.threshold
            columns["label"] = [
                label if enough else None
                for label, enough in zip(columns["label"], reached, strict=True)
            ]
        if self.top is None or answers.problem_type == "regression":
            return dict(columns)
        named = {name: column for name, column in columns.items() if name in ("label", "labels")}
        return {**named, **dict(_likeliest(answers.label_names, scores, self.top))}


def _likeliest(
    names: Sequence[str], scores: NDArray[np.float64], top: int
) -> Iterator[tuple[str, Sequence[Any]]]:
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    for place in range(order.shape[1]):
        at = order[:, place]
        yield f"label_{place + 1}", [names[index] for index in at]
        yield f"probability_{place + 1}", scores[np.arange(len(at)), at].tolist()


@dataclass(frozen=True)
class _Part:
    """Rows ready for the model.

    Attributes:
        rows: As they were read.
        texts: Of each row, or why it has none.
        position: Of each distinct text in the split.
        split: The distinct texts as tokens; None where there are none.
    """

    rows: Rows
    texts: Sequence[str | NoText]
    position: Mapping[str, int]
    split: TokenizedSplit | None


@dataclass
class Labeller:
    """A model that labels rows, part after part.

    Attributes:
        predictor: The model.
        text_column: Of the rows.
        form: What is told of each.
        on_batch: Told after each batch of texts what share of the table has its answers, from 0 to 1.
        faults: How many rows got no answer, by the reason.
        rows: How many there were.
    """

    predictor: Predictor
    text_column: str
    form: AnswerForm = field(default_factory=AnswerForm)
    on_batch: Callable[[float], None] | None = None
    faults: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    _share: float = field(default=0.0, init=False, repr=False)  # that has its answers
    _tokens: WordTokens = field(init=False, repr=False)

    def __post_init__(self) -> None:
        model = self.predictor
        self._tokens = WordTokens(model.model.tokenizer, model.max_length, model.preprocessing)

    def label_each(self, parts: Iterator[Rows]) -> Generator[dict[str, Sequence[Any]]]:
        """As `label` of each part; the next is read and made into tokens while the model is at one."""

        def next_part() -> _Part | None:
            rows = next(parts, None)
            return None if rows is None else self._prepared(rows)

        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(next_part)
            while (part := coming.result()) is not None:
                coming = ahead.submit(next_part)
                yield self._labelled(part)

    def label(self, rows: Rows) -> dict[str, Sequence[Any]]:
        """The rows' columns, and after them the answers; `error` says why a row has none.

        Equal texts are classified once.
        """
        return self._labelled(self._prepared(rows))

    def _prepared(self, rows: Rows) -> _Part:
        texts = [self._text(rows, index) for index in range(len(rows))]
        distinct = list(dict.fromkeys(text for text in texts if isinstance(text, str)))
        split = self._tokens.split(distinct) if distinct else None
        return _Part(rows, texts, {text: at for at, text in enumerate(distinct)}, split)

    def _labelled(self, part: _Part) -> dict[str, Sequence[Any]]:
        rows, texts = part.rows, part.texts
        told = self.form.columns(answers_of(self.predictor), self._scores(part))
        at = [part.position[text] if isinstance(text, str) else None for text in texts]
        errors = [text.why if isinstance(text, NoText) else None for text in texts]
        self.rows += len(rows)
        self.faults.update(error for error in errors if error is not None)
        columns: dict[str, Sequence[Any]] = dict(rows.columns)
        for name, column in told.items():
            unused = name if name not in rows.columns else f"{_OURS}{name}"
            columns[unused] = [None if index is None else column[index] for index in at]
        columns[ERROR_COLUMN if ERROR_COLUMN not in columns else f"{_OURS}{ERROR_COLUMN}"] = errors
        return columns

    def _scores(self, part: _Part) -> NDArray[np.float64]:
        """Of each distinct text, (texts, labels)."""
        if part.split is None:
            self._share = part.rows.share_read
            return np.empty((0, len(self.predictor.label_names)))
        before, after = self._share, part.rows.share_read
        tokens, done = len(part.split.tokens), 0

        def on_batch(of_batch: int) -> None:
            nonlocal done
            done += of_batch
            self._share = before + (after - before) * done / tokens
            if self.on_batch is not None:
                self.on_batch(self._share)

        with torch.inference_mode():
            found = self.predictor.probabilities(part.split, "", on_batch)
        # Of fp32 no more digits than it has, which a file would have to hold.
        return found.astype(np.float64).round(7)

    def _text(self, rows: Rows, index: int) -> str | NoText:
        fault = rows.faults.get(index)
        if fault is not None:
            return NoText(fault)
        cell = rows.columns.get(self.text_column, _NO_CELLS)[index : index + 1]
        value = cell[0] if cell else None
        if isinstance(value, str) and not _is_text(value):
            return NoText("bytes that are no text in the file's encoding")
        return text_of(value)


_NO_CELLS: Final[Sequence[Any]] = ()


def _is_text(value: str) -> bool:
    """Whether a text holds no bytes that could not be decoded."""
    return value.isascii() or not any("\udc80" <= character <= "\udcff" for character in value)


def faults_in_words(faults: Mapping[str, int]) -> str:
    """`2 rows have no answer; the column error says why: not a text: null (2 rows)`, the most frequent first."""
    count = sum(faults.values())
    most = Counter(faults).most_common(_REASONS_TOLD)
    reasons = [f"{reason} ({counted(of_it, 'row')})" for reason, of_it in most]
    if len(faults) > len(most):
        reasons.append(f"other reasons ({counted(count - sum(of_it for _, of_it in most), 'row')})")
    have = "has" if count == 1 else "have"
    return (
        f"{counted(count, 'row')} {have} no answer; the column error says why: {'; '.join(reasons)}"
    )
