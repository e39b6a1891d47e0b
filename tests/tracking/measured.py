"""Classifiers whose probabilities are known, published as MLflow models without a server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hpo.data.preprocessing import AS_THEY_ARE, Preprocessing
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.pretrained import load_pretrained
from hpo.model.saved import TextClassifier, save_transformers
from hpo.results.card import how_to_call
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.tasks.task import Task
from hpo.tracking.model_folder import build, transformers_flavor
from tests.model.tiny_gpt2 import classifier_over, random_split, save_bert_vocabulary, save_tiny

LABELS = ("bad", "so-so", "good")
MAX_LENGTH = 256
LENGTHS = (0, 1, MAX_LENGTH + 1, 5_000)
LIKE_CODE = (
    "[1, 2]",
    "['a', 'b']",
    "{'text': 'bad'}",
    '{"text": "bad"}',
    "null",
    "None",
    "nan",
    "True",
    "1e5",
    "1",
    '"quoted"',
    "a, b",
)
# What pads: the end of text, another token, BERT's own; and words, of which a blank text has none.
TOKENIZERS = ("<|endoftext|>", "!", "bert", "words")


@dataclass(frozen=True)
class Measured:
    """A published model, and the classifier that the test score would be made of."""

    classifier: TextClassifier
    folder: Path

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self.classifier.classifier.model.tokenizer

    def texts(self) -> list[str]:
        """Texts of each of LENGTHS, as far as the tokenizer adds no tokens of its own, and LIKE_CODE."""
        added = self.tokenizer.num_special_tokens_to_add()
        texts = [" ".join("a" * max(0, length - added)) for length in LENGTHS]
        assert [len(self.tokenizer(text)["input_ids"]) for text in texts] == [
            max(length, added) for length in LENGTHS
        ]
        return [*texts, " ", *LIKE_CODE, "A dull film, slow and sad. " * 100]

    def for_transformers(self, texts: list[str]) -> list[str]:
        """The texts as the card gives them to transformers."""
        card = how_to_call("name", MAX_LENGTH, self.tokenizer)
        *_, given = re.findall(r"^classify\((.*)\)$", card, re.MULTILINE)
        found: list[str] = eval(given, {"texts": texts})
        return found

    def probabilities(self, texts: list[str]) -> NDArray[np.float32]:
        """What the test score would be made of, (texts, classes)."""
        return self.classifier.classify(texts)[1]


def publish(
    folder: Path,
    *,
    tokenizer: str = TOKENIZERS[0],
    max_length: int = MAX_LENGTH,
    task: Task = SINGLE_LABEL,
    labels: tuple[str, ...] = LABELS,
    preprocessing: Preprocessing = AS_THEY_ARE,
) -> Measured:
    """Make a classifier that has moved away from its base, and build its MLflow model."""
    base = save_tiny(folder / "base", n_positions=320)
    if tokenizer == "bert":
        save_bert_vocabulary(base)
    elif tokenizer == "words":
        words = Tokenizer(WordLevel({"[UNK]": 0, "[PAD]": 1, "a": 2, "dull": 3}, unk_token="[UNK]"))
        words.pre_tokenizer = Whitespace()
        PreTrainedTokenizerFast(
            tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]"
        ).save_pretrained(base)
    else:
        saved = AutoTokenizer.from_pretrained(base)
        saved.pad_token, saved.padding_side = tokenizer, "left"
        saved.save_pretrained(base)
    model = load_pretrained(str(base))
    split = random_split([4, 9, 300], vocabulary=600)
    trained, _ = classifier_over(model, split, freeze_depth=0, classes=task.outputs(labels))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in trained.parameters.values():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    features = FrozenFeatures(model, cache=None)
    classifier = TextClassifier.of(trained, features, task, labels, max_length, preprocessing)
    published = folder / "published"
    save_transformers(published, classifier.classifier, task, labels, max_length, preprocessing)
    build(published, "model", transformers_flavor, model_id="m-1", run_id="r-1")
    return Measured(classifier, published)
