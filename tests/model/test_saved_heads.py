"""Every head comes back from its files, and gives plain transformers the same logits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hpo.errors import ModelError
from hpo.model.classifier import Classifier
from hpo.model.dropout import NO_DROPOUT
from hpo.model.exported import load_exported
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.inputs import SplitInputs
from hpo.model.pretrained import PretrainedModel
from hpo.model.saved import TextClassifier, load_trained, save_trained, save_transformers
from hpo.tasks.multi_label import MULTI_LABEL
from hpo.tasks.regression import REGRESSION
from hpo.tasks.single_label import SINGLE_LABEL, SINGLE_LABEL_SIGMOID
from hpo.tasks.task import Task
from tests.model.tiny_gpt2 import classifier_over, random_split, save_tiny, tiny

TEXTS = ["A dull film, slow and sad.", "good", "I loved every minute of it , truly", "ok then"]
MAX_LENGTH = 32


@dataclass(frozen=True)
class Head:
    """A task, what its labels are called, and the mean and the scale of the logits that leave it."""

    task: Task
    names: tuple[str, ...]
    mean: float = 0.0
    scale: float = 1.0


THRESHOLDS = {"thresholds": [0.5, 0.3, 0.61]}
HEADS = {
    "softmax": Head(SINGLE_LABEL, ("bad", "so-so", "good")),
    "softmax, tempered": Head(SINGLE_LABEL.tempered(1.6), ("bad", "good"), scale=1 / 1.6),
    "sigmoid, tempered": Head(SINGLE_LABEL_SIGMOID.tempered(0.7), ("bad", "good"), scale=1 / 0.7),
    "several labels, tempered": Head(
        MULTI_LABEL.with_facts(THRESHOLDS).tempered(2.0), ("sad", "slow", "fun"), scale=0.5
    ),
    "sigmoid": Head(SINGLE_LABEL_SIGMOID, ("bad", "good")),
    "several labels": Head(MULTI_LABEL, ("sad", "slow", "fun")),
    "tuned thresholds": Head(MULTI_LABEL.with_facts(THRESHOLDS), ("sad", "slow", "fun")),
    "numbers": Head(REGRESSION.with_facts({"mean": 3.5, "scale": 1.4}), ("stars",), 3.5, 1.4),
    "years": Head(REGRESSION.with_facts({"mean": 1990.0, "scale": 9.0}), ("year",), 1990.0, 9.0),
}
OF_EVERY_HEAD = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PretrainedModel:
    return tiny(tmp_path_factory.mktemp("model"), n_layer=2)


def trained(model: PretrainedModel, head: Head, depth: int = 0, seed: int = 0) -> Classifier:
    """A classifier all of whose trained weights have moved, over whole embedding tables."""
    split = random_split([4, 9, 20], vocabulary=600)
    rows = head.task.outputs(head.names)
    classifier, _ = classifier_over(model, split, freeze_depth=depth, classes=rows)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in classifier.parameters.values():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    features = FrozenFeatures(model, cache=None)
    return TextClassifier.of(classifier, features, head.task, head.names, MAX_LENGTH).classifier


def own_logits(classifier: Classifier, lengths: list[int], seed: int) -> tuple[Any, torch.Tensor]:
    split = random_split(lengths, vocabulary=600, seed=seed)
    inputs = SplitInputs(
        split,
        "",
        trained=classifier.trained,
        features=FrozenFeatures(classifier.model, cache=None),
        embedding_rows=classifier.embedding_rows,
    )
    batch = inputs.batch(np.arange(len(lengths)))
    with torch.no_grad():
        return split, classifier.logits(batch.inputs, batch.layout, NO_DROPOUT)


def classified(model: PretrainedModel, classifier: Classifier, head: Head) -> tuple[Any, Any]:
    features = FrozenFeatures(model, cache=None)
    whole = TextClassifier(classifier, features, head.task, head.names, MAX_LENGTH)
    return whole.classify(TEXTS)


@OF_EVERY_HEAD
@settings(max_examples=5, deadline=None)
@given(
    lengths=st.lists(st.integers(1, MAX_LENGTH), min_size=1, max_size=5),
    seed=st.integers(0, 2**32 - 1),
)
def test_plain_transformers_gives_the_same_logits(
    model: PretrainedModel,
    tmp_path_factory: pytest.TempPathFactory,
    head: Head,
    lengths: list[int],
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("plain")
    classifier = trained(model, head, seed=seed)
    save_transformers(folder, classifier, head.task, head.names, MAX_LENGTH)
    plain = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert plain.config.problem_type == head.task.problem_type
    assert plain.config.num_labels == len(head.names)
    assert plain.config.id2label == dict(enumerate(head.names))
    split, logits = own_logits(classifier, lengths, seed)
    expected = logits * head.scale + head.mean
    if head.task.name == SINGLE_LABEL_SIGMOID.name:
        expected = torch.cat([torch.zeros_like(expected), expected], 1)
    for text, row in enumerate(expected):
        tokens = split.tokens[split.offsets[text] : split.offsets[text + 1]].astype(np.int64)
        with torch.no_grad():
            found = plain(torch.from_numpy(tokens)[None]).logits[0]
        rounding = 1e-6 * (abs(head.mean) + 10 * head.scale)
        torch.testing.assert_close(found, row, rtol=1e-4, atol=rounding)


@OF_EVERY_HEAD
@pytest.mark.parametrize("depth", [0, 2])
def test_the_trained_part_comes_back_with_its_task(
    model: PretrainedModel, tmp_path: Path, head: Head, depth: int
) -> None:
    classifier = trained(model, head, depth)
    save_trained(tmp_path, classifier, head.task, head.names, MAX_LENGTH, {})
    loaded = load_trained(tmp_path)
    assert loaded.task == head.task
    answers, probabilities = loaded.classify(TEXTS)
    _, expected = classified(model, classifier, head)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    assert answers == head.task.answers(probabilities, head.names)
    answers, probabilities = loaded.classify([])
    assert (answers, probabilities.shape) == ([], (0, len(head.names)))


def test_what_an_earlier_release_saved_has_a_softmax(
    model: PretrainedModel, tmp_path: Path
) -> None:
    head = HEADS["softmax"]
    save_trained(tmp_path, trained(model, head), head.task, head.names, MAX_LENGTH, {})
    path = tmp_path / "trial.json"
    facts = json.loads(path.read_text())
    del facts["task"], facts["task_facts"]
    path.write_text(json.dumps(facts))
    (tmp_path / "digests.json").unlink()
    assert load_trained(tmp_path).task == SINGLE_LABEL


@OF_EVERY_HEAD
def test_a_pipeline_gives_what_the_classifier_does(
    model: PretrainedModel, tmp_path: Path, head: Head
) -> None:
    classifier = trained(model, head)
    save_transformers(tmp_path, classifier, head.task, head.names, MAX_LENGTH)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    answers = pipeline("text-classification", model=str(tmp_path), tokenizer=tokenizer, top_k=None)(
        TEXTS
    )
    scores = [{entry["label"]: entry["score"] for entry in answer} for answer in answers]
    found = np.array([[of_label[name] for name in head.names] for of_label in scores])
    _, expected = classified(model, classifier, head)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@OF_EVERY_HEAD
def test_the_engine_reads_what_was_exported(
    model: PretrainedModel, tmp_path: Path, head: Head
) -> None:
    classifier = trained(model, head)
    save_transformers(tmp_path, classifier, head.task, head.names, MAX_LENGTH)
    loaded = load_exported(tmp_path)
    answers, probabilities = loaded.classify(TEXTS)
    expected_answers, expected = classified(model, classifier, head)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-6)
    if head.task.problem_type != "regression":
        assert answers == expected_answers
    assert loaded.label_names == head.names
    assert loaded.max_length == MAX_LENGTH


def test_a_model_without_a_head_is_no_classifier(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    with pytest.raises(ModelError, match="a model without a head"):
        load_exported(tmp_path)


def test_tuned_thresholds_stand_in_the_configuration(
    model: PretrainedModel, tmp_path: Path
) -> None:
    head = HEADS["tuned thresholds"]
    save_transformers(tmp_path, trained(model, head), head.task, head.names, MAX_LENGTH)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert plain.config.thresholds == THRESHOLDS["thresholds"]
