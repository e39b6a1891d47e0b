"""A finished model written as a folder that needs nothing of ours, and compared with the engine before it is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hpo.atomic import whole_folder
from hpo.digests import write_digests
from hpo.errors import DiskError, ModelError, first_line
from hpo.model.onnx_graph import OnnxClassifier, write_onnx
from hpo.model.saved import TextClassifier, save_transformers
from hpo.results.export_card import export_card
from hpo.tracking.pyfunc import answers_of

if TYPE_CHECKING:
    from hpo.model.predictor import Predictor
    from hpo.tracking.served_classifier import Answers

ExportForm = Literal["transformers", "onnx"]

_WEIGHTS: Final = "model.safetensors"
_RTOL, _ATOL = 1e-3, 1e-4  # of probabilities that two libraries make in fp32
_SAMPLES: Final = (
    "",
    " ",
    "good",
    "A dull film, slow and sad.",
    " <p>A <b>BOLD</b> claim &amp; more: https://example.org/a?b=c </p>",
    "naïve café – 日本語 🙂",
)


def export(
    predictor: Predictor, place: str, target: Path, form: ExportForm, *, replace: bool
) -> float:
    """Write a classifier as transformers or onnxruntime read it, with its tokenizer, a card and digests.

    Nothing is written where its answers to sample texts are others than the engine's.

    Args:
        predictor: The model.
        place: What messages and the card call it.
        target: The folder, which there is not yet, or which is empty.
        replace: Whether it replaces an earlier folder.

    Returns:
        The largest difference found of a probability, or of a number where the model gives numbers.

    Raises:
        ModelError: It is an ensemble, or answers otherwise in the other form.
        DiskError: It cannot be written.
    """
    if not isinstance(predictor, TextClassifier):
        raise ModelError(
            place,
            found="an ensemble, several classifiers that answer as one",
            expected="one classifier, which is what transformers and ONNX can hold",
            hint="Serve it with MLflow (`mlflow models serve`) or `python -m hpo.predict`, or export a member.",
        )
    try:
        with whole_folder(target, durable=False, replace=replace) as folder:
            return _fill(folder, predictor, place, form)
    except OSError as error:
        raise DiskError(
            str(target),
            found=first_line(error),
            expected="a folder that can be written",
            hint="Check the disk and the rights to it, and run the same command again.",
        ) from error


def _fill(folder: Path, classifier: TextClassifier, place: str, form: ExportForm) -> float:
    save_transformers(
        folder,
        classifier.classifier,
        classifier.task,
        classifier.label_names,
        classifier.max_length,
        classifier.preprocessing,
    )
    # Its library lets nobody but the writer read it, and whoever serves it may be another.
    (folder / _WEIGHTS).chmod((folder / "config.json").stat().st_mode)
    if form == "onnx":
        write_onnx(folder)
    largest = _compared(folder, classifier, place, form)
    if form == "onnx":
        (folder / _WEIGHTS).unlink()
    card = export_card(classifier, place, form)
    (folder / "README.md").write_text(card, encoding="utf-8")
    write_digests(folder)
    return largest


def _compared(folder: Path, classifier: TextClassifier, place: str, form: ExportForm) -> float:
    """The largest difference between what is written and the engine, on texts of many lengths.

    Raises:
        ModelError: It is more than rounding.
    """
    texts = sample_texts(classifier.max_length)
    scores = _plain_scores(folder, classifier, form)
    found = np.concatenate([scores(texts), *(scores([text]) for text in texts)])
    expected = np.tile(classifier.classify(texts)[1], (2, 1))
    difference = float(np.abs(found - expected).max())
    if not np.allclose(found, expected, rtol=_RTOL, atol=_ATOL):
        raise ModelError(
            place,
            found=f"other answers as {form} than as measured (by up to {difference:.2g})",
            expected="the same up to rounding",
            hint="Serve it with MLflow or `python -m hpo.predict`, and report this.",
        )
    return difference


def sample_texts(max_length: int) -> list[str]:
    """Texts that are blank, marked up, of other scripts, short, and longer than is read."""
    repeated = ("dull and sad " * count for count in (1, max_length // 4, 2 * max_length))
    return [*_SAMPLES, *repeated]


def _plain_scores(
    folder: Path, classifier: TextClassifier, form: ExportForm
) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """What gives probabilities or numbers, (texts, labels), without the engine."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    answers = answers_of(classifier)
    if form == "onnx":
        graph = OnnxClassifier(folder)
        return lambda texts: _scores(answers, graph.logits(token_batch(tokenizer, texts)))
    model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()

    def scores(texts: Sequence[str]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return _scores(answers, model(**token_batch(tokenizer, texts)).logits.numpy())

    return scores


def _scores(answers: Answers, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(answers.scores(torch.from_numpy(logits)))


def token_batch(tokenizer: Any, texts: Sequence[str]) -> Any:
    """`input_ids` and `attention_mask`, (texts, tokens), as the card says to make them."""
    runs = tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
    filled = [text if run else tokenizer.pad_token for text, run in zip(texts, runs, strict=True)]
    head = tokenizer.init_kwargs.get("head_tokens")
    if head is None:
        return tokenizer(filled, truncation=True, padding=True, return_tensors="pt")
    tail = tokenizer.model_max_length - head
    runs = tokenizer(filled, truncation=False, verbose=False)["input_ids"]
    cut = [run if len(run) <= head + tail else run[:head] + run[-tail:] for run in runs]
    return tokenizer.pad({"input_ids": cut}, return_tensors="pt")
