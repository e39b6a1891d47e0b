"""Classifiers as files: the trained part alone, small, or the whole as transformers loads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hpo.data.batches import evaluation_batches
from hpo.data.tokens import TokenizedSplit, tokenize_texts
from hpo.digests import damage_in, write_digests
from hpo.errors import ModelError
from hpo.formats import TRAINED, refusal
from hpo.model.base_place import base_place
from hpo.model.classifier import Classifier, Vocabulary
from hpo.model.dropout import NO_DROPOUT
from hpo.model.gpt2 import (
    HEAD,
    POSITION_EMBEDDING,
    TOKEN_EMBEDDING,
    PretrainedModel,
    classification_config,
    load_pretrained,
)
from hpo.model.inputs import SplitInputs
from hpo.model.layout import PASS_TOKENS
from hpo.model.prefix import Prefix
from hpo.model.weights_file import write_weights

TRAINED_FILE = "trained.safetensors"
FACTS_FILE = "trial.json"
_VOCABULARY = "vocabulary.tokens"
_NEEDED_FACTS = (
    "base_model",
    "base_revision",
    "base_fingerprint",
    "freeze_depth",
    "label_names",
    "max_length",
    "decay",
)


@dataclass(frozen=True)
class TextClassifier:
    """A finished classifier: texts in, labels and probabilities out."""

    classifier: Classifier
    prefix: Prefix
    label_names: tuple[str, ...]
    max_length: int

    @staticmethod
    def of(
        trained: Classifier, prefix: Prefix, label_names: tuple[str, ...], max_length: int
    ) -> TextClassifier:
        """A classifier for any text, with whole embedding tables, from one that a trial trained."""
        if trained.vocabulary is None:
            return TextClassifier(trained, prefix, label_names, max_length)
        whole = _blank(trained.model, 0, len(label_names), prefix)
        whole.restore(dict(trained.full_weights()), trained.decay)
        return TextClassifier(whole, prefix, label_names, max_length)

    def classify(self, texts: Sequence[str]) -> tuple[list[str], NDArray[np.float32]]:
        """The label of each text, and probabilities, (texts, classes), in the order of `label_names`."""
        if not texts:
            return [], np.empty((0, len(self.label_names)), np.float32)
        split = tokenize_texts(texts, self.classifier.model.tokenizer, max_length=self.max_length)
        probabilities = self.probabilities(split, "")
        return [self.label_names[index] for index in probabilities.argmax(1)], probabilities

    def probabilities(self, split: TokenizedSplit, split_key: str) -> NDArray[np.float32]:
        """Class probabilities of a split's texts, (texts, classes)."""
        inputs = SplitInputs(
            split,
            split_key,
            freeze_depth=self.classifier.freeze_depth,
            prefix=self.prefix,
            vocabulary=self.classifier.vocabulary,
        )
        return predict(self.classifier, inputs)


def predict(classifier: Classifier, inputs: SplitInputs) -> NDArray[np.float32]:
    """Class probabilities of every text of a split, without dropout, (texts, classes)."""
    probabilities = np.empty((len(inputs), len(classifier.parameters[HEAD])), np.float32)
    batches = evaluation_batches(inputs.split.lengths, PASS_TOKENS[classifier.device.type])
    found = []
    with classifier.held_weights():
        for texts in batches:
            batch = inputs.batch(texts)
            logits = classifier.logits(batch.inputs, batch.layout, NO_DROPOUT)
            found.append(logits.softmax(-1))
    if batches:  # read from the device once, for each reading waits for all that came before it
        probabilities[np.concatenate(batches)] = torch.cat(found).cpu().numpy()
    return probabilities


def save_trained(
    folder: Path,
    classifier: Classifier,
    label_names: Sequence[str],
    max_length: int,
    facts: Mapping[str, Any],
) -> None:
    """Write what a trial trained, and the name and fingerprint of the base model that it needs.

    facts: anything JSON that a person may want to know of the trial. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = dict(classifier.parameters)
    if classifier.vocabulary is not None:
        tensors[_VOCABULARY] = torch.from_numpy(classifier.vocabulary.tokens)
    write_weights(folder / TRAINED_FILE, tensors)
    base = Path(classifier.model.name).expanduser()
    document = {
        "format": TRAINED.number,
        "base_model": str(base.resolve()) if base.is_dir() else classifier.model.name,
        "base_revision": classifier.model.revision,
        "base_fingerprint": classifier.model.fingerprint,
        "freeze_depth": classifier.freeze_depth,
        "label_names": list(label_names),
        "max_length": max_length,
        "decay": classifier.decay,
        "trial": dict(facts),
    }
    (folder / FACTS_FILE).write_text(
        json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8"
    )
    write_digests(folder)


def damage_in_trained(folder: Path) -> str | None:
    """What is wrong with what `save_trained` wrote, in a few words; None where nothing is."""
    missing = [name for name in (TRAINED_FILE, FACTS_FILE) if not (folder / name).is_file()]
    if missing:
        return f"no {missing[0]}"
    damage = damage_in(folder, needed=(TRAINED_FILE, FACTS_FILE))
    return damage or _damage_in_facts(folder / FACTS_FILE)


def _damage_in_facts(path: Path) -> str | None:
    try:
        document = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        return f"{path.name} cannot be read ({error})"
    newer = refusal(TRAINED, str(path), document.get("format"))
    return None if newer is None else str(newer)


def load_trained(
    folder: Path, load_base: Callable[[str, str | None], PretrainedModel] = load_pretrained
) -> TextClassifier:
    """Load what `save_trained` wrote, over its base model. Raises ModelError, also for a damaged one."""
    try:
        damage = damage_in_trained(folder)
        if damage is not None:
            raise ValueError(damage)
        document = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        missing = [key for key in _NEEDED_FACTS if key not in document]
        if missing:
            raise ValueError(f"{FACTS_FILE} lacks {', '.join(missing)}")
        tensors = load_file(folder / TRAINED_FILE)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(
            str(folder),
            found=f"no trained model that can be read ({error})",
            expected=f"{TRAINED_FILE} and {FACTS_FILE}",
            hint="Log the model again.",
        ) from error
    base = base_place(document["base_model"], folder)
    model = load_base(base, document["base_revision"])
    if model.fingerprint != document["base_fingerprint"]:
        raise ModelError(
            f"model {document['base_model']}",
            found="other weights than those the trial was trained on",
            expected=f"fingerprint {document['base_fingerprint']}, not {model.fingerprint}",
            hint="Restore the base model that the trial started from.",
        )
    return from_tensors(model, tensors, document)


def from_tensors(
    model: PretrainedModel, tensors: dict[str, Tensor], document: Mapping[str, Any]
) -> TextClassifier:
    """A classifier from the parts that `save_trained` wrote."""
    prefix = Prefix(model, cache=None)
    label_names, depth = tuple(document["label_names"]), int(document["freeze_depth"])
    used = tensors.pop(_VOCABULARY, None)
    if used is not None:
        for name, rows in (
            (TOKEN_EMBEDDING, used),
            (POSITION_EMBEDDING, slice(len(tensors[POSITION_EMBEDDING]))),
        ):
            table = model.weights[name] * float(document["decay"])
            table[rows] = tensors[name]
            tensors[name] = table
    classifier = _blank(model, depth, len(label_names), prefix)
    classifier.restore(tensors, float(document["decay"]))
    return TextClassifier(classifier, prefix, label_names, int(document["max_length"]))


def save_transformers(
    folder: Path, classifier: Classifier, label_names: Sequence[str], max_length: int
) -> None:
    """Write the whole classifier and its tokenizer as `AutoModelForSequenceClassification` reads them.

    It has the positions up to `max_length` alone. Those beyond were never trained or measured, and
    without them a call that forgets to truncate fails, where it would give another answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = classifier.model.tokenizer
    weights = dict(classifier.full_weights())
    weights[POSITION_EMBEDDING] = weights[POSITION_EMBEDDING][:max_length].contiguous()
    config = classification_config(
        classifier.model.config,
        tuple(label_names),
        int(tokenizer.pad_token_id),
        len(weights[POSITION_EMBEDDING]),
    )
    write_weights(folder / "model.safetensors", weights, {"format": "pt"})
    (folder / "config.json").write_text(
        json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8"
    )
    usual_length, tokenizer.model_max_length = tokenizer.model_max_length, max_length
    tokenizer.save_pretrained(folder)
    tokenizer.model_max_length = usual_length
    # GPT-2 would add the embeddings of tokens 0 and 1 for BERT's token_type_ids, and count the
    # positions of padding on the left.
    inputs = {"model_input_names": ["input_ids", "attention_mask"], "padding_side": "right"}
    _lay_over(folder / "tokenizer_config.json", inputs)
    truncation = {
        "direction": tokenizer.truncation_side.capitalize(),
        "max_length": max_length,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    if (folder / "tokenizer.json").exists():
        _lay_over(folder / "tokenizer.json", {"truncation": truncation, "padding": None})
    write_digests(folder)


def _lay_over(path: Path, values: Mapping[str, Any]) -> None:
    document = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")


def _blank(model: PretrainedModel, depth: int, classes: int, prefix: Prefix) -> Classifier:
    architecture = model.architecture
    every = Vocabulary(np.arange(architecture.vocab_size), architecture.n_positions)
    return Classifier(
        model,
        freeze_depth=depth,
        classes=classes,
        vocabulary=every if depth == 0 else None,
        seed=0,
        dtype=prefix.dtype,
        device=prefix.device,
    )
