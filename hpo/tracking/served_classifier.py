"""The pyfunc of a registered classifier: texts in, answers and probabilities out, as it was measured.

Publishing copies this file into the model's folder, and MLflow loads it from there, in environments
that need not have hpo: it imports nothing of ours, only torch, transformers, numpy and pandas.
"""

from __future__ import annotations

import hashlib
import json
import logging
import numbers
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

logger = logging.getLogger(__name__)

TEXT_COLUMN = "text"
DIGESTS_FILE = "digests.json"
MODEL_FOLDER = "model"
_USUAL_THRESHOLD = 0.5

# What is held at once: cells of a padded batch, and what the tokenizer makes of texts, whose parts
# beyond the model's length it drops only afterwards.
_CELLS_AT_ONCE = 8_192
_TEXTS_AT_ONCE = 2_048
_CHARACTERS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class NoText:
    """What stands for a row that holds no text.

    Attributes:
        why: For whoever sent it.
    """

    why: str


@dataclass(frozen=True)
class Answers:
    """What a model says of a text, and how that is made of its logits.

    Attributes:
        problem_type: As transformers has it; one label a text where it is neither
            multi_label_classification nor regression.
        label_names: In the order of the logits.
        thresholds: Of several labels a text, the least probability at which it is given each; empty:
            one half.
    """

    problem_type: str | None
    label_names: tuple[str, ...]
    thresholds: tuple[float, ...] = ()

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits, (texts, labels), to probabilities, or as they are where they are numbers."""
        if self.problem_type == "regression":
            return logits
        if self.problem_type == "multi_label_classification":
            return logits.sigmoid()
        return logits.softmax(-1)

    def columns(self, scores: NDArray[np.float64]) -> dict[str, Any]:
        """The columns of a table with a row for each row of the scores, (texts, labels)."""
        if self.problem_type == "regression":
            return {"prediction": scores[:, 0]}
        if self.problem_type == "multi_label_classification":
            reached = scores >= np.array(self.thresholds or _USUAL_THRESHOLD)
            names = np.array(self.label_names, object)
            columns: dict[str, Any] = {"labels": [list(names[row]) for row in reached]}
        else:
            columns = {"label": [self.label_names[index] for index in scores.argmax(1)]}
        for index, name in enumerate(self.label_names):
            columns[f"probability_{name}"] = scores[:, index]
        return columns


class ServedModel(ABC):
    """A model of texts behind pyfunc's `predict`: all but its forward pass.

    A text gets the probabilities, or the number, that the test score is made of: of `max_length`
    tokens at most, in fp32. Safe among the threads of a server.
    """

    def __init__(self, tokenizer: Any, answers: Answers, max_length: int) -> None:
        self.answers = answers
        self.max_length = max_length
        self._tokenizer = tokenizer
        self._tokenizing = threading.Lock()
        # Of a longer text, where both its ends are read; None where truncating is enough.
        self._head_tokens: int | None = tokenizer.init_kwargs.get("head_tokens")
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @abstractmethod
    def _scores(self, ids: Tensor, mask: Tensor) -> NDArray[np.float32]:
        """Scores, (texts, labels), of token ids, (texts, tokens), with padding on the right masked by 0."""

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Classify texts, in any of the forms that `rows_of` reads; the table is `answer`'s."""
        return answer(model_input, self.answers, self.scores)

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The probabilities, or numbers, of each text, (texts, labels)."""
        runs = [run for part in _parts(texts) for run in self._token_ids(part)]
        found = np.empty((len(runs), len(self.answers.label_names)), np.float32)
        for batch in _batches([len(run) for run in runs]):
            found[batch] = self._forward([runs[index] for index in batch])
        return found

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text as in training: cleaned and cut as then, without padding at the end.

        A text that gives no tokens is read as one padding token.
        """
        padding = self._tokenizer.pad_token_id
        # Tokenizers cannot be used by two threads at once.
        with self._tokenizing:
            encoded = self._tokenizer(
                texts,
                truncation=self._head_tokens is None,
                max_length=self.max_length,
                return_attention_mask=False,
                verbose=False,
            )
        runs: list[list[int]] = encoded["input_ids"]
        for run in runs:
            if self._head_tokens is not None and len(run) > self.max_length:
                del run[self._head_tokens : self._head_tokens + len(run) - self.max_length]
            while len(run) > 1 and run[-1] == padding:
                run.pop()
        return [run or [padding] for run in runs]

    def _forward(self, runs: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        width = max(map(len, runs))
        ids = torch.full((len(runs), width), self._tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, run in enumerate(runs):
            ids[row, : len(run)] = torch.tensor(run)
            mask[row, : len(run)] = 1
        with torch.inference_mode():
            return self._scores(ids.to(self._device), mask.to(self._device))


class ServedClassifier(ServedModel):
    """A classifier in the folder that `save_pretrained` wrote."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32
        )
        names = model.config.id2label
        super().__init__(
            tokenizer,
            Answers(
                model.config.problem_type,
                tuple(names[index] for index in range(len(names))),
                tuple(getattr(model.config, "thresholds", None) or ()),
            ),
            int(min(tokenizer.model_max_length, model.config.max_position_embeddings)),
        )
        self._model = model.to(self._device).eval()

    def _scores(self, ids: Tensor, mask: Tensor) -> NDArray[np.float32]:
        logits = self._model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        found: NDArray[np.float32] = self.answers.scores(logits.float()).cpu().numpy()
        return found


def answer(
    model_input: Any,
    answers: Answers,
    scores_of: Callable[[Sequence[str]], NDArray[np.floating[Any]]],
) -> pd.DataFrame:
    """A row for each row of the input, in its order, with the columns that `answers` has.

    They are `label`, a name, or `labels`, a list of names, with `probability_<label>` for each label;
    or `prediction`, a number.

    Rows that hold no text do not fail the others: they have None there, and a column `error`, which
    is there where such rows are, says why.

    Args:
        scores_of: Texts -> (texts, labels).

    Raises:
        MLflow: 's exception, which a server shows to clients without a stack trace.
    """
    rows = [text_of(row) for row in rows_of(model_input)]
    texts = [row for row in rows if isinstance(row, str)]
    try:
        found = np.asarray(scores_of(texts), np.float64)
    except Exception as error:
        logger.exception("Classifying %d texts", len(texts))
        raise refusal(
            "The texts could not be classified; the log says why.", server=True
        ) from error
    table = pd.DataFrame(answers.columns(found))
    if len(texts) == len(rows):
        return table
    # None and not NaN, for which JSON has no word.
    table = table.astype(object)
    table.index = pd.Index([at for at, row in enumerate(rows) if isinstance(row, str)])
    table = table.reindex(range(len(rows)))
    table = table.where(table.notna(), None)
    errors = [row.why if isinstance(row, NoText) else None for row in rows]
    return table.assign(error=pd.Series(errors, dtype=object))


def rows_of(model_input: Any) -> list[Any]:
    """The rows of a request, of whatever kind each is: one text, or a list, Series or array of
    them.

    Of a table (a DataFrame, or a dict of columns) the column `text`, or the only one.

    Raises:
        MLflow: 's exception where a table has others alone.
    """
    if isinstance(model_input, (pd.DataFrame, dict)):
        names = list(model_input)
        if TEXT_COLUMN not in names and len(names) != 1:
            listed = ", ".join(map(str, names[:10])) or "none"
            raise refusal(
                f"Of the columns ({listed}) none is called `{TEXT_COLUMN}`: rename the one that holds "
                "the texts, or give it alone."
            )
        at = names.index(TEXT_COLUMN) if TEXT_COLUMN in names else 0
        if isinstance(model_input, dict):
            return rows_of(model_input[names[at]])
        return list(model_input.iloc[:, at])
    if isinstance(model_input, np.ndarray) and model_input.ndim == 0:
        return [model_input.item()]
    if isinstance(model_input, (str, bytes, bytearray)) or not isinstance(model_input, Iterable):
        return [model_input]
    return list(model_input)


def text_of(row: Any) -> str | NoText:
    """The text that a row holds. A record is read as its field `text`, a row of one cell as that cell.

    Numbers and truth values are written out; half a surrogate pair becomes U+FFFD.
    """
    value = _cell(row)
    try:
        if isinstance(value, (bytes, bytearray)):
            return value.decode()
        if isinstance(value, str):
            # The two halves of a pair, where JSON had them apart, find together again.
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
            return NoText("not a text: null")
        if isinstance(value, (numbers.Number, np.bool_)):
            return str(value)
    except (ValueError, ArithmeticError) as error:
        return NoText(f"not a text: {type(value).__name__} that cannot be read ({error})")
    return NoText(f"not a text: {type(value).__name__}")


def _cell(row: Any) -> Any:
    if isinstance(row, dict) and TEXT_COLUMN in row:
        row = row[TEXT_COLUMN]
    elif isinstance(row, (list, tuple, pd.Series)) and len(row) == 1:
        row = next(iter(row))
    return row.item() if isinstance(row, np.ndarray) and row.size == 1 else row


def check_digests(folder: Path) -> None:
    """Hold a model's files to the digests that were written when it was published, if they are
    there.

    digests.json: path in the folder -> SHA-256, hexadecimal.

    Raises:
        MLflow: 's exception where a file is gone or another than it was.
    """
    path = folder / DIGESTS_FILE
    if not path.exists():
        return
    try:
        for name, digest in json.loads(path.read_bytes()).items():
            if digest_of(folder / name) != digest:
                raise ValueError(f"{name} is another than was published")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        message = (
            f"The model in {folder} is damaged: {error}. Download it again, or publish it again."
        )
        raise refusal(message, server=True) from error


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refusal(message: str, *, server: bool = False) -> Exception:
    """MLflow's exception, whose message alone reaches clients.

    Args:
        server: Whether it is our fault.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE

    code = INTERNAL_ERROR if server else INVALID_PARAMETER_VALUE
    return MlflowException(message, error_code=code)


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Runs of texts that are few enough, and short enough together, to be tokenised at once."""
    start, characters = 0, 0
    for end, text in enumerate(texts):
        characters += len(text)
        if end > start and (end - start == _TEXTS_AT_ONCE or characters > _CHARACTERS_AT_ONCE):
            yield texts[start:end]
            start, characters = end, len(text)
    if start < len(texts):
        yield texts[start:]


def _batches(lengths: Sequence[int]) -> Iterator[NDArray[np.int64]]:
    """Texts of like lengths together, as many as fit into a batch's cells, at least one."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        full = end == len(order) or (end + 1 - start) * lengths[order[end]] > _CELLS_AT_ONCE
        if full:
            yield order[start:end]
            start = end


def _load_pyfunc(data_path: str) -> ServedClassifier:
    folder = Path(data_path)
    check_digests(folder)
    return ServedClassifier(folder / MODEL_FOLDER)
