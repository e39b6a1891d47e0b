"""The packaged model, and the script that makes one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hpo.demo import DEMO_MODEL_DIR
from hpo.demo.grammar import demo_splits, unlabelled_texts
from hpo.demo.pretrain import (
    END_OF_TEXT,
    END_OF_TEXT_ID,
    ROW_TOKENS,
    learning_rate_share,
    main,
    packed_rows,
)

# None of the seeds that pretraining with `--seed 0` reads.
FRESH_SEED = 999_999


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(DEMO_MODEL_DIR, local_files_only=True)


def language_model_loss(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> float:
    texts = list(unlabelled_texts(100, FRESH_SEED))
    batch = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
    targets = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    with torch.no_grad():
        return float(model(**batch, labels=targets).loss)


def test_the_directory_holds_the_expected_files_and_is_small() -> None:
    sizes = {file.name: file.stat().st_size for file in DEMO_MODEL_DIR.iterdir()}
    needed = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert needed <= sizes.keys()
    assert sum(sizes.values()) <= 8e6


def test_the_end_of_text_begins_ends_and_pads(tokenizer: PreTrainedTokenizerBase) -> None:
    config = AutoConfig.from_pretrained(DEMO_MODEL_DIR)
    assert tokenizer.convert_tokens_to_ids(END_OF_TEXT) == END_OF_TEXT_ID
    assert tokenizer.bos_token == tokenizer.eos_token == tokenizer.pad_token == END_OF_TEXT
    assert config.bos_token_id == config.eos_token_id == config.pad_token_id == END_OF_TEXT_ID
    assert config.vocab_size == len(tokenizer)


@pytest.mark.parametrize("text", ["The plot was witty.", "naïve 日本語 🙂\n\ttabs  and spaces", ""])
def test_any_text_survives_the_tokenizer(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    ids = tokenizer(text)["input_ids"]
    assert END_OF_TEXT_ID not in ids
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_reviews_have_few_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    texts = [review.text for review in demo_splits()["train"]]
    lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
    assert 20 < sum(lengths) / len(lengths) < 30
    assert max(lengths) < ROW_TOKENS


def test_the_classifier_loads_with_a_new_head(tokenizer: PreTrainedTokenizerBase) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(
        DEMO_MODEL_DIR, num_labels=2, local_files_only=True
    )
    batch = tokenizer(["Not bad at all.", "Sadly dull."], padding=True, return_tensors="pt")
    assert model(**batch).logits.shape == (2, 2)
    assert model.config.n_layer == 4
    assert model.config.resid_pdrop == 0.1


def test_the_language_model_foresees_fresh_text_far_better_than_a_random_one(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    torch.manual_seed(0)
    pretrained = AutoModelForCausalLM.from_pretrained(DEMO_MODEL_DIR, local_files_only=True)
    random = GPT2LMHeadModel(GPT2Config.from_pretrained(DEMO_MODEL_DIR))
    random.train(False)
    assert language_model_loss(pretrained, tokenizer) < 2.2
    assert language_model_loss(random, tokenizer) > 6.0


def test_rows_are_full_and_begin_with_a_text(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = packed_rows(tokenizer, seed=0, plain_rows=0)
    for _, row in zip(range(20), rows, strict=False):
        assert len(row) == ROW_TOKENS
        assert END_OF_TEXT_ID in row
        assert tokenizer.decode(row[:1])[0].isupper()


def test_the_learning_rate_rises_then_falls() -> None:
    shares = [learning_rate_share(step, 1_000) for step in range(1_000)]
    peak = shares.index(max(shares))
    assert max(shares) == 1.0
    assert shares[:peak] == sorted(shares[:peak])
    assert shares[peak:] == sorted(shares[peak:], reverse=True)


def test_pretraining_replaces_the_directory_and_reports_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.demo.pretrain.TOKENIZER_TEXTS", 1_000)
    output = tmp_path / "model"
    output.mkdir()
    (output / "config.json").touch()
    (output / "stale").touch()
    weights = []
    for _ in range(2):
        main(["--output", str(output), "--steps", "1"])
        figures = json.loads(capsys.readouterr().out)
        assert figures["language_model_loss"] > 6.0
        weights.append((output / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert not (output / "stale").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("arguments", [["--steps", "0"], ["--output", "."]])
def test_impossible_arguments_are_refused_before_anything_is_written(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "precious").touch()
    with pytest.raises(SystemExit) as stopped:
        main(["--output", str(tmp_path / "new"), *arguments])
    assert stopped.value.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
