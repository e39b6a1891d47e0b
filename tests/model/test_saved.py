"""What a trial trained, as files: small ones of our own, and whole ones for transformers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hpo.errors import ModelError
from hpo.model.classifier import Classifier
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.pretrained import PretrainedModel, load_pretrained
from hpo.model.saved import (
    TextClassifier,
    load_trained,
    predict,
    save_trained,
    save_transformers,
)
from hpo.tasks.single_label import SINGLE_LABEL
from tests.model.tiny_gpt2 import (
    classifier_over,
    random_split,
    save_bert_vocabulary,
    save_tiny,
    tiny,
)

LABELS = ("bad", "so-so", "good")
TEXTS = ["A dull film, slow and sad.", "good", "I loved every minute of it , truly", "ok then"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PretrainedModel:
    return tiny(tmp_path_factory.mktemp("model"), n_layer=2)


def trained(model: PretrainedModel, freeze_depth: int) -> Classifier:
    """A classifier all of whose trained weights have moved."""
    split = random_split([4, 9, 20], vocabulary=600)
    classifier, _ = classifier_over(model, split, freeze_depth=freeze_depth, classes=3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in classifier.parameters.values():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    if freeze_depth == 0:
        classifier.decay = 0.9
    return classifier


def text_classifier(classifier: Classifier) -> TextClassifier:
    features = FrozenFeatures(classifier.model, cache=None)
    return TextClassifier.of(classifier, features, SINGLE_LABEL, LABELS, 32)


@pytest.mark.parametrize("freeze_depth", [0, 1, 2])
def test_the_trained_part_comes_back_over_its_base(
    model: PretrainedModel, tmp_path: Path, freeze_depth: int
) -> None:
    classifier = trained(model, freeze_depth)
    save_trained(tmp_path, classifier, SINGLE_LABEL, LABELS, 32, {"number": 7})
    loaded = load_trained(tmp_path)
    assert loaded.label_names == LABELS
    assert loaded.max_length == 32
    labels, probabilities = loaded.classify(TEXTS)
    expected_labels, expected = text_classifier(classifier).classify(TEXTS)
    assert labels == expected_labels
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    assert json.loads((tmp_path / "trial.json").read_text())["trial"] == {"number": 7}


def test_what_is_frozen_is_not_stored(model: PretrainedModel, tmp_path: Path) -> None:
    sizes = []
    for depth in (0, 1, 2):
        save_trained(tmp_path / str(depth), trained(model, depth), SINGLE_LABEL, LABELS, 32, {})
        files = (tmp_path / str(depth)).iterdir()
        sizes.append(sum(path.stat().st_size for path in files))
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[2] < 3000


@pytest.mark.parametrize("freeze_depth", [0, 1, 2])
def test_transformers_loads_the_whole_and_gives_the_same(
    model: PretrainedModel, tmp_path: Path, freeze_depth: int
) -> None:
    classifier = trained(model, freeze_depth)
    save_transformers(tmp_path, classifier, SINGLE_LABEL, LABELS, 32)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.config.id2label == dict(enumerate(LABELS))
    assert loaded.config.pad_token_id == tokenizer.pad_token_id is not None
    assert tokenizer.model_max_length == 32
    encoded = tokenizer(TEXTS, return_tensors="pt", padding=True, truncation=True)
    with torch.no_grad():
        probabilities = loaded(**encoded).logits.softmax(-1).numpy()
    _, expected = text_classifier(classifier).classify(TEXTS)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-6)
    answers = pipeline("text-classification", model=str(tmp_path))(TEXTS)
    assert [answer["label"] for answer in answers] == [LABELS[i] for i in expected.argmax(1)]


def test_positions_that_were_not_measured_are_not_saved(
    model: PretrainedModel, tmp_path: Path
) -> None:
    classifier = trained(model, 0)
    save_transformers(tmp_path, classifier, SINGLE_LABEL, LABELS, 8)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert loaded.config.max_position_embeddings == 8 < model.architecture.n_positions
    classify = pipeline("text-classification", str(tmp_path), truncation=True, top_k=None)
    short = TextClassifier.of(
        classifier, FrozenFeatures(model, cache=None), SINGLE_LABEL, LABELS, 8
    )
    _, expected = short.classify(TEXTS)
    for answer, row in zip(classify(TEXTS), expected, strict=True):
        found = {entry["label"]: entry["score"] for entry in answer}
        np.testing.assert_allclose([found[label] for label in LABELS], row, rtol=1e-4, atol=1e-6)
    with pytest.raises(IndexError):
        classify("a film " * 20, truncation=False)


def saved_answers(folder: Path, texts: list[str]) -> NDArray[np.float32]:
    """Probabilities, (texts, classes), that transformers gives with nothing but the saved files.

    Texts alone, texts in a padded batch, and the pipeline must agree.
    """
    loaded = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def of(some: list[str]) -> NDArray[np.float32]:
        encoded = tokenizer(some, return_tensors="pt", padding=True, truncation=True)
        with torch.no_grad():
            probabilities: NDArray[np.float32] = loaded(**encoded).logits.softmax(-1).numpy()
        return probabilities

    together = of(texts)
    alone = np.concatenate([of([text]) for text in texts])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)
    answers = pipeline("text-classification", model=str(folder), top_k=None)(texts, batch_size=2)
    scores = [{entry["label"]: entry["score"] for entry in answer} for answer in answers]
    piped = np.array([[by_label[label] for label in LABELS] for by_label in scores])
    np.testing.assert_allclose(together, piped, rtol=1e-4, atol=1e-6)
    return together


@pytest.mark.parametrize("freeze_depth", [0, 1])
def test_a_model_with_berts_tokenizer_gives_the_same_to_transformers(
    tmp_path: Path, freeze_depth: int
) -> None:
    save_bert_vocabulary(save_tiny(tmp_path / "base"))
    classifier = trained(load_pretrained(str(tmp_path / "base")), freeze_depth)
    save_transformers(tmp_path / "saved", classifier, SINGLE_LABEL, LABELS, 32)
    _, expected = text_classifier(classifier).classify(TEXTS)
    np.testing.assert_allclose(
        saved_answers(tmp_path / "saved", TEXTS), expected, rtol=1e-4, atol=1e-6
    )


ENDING = [*TEXTS, "a film<|endoftext|>", "a <|endoftext|> film", "<|endoftext|>" * 2, "a!"]


@pytest.mark.parametrize("appended", [False, True])
@pytest.mark.parametrize("padding", ["<|endoftext|>", "!"])
def test_a_text_that_ends_in_the_padding_token_gives_the_same_to_transformers(
    tmp_path: Path, appended: bool, padding: str
) -> None:
    base = save_tiny(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token, tokenizer.padding_side = padding, "left"
    if appended:
        end = (tokenizer.eos_token, tokenizer.eos_token_id)
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"$A {end[0]}", special_tokens=[end]
        )
    tokenizer.save_pretrained(base)
    classifier = trained(load_pretrained(str(base)), 0)
    ids = classifier.model.tokenizer("a film")["input_ids"]
    assert (ids[-1] == classifier.model.tokenizer.eos_token_id) == appended
    save_transformers(tmp_path / "saved", classifier, SINGLE_LABEL, LABELS, 32)
    _, expected = text_classifier(classifier).classify(ENDING)
    np.testing.assert_allclose(
        saved_answers(tmp_path / "saved", ENDING), expected, rtol=1e-4, atol=1e-6
    )


def test_the_base_models_tokenizer_is_left_as_it_was(
    model: PretrainedModel, tmp_path: Path
) -> None:
    before = model.tokenizer.model_max_length
    save_transformers(tmp_path, trained(model, 1), SINGLE_LABEL, LABELS, 8)
    assert model.tokenizer.model_max_length == before


def test_texts_with_words_that_training_never_saw_are_classified(
    model: PretrainedModel, tmp_path: Path
) -> None:
    classifier = trained(model, 0)
    split = random_split([32, 5], vocabulary=1280, seed=5)
    found = text_classifier(classifier).probabilities(split, "new")
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)


def test_empty_text_and_no_text_are_classified(model: PretrainedModel) -> None:
    classifier = text_classifier(trained(model, 1))
    labels, probabilities = classifier.classify([""])
    assert labels[0] in LABELS
    assert np.isfinite(probabilities).all()
    labels, probabilities = classifier.classify([])
    assert labels == []
    assert probabilities.shape == (0, 3)


def test_predictions_do_not_depend_on_the_order(model: PretrainedModel) -> None:
    classifier = text_classifier(trained(model, 1))
    _, forwards = classifier.classify(TEXTS)
    _, backwards = classifier.classify(TEXTS[::-1])
    np.testing.assert_allclose(forwards, backwards[::-1], rtol=1e-5)


def test_predict_covers_every_text(model: PretrainedModel) -> None:
    split = random_split(list(range(1, 33)) * 20)
    classifier, inputs = classifier_over(model, split, freeze_depth=0)
    np.testing.assert_allclose(predict(classifier, inputs, SINGLE_LABEL).sum(1), 1, rtol=1e-5)


# -- Faults


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"trained\.safetensors") as raised:
        load_trained(tmp_path)
    assert raised.value.place == str(tmp_path)


@pytest.mark.parametrize("name", ["trained.safetensors", "trial.json"])
def test_a_truncated_file_says_so(model: PretrainedModel, tmp_path: Path, name: str) -> None:
    save_trained(tmp_path, trained(model, 1), SINGLE_LABEL, LABELS, 32, {})
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelError, match="no trained model that can be read"):
        load_trained(tmp_path)


@pytest.mark.parametrize("key", ["base_model", "freeze_depth", "label_names"])
def test_a_file_that_lacks_a_fact_says_so(model: PretrainedModel, tmp_path: Path, key: str) -> None:
    save_trained(tmp_path, trained(model, 1), SINGLE_LABEL, LABELS, 32, {})
    facts = json.loads((tmp_path / "trial.json").read_text())
    del facts[key]
    (tmp_path / "trial.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match="no trained model that can be read"):
        load_trained(tmp_path)


def test_a_base_model_that_changed_is_refused(tmp_path: Path) -> None:
    base = tmp_path / "base"
    save_trained(tmp_path / "trial", trained(tiny(base), 1), SINGLE_LABEL, LABELS, 32, {})
    tiny(base, seed=9)
    with pytest.raises(ModelError, match="other weights"):
        load_trained(tmp_path / "trial")


def test_a_base_model_that_is_gone_is_named(tmp_path: Path) -> None:
    base = tmp_path / "base"
    save_trained(tmp_path / "trial", trained(tiny(base), 1), SINGLE_LABEL, LABELS, 32, {})
    base.rename(tmp_path / "moved")
    with pytest.raises(ModelError, match="base"):
        load_trained(tmp_path / "trial")


@pytest.mark.parametrize("file", ["trained.safetensors", "trial.json", "digests.json"])
def test_a_trained_part_with_a_flipped_byte_is_refused(
    model: PretrainedModel, tmp_path: Path, file: str
) -> None:
    save_trained(tmp_path, trained(model, 1), SINGLE_LABEL, LABELS, 32, {})
    content = bytearray((tmp_path / file).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ModelError):
        load_trained(tmp_path)
