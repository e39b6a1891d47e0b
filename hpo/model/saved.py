"""Classifiers as files: the trained part alone, small, or the whole as transformers loads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hpo.data.preprocessing import AS_THEY_ARE, Preprocessing
from hpo.data.tokens import TokenizedSplit, tokenize_texts
from hpo.digests import damage_in, write_digests
from hpo.errors import ModelError, first_line
from hpo.formats import TRAINED
from hpo.model.base_place import base_place
from hpo.model.classifier import Classifier
from hpo.model.embedding_rows import EmbeddingRows
from hpo.model.exported_tokenizer import save_tokenizer
from hpo.model.family import Trained
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.inputs import SplitInputs
from hpo.model.prediction import OnBatch, predict
from hpo.model.pretrained import PretrainedModel, load_pretrained
from hpo.model.trial_facts import FACTS_FILE, read_facts
from hpo.model.weights_file import write_weights
from hpo.tasks import TASKS, task_named
from hpo.tasks.task import TEMPERATURE_IN_HEAD, Task

TRAINED_FILE = "trained.safetensors"
_TOKEN_IDS = "vocabulary.tokens"  # of the embedding rows; the name that files have


@dataclass(frozen=True)
class TextClassifier:
    """A finished classifier: texts in, labels and probabilities out.

    Attributes:
        classifier: With whole embedding tables, so that it takes any text.
        features: The frozen part below it.
        label_names: In the order of the classes.
        max_length: Tokens that are read of a text.
        preprocessing: What is done to a text before.
    """

    classifier: Classifier
    features: FrozenFeatures
    task: Task
    label_names: tuple[str, ...]
    max_length: int
    preprocessing: Preprocessing = AS_THEY_ARE

    @property
    def model(self) -> PretrainedModel:
        """The pretrained model that it was trained from."""
        return self.classifier.model

    @staticmethod
    def of(
        trained: Classifier,
        features: FrozenFeatures,
        task: Task,
        label_names: tuple[str, ...],
        max_length: int,
        preprocessing: Preprocessing = AS_THEY_ARE,
    ) -> TextClassifier:
        """A classifier for any text, with whole embedding tables, from one that a trial trained."""
        if trained.embedding_rows is None:
            return TextClassifier(trained, features, task, label_names, max_length, preprocessing)
        whole = _blank(trained.model, trained.trained, task.outputs(label_names), features)
        whole.restore(dict(trained.full_weights()), trained.decay)
        return TextClassifier(whole, features, task, label_names, max_length, preprocessing)

    def tempered(self, temperature: float) -> Self:
        """As `Predictor.tempered`."""
        return replace(self, task=self.task.tempered(temperature))

    def classify(self, texts: Sequence[str]) -> tuple[list[Any], NDArray[np.float32]]:
        """The task's answer to each text, and what it is made of.

        Returns:
            Answers, one a text: a label, a list of labels or a number; and probabilities or numbers,
            (texts, labels) fp32, in the order of `label_names`.
        """
        if not texts:
            return [], np.empty((0, len(self.label_names)), np.float32)
        split = tokenize_texts(
            texts,
            self.classifier.model.tokenizer,
            max_length=self.max_length,
            preprocessing=self.preprocessing,
        )
        probabilities = self.probabilities(split, "")
        return self.task.answers(probabilities, self.label_names), probabilities

    def probabilities(
        self, split: TokenizedSplit, split_key: str, on_batch: OnBatch | None = None
    ) -> NDArray[np.float32]:
        """Class probabilities of a split's texts.

        Args:
            split: The texts.
            split_key: Names its tokens in the cache of hidden states, if `features` has one.
            on_batch: Told after each batch how many tokens it had.

        Returns:
            (texts, classes) fp32.
        """
        inputs = SplitInputs(
            split,
            split_key,
            trained=self.classifier.trained,
            features=self.features,
            embedding_rows=self.classifier.embedding_rows,
        )
        return predict(self.classifier, inputs, self.task, on_batch)


def save_trained(
    folder: Path,
    classifier: Classifier,
    task: Task,
    label_names: Sequence[str],
    max_length: int,
    facts: Mapping[str, Any],
    preprocessing: Preprocessing = AS_THEY_ARE,
) -> None:
    """Write what a trial trained, and the name and fingerprint of the base model that it needs.

    Args:
        folder: Made where it is missing.
        classifier: What was trained.
        label_names: In the order of the classes.
        max_length: Tokens that are read of a text.
        facts: Anything JSON that a person may want to know of the trial.
        preprocessing: What is done to a text before.

    Raises:
        OSError: Where it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = dict(classifier.parameters)
    if classifier.embedding_rows is not None:
        tensors[_TOKEN_IDS] = torch.from_numpy(classifier.embedding_rows.token_ids)
    write_weights(folder / TRAINED_FILE, tensors)
    base = Path(classifier.model.name).expanduser()
    document = {
        "format": TRAINED.number,
        "base_model": str(base.resolve()) if base.is_dir() else classifier.model.name,
        "base_revision": classifier.model.revision,
        "base_fingerprint": classifier.model.fingerprint,
        "freeze_depth": classifier.trained.first_block,
        "task": task.name,
        "problem_type": task.problem_type,
        "task_facts": dict(task.facts),
        "label_names": list(label_names),
        "max_length": max_length,
        "decay": classifier.decay,
        "preprocessing": preprocessing.as_json(),
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
    if damage is not None:
        return damage
    try:
        read_facts(folder)
    except (OSError, ValueError) as error:
        return f"{FACTS_FILE} cannot be read ({error})"
    return None


def load_trained(
    folder: Path, load_base: Callable[[str, str | None], PretrainedModel] = load_pretrained
) -> TextClassifier:
    """Load what `save_trained` wrote, over its base model.

    Args:
        folder: That it was written to.
        load_base: Gives the base model by name and revision.

    Raises:
        ModelError: Where it is missing or damaged, or its base model is gone or another.
    """
    try:
        damage = damage_in_trained(folder)
        if damage is not None:
            raise ValueError(damage)
        document = read_facts(folder)
        if document["task"] not in TASKS:
            raise ValueError(f"no installed package has the task {document['task']!r}")
        tensors = load_file(folder / TRAINED_FILE)
    except (OSError, ValueError, SafetensorError) as error:
        raise _unreadable(folder, str(error)) from error
    base = base_place(document["base_model"], folder)
    model = load_base(base, document["base_revision"])
    if model.fingerprint != document["base_fingerprint"]:
        raise ModelError(
            f"model {document['base_model']}",
            found="other weights than those the trial was trained on",
            expected=f"fingerprint {document['base_fingerprint']}, not {model.fingerprint}",
            hint="Restore the base model that the trial started from.",
        )
    try:
        return from_tensors(model, tensors, document)
    except (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError) as error:
        raise _unreadable(folder, first_line(error)) from error


def _unreadable(folder: Path, why: str) -> ModelError:
    return ModelError(
        str(folder),
        found=f"no trained model that can be read ({why})",
        expected=f"{TRAINED_FILE} and {FACTS_FILE}",
        hint="Log the model again.",
    )


def from_tensors(
    model: PretrainedModel, tensors: dict[str, Tensor], document: Mapping[str, Any]
) -> TextClassifier:
    """A classifier from the parts that `save_trained` wrote.

    Args:
        model: The base model.
        tensors: Of `TRAINED_FILE`, by name; changed by the call.
        document: Of `FACTS_FILE`.
    """
    features = FrozenFeatures(model, cache=None)
    task = task_named(document["task"]).with_facts(document.get("task_facts", {}))
    label_names, family = tuple(document["label_names"]), model.family
    trained = Trained(family.token_embedding in tensors, int(document["freeze_depth"]))
    token_ids, decay = tensors.pop(_TOKEN_IDS, None), float(document["decay"])
    if token_ids is not None:
        rows = EmbeddingRows(token_ids.numpy(), len(tensors[family.position_embedding]))
        for name, whole in (
            (family.token_embedding, rows.whole_tokens),
            (family.position_embedding, rows.whole_positions),
        ):
            tensors[name] = whole(model.weights[name], tensors[name], decay)
    classifier = _blank(model, trained, task.outputs(label_names), features)
    classifier.restore(tensors, decay)
    max_length = int(document["max_length"])
    preprocessing = Preprocessing.from_json(document.get("preprocessing", {}))
    return TextClassifier(classifier, features, task, label_names, max_length, preprocessing)


def save_transformers(
    folder: Path,
    classifier: Classifier,
    task: Task,
    label_names: Sequence[str],
    max_length: int,
    preprocessing: Preprocessing = AS_THEY_ARE,
) -> None:
    """Write the whole classifier and its tokenizer as `AutoModelForSequenceClassification` reads them.

    It has the positions up to `max_length` alone. Those beyond were never trained or measured, and
    without them a call that forgets to truncate fails, where it would give another answer.

    Args:
        folder: Made where it is missing.
        classifier: With compact or whole embedding tables.
        label_names: In the order of the classes.
        max_length: Tokens that are read of a text.
        preprocessing: What is done to a text before; the tokenizer that is written does it too.

    Raises:
        OSError: Where it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model, tokenizer = classifier.model, classifier.model.tokenizer
    position_embedding = model.family.position_embedding
    weights = dict(classifier.full_weights())
    weights[position_embedding] = weights[position_embedding][:max_length].contiguous()
    head, (_, norm_bias) = model.family.head, model.family.final_norm
    weights[head], weights[norm_bias] = task.plain_head(weights[head], weights[norm_bias])
    config = model.family.classification_config(
        model.config,
        tuple(label_names),
        int(tokenizer.pad_token_id),
        len(weights[position_embedding]),
        task.problem_type,
    )
    write_weights(folder / "model.safetensors", weights, {"format": "pt"})
    config.pop(TEMPERATURE_IN_HEAD, None)  # of another head, where the base model had one
    (folder / "config.json").write_text(
        json.dumps({**config, **task.config}, indent=2, ensure_ascii=False), encoding="utf-8"
    )
    save_tokenizer(folder, tokenizer, max_length, preprocessing)
    write_digests(folder)


def _blank(
    model: PretrainedModel, trained: Trained, outputs: int, features: FrozenFeatures
) -> Classifier:
    architecture = model.architecture
    every = EmbeddingRows.whole(architecture.vocab_size, architecture.n_positions)
    return Classifier(
        model,
        trained=trained,
        classes=outputs,
        embedding_rows=every if trained.embeddings else None,
        seed=0,
        dtype=features.dtype,
        device=features.device,
    )
