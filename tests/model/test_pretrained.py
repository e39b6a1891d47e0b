"""Loading checkpoints: what comes in, and what is said of those that cannot serve."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import BertTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from hpo.errors import ModelError
from hpo.model.pretrained import load_pretrained
from tests.model.tiny_gpt2 import save_bert_vocabulary, save_tiny


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "model")


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    document = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(document))


def edit_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def refused(folder: Path | str) -> ModelError:
    with pytest.raises(ModelError) as raised:
        load_pretrained(str(folder))
    error = raised.value
    assert str(folder) in error.place
    assert all((error.found, error.expected, error.hint.endswith(".")))
    return error


def test_the_demo_model_loads() -> None:
    model = load_pretrained("demo")
    assert model.architecture.n_layer == 4
    assert model.tokenizer.pad_token_id is not None


def test_the_same_weights_have_the_same_fingerprint_wherever_they_are(
    saved: Path, tmp_path: Path
) -> None:
    elsewhere = load_pretrained(str(saved.rename(tmp_path / "elsewhere")))
    again = load_pretrained(str(save_tiny(saved)))
    other = load_pretrained(str(save_tiny(tmp_path / "other", seed=1)))
    assert elsewhere.fingerprint == again.fingerprint != other.fingerprint
    assert elsewhere.tokenizer_fingerprint == other.tokenizer_fingerprint


def test_a_language_model_serves_as_well_as_a_bare_one(saved: Path, tmp_path: Path) -> None:
    bare = load_pretrained(str(saved))
    config = GPT2Config.from_pretrained(saved)
    language_model = GPT2LMHeadModel(config)
    language_model.load_state_dict(dict(bare.weights), strict=False)
    language_model.save_pretrained(saved)
    assert load_pretrained(str(saved)).fingerprint == bare.fingerprint


def test_half_precision_weights_come_in_as_fp32(saved: Path) -> None:
    edit_weights(saved, lambda weights: weights.update({k: w.half() for k, w in weights.items()}))
    model = load_pretrained(str(saved))
    assert {weight.dtype for weight in model.weights.values()} == {torch.float32}


def test_sharded_and_old_pickled_weights_load(saved: Path) -> None:
    whole = load_pretrained(str(saved))
    weights = load_file(saved / "model.safetensors")
    names = sorted(weights)
    (saved / "model.safetensors").unlink()
    save_file({name: weights[name] for name in names[::2]}, saved / "model-1.safetensors")
    save_file({name: weights[name] for name in names[1::2]}, saved / "model-2.safetensors")
    in_file = {name: f"model-{1 + i % 2}.safetensors" for i, name in enumerate(names)}
    index = saved / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": in_file}))
    assert load_pretrained(str(saved)).fingerprint == whole.fingerprint
    for path in saved.glob("*.safetensors*"):
        path.unlink()
    torch.save(weights, saved / "pytorch_model.bin")
    assert load_pretrained(str(saved)).fingerprint == whole.fingerprint


def test_a_pickle_that_would_run_code_is_refused(saved: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    (saved / "model.safetensors").unlink()
    torch.save({"wte.weight": Evil()}, saved / "pytorch_model.bin")
    assert "cannot be read" in refused(saved).found
    assert not (tmp_path / "owned").exists()


def test_a_bert_vocabulary_is_read_by_berts_tokenizer(saved: Path) -> None:
    save_bert_vocabulary(saved)
    tokenizer = load_pretrained(str(saved)).tokenizer
    assert tokenizer.convert_ids_to_tokens(tokenizer("A film, loved.")["input_ids"]) == (
        ["[CLS]", "a", "film", ",", "lo", "##ved", ".", "[SEP]"]
    )
    named = saved / "named"
    BertTokenizer.from_pretrained(saved).save_pretrained(named)
    for name in ("config.json", "model.safetensors"):
        (saved / name).rename(named / name)
    assert load_pretrained(str(named)).tokenizer.get_vocab() == tokenizer.get_vocab()


def test_a_vocabulary_that_is_not_berts_is_no_tokenizer(saved: Path) -> None:
    save_bert_vocabulary(saved)
    (saved / "vocab.txt").write_text("a\nfilm\n", encoding="utf-8")
    assert "BERT's vocab.txt" in refused(saved).expected


@pytest.mark.parametrize(
    ("special", "padding"),
    [
        ({"eos_token": "!", "unk_token": "film"}, "!"),
        ({"unk_token": "film"}, "film"),
        ({}, "rare"),
        ({"eos_token": "!", "pad_token": "a"}, "a"),
    ],
)
def test_texts_are_padded_with_what_they_do_not_end_in(
    saved: Path, special: dict[str, str], padding: str
) -> None:
    words = {word: index for index, word in enumerate(["!", "a", "film", "rare"])}
    backend = Tokenizer(WordLevel(words, unk_token="film"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=backend, **special).save_pretrained(saved)
    assert load_pretrained(str(saved)).tokenizer.pad_token == padding


def test_another_padding_token_makes_another_tokenizer(saved: Path) -> None:
    before = load_pretrained(str(saved)).tokenizer_fingerprint
    path = saved / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pad_token": "!"}))
    assert load_pretrained(str(saved)).tokenizer_fingerprint != before


# -- What cannot serve


@pytest.mark.parametrize("name", ["./none", "/no/such/model", "~/no-such-model", "a/b/c"])
def test_a_directory_that_is_not_there(name: str) -> None:
    assert refused(name).found == "no such directory"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("~no-such-user/gpt2", "the home folder of a user that there is not"),
        ("x" * 300, "a path that cannot be looked up (File name too long)"),
    ],
)
def test_a_directory_that_the_system_will_not_look_up(name: str, reason: str) -> None:
    assert refused(name).found == reason


def test_a_file_instead_of_a_directory(saved: Path) -> None:
    assert refused(saved / "config.json").found == "a file"


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_no_configuration(saved: Path, content: str | None) -> None:
    (saved / "config.json").unlink()
    if content is not None:
        (saved / "config.json").write_text(content)
    assert (
        "config.json" in (error := refused(saved)).found + error.expected or "type" in error.found
    )


def test_a_model_of_another_type(saved: Path) -> None:
    edit_config(saved, model_type="bert")
    assert refused(saved).found == "a model of type bert"


@pytest.mark.parametrize(
    "changes",
    [
        {"n_head": 5},
        {"n_layer": 0},
        {"n_embd": "wide"},
        {"activation_function": "mystery"},
        {"n_inner": 7},
        {"vocab_size": 2000},
    ],
)
def test_a_configuration_that_makes_no_sense(saved: Path, changes: dict[str, Any]) -> None:
    edit_config(saved, **changes)
    refused(saved)


def test_an_unknown_activation_lists_the_known(saved: Path) -> None:
    edit_config(saved, activation_function="mystery")
    error = refused(saved)
    assert error.found == "'mystery'"
    assert "gelu_new" in error.expected


@pytest.mark.parametrize("keep", [0, 5, 100, -10])
def test_truncated_weights(saved: Path, keep: int) -> None:
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert "model.safetensors" in refused(saved).found


def test_truncated_pickled_weights(saved: Path) -> None:
    torch.save(load_file(saved / "model.safetensors"), saved / "pytorch_model.bin")
    (saved / "model.safetensors").unlink()
    path = saved / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[:1000])
    assert "pytorch_model.bin" in refused(saved).found


def test_no_weights(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    assert refused(saved).found == "no weight files"


def test_a_weight_that_is_missing(saved: Path) -> None:
    edit_weights(saved, lambda weights: weights.pop("h.1.mlp.c_fc.weight"))
    assert "transformer.h.1.mlp.c_fc.weight" in refused(saved).place


def test_no_tokenizer(saved: Path) -> None:
    for path in saved.glob("tokenizer*"):
        path.unlink()
    assert "tokenizer" in refused(saved).found


def test_a_tokenizer_with_more_entries_than_the_model_has_embeddings(tmp_path: Path) -> None:
    error = refused(save_tiny(tmp_path, vocab_size=100))
    assert error.found == "1280 tokenizer entries for 100 embeddings"


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(float("nan"), torch.float32), (float("inf"), torch.float16), (1e300, torch.float64)],
)
@pytest.mark.parametrize("key", ["wte.weight", "h.1.ln_2.bias"])
def test_a_weight_that_is_no_finite_number_is_named_with_its_file(
    saved: Path, key: str, value: float, dtype: torch.dtype
) -> None:
    def spoil(weights: dict[str, torch.Tensor]) -> None:
        weights[key] = weights[key].to(dtype)
        weights[key].view(-1)[-1] = value

    edit_weights(saved, spoil)
    error = refused(saved)
    assert error.place.endswith(f"model.safetensors, weight transformer.{key}")
    assert "1 of " in error.found


def test_weights_whose_sum_is_beyond_fp32_are_finite_all_the_same(saved: Path) -> None:
    edit_weights(saved, lambda weights: weights["wte.weight"].fill_(1e38))
    load_pretrained(str(saved))


def test_whole_numbers_are_no_weights(saved: Path) -> None:
    edit_weights(saved, lambda w: w.update({"wpe.weight": w["wpe.weight"].to(torch.int8)}))
    assert refused(saved).found == "numbers of type int8"


def test_two_weights_for_one_name_are_refused(saved: Path) -> None:
    edit_weights(saved, lambda w: w.update({"transformer.wpe.weight": w["wpe.weight"].clone()}))
    assert refused(saved).found == "two of that name"


def test_a_token_id_beyond_the_embeddings_is_refused(saved: Path) -> None:
    path = saved / "tokenizer.json"
    document = json.loads(path.read_text())
    vocabulary = document["model"]["vocab"]
    rare = max(vocabulary, key=vocabulary.__getitem__)
    vocabulary[rare] = 5000  # as many entries as before
    path.write_text(json.dumps(document))
    error = refused(saved)
    assert "the id 5000" in error.found
    assert "1280" in error.expected


def test_an_id_beyond_the_embeddings_that_is_put_around_each_text_is_refused(saved: Path) -> None:
    backend = Tokenizer.from_file(str(saved / "tokenizer.json"))
    backend.post_processor = processors.TemplateProcessing(
        single="$A [END]", special_tokens=[("[END]", 7000)]
    )
    backend.save(str(saved / "tokenizer.json"))
    assert "the id 7000" in refused(saved).found


@pytest.mark.parametrize("name", ["not a name!", "nobody/no such", "-x"])
def test_a_name_that_is_neither_directory_nor_hub_id(name: str) -> None:
    assert "hub id" in refused(name).expected
