"""Whatever a model's files hold, they are loaded or refused in one line: by no other error, and soon."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import GPT2Config

from hpo.errors import ModelError
from hpo.model.pretrained import PretrainedModel, load_pretrained
from hpo.model.wrapped_names import parted
from tests.model.tiny_gpt2 import save_tiny

SAFE, OLD, INDEX = "model.safetensors", "pytorch_model.bin", "model.safetensors.index.json"

KEYS: Final = sorted({*GPT2Config().to_dict(), *GPT2Config.attribute_map, "num_labels"})
NUMBERS: Final = (
    st.integers(-3, 3)
    | st.integers()
    | st.floats()
    | st.sampled_from([10**8, 10**9, 2**31, 2**63, 10**30, 1e300, 1e-320, 0.5, -1, 0, 1, 32, 64])
)
VALUES: Final = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20) | st.just("x" * 3_000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("hostile") / "model")


@pytest.fixture(scope="module")
def weights(folder: Path) -> dict[str, Tensor]:
    # In memory, for the file that they are mapped from is written anew by each test.
    return {name: tensor.clone() for name, tensor in load_file(folder / SAFE).items()}


@pytest.fixture(scope="module")
def config(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return document


@pytest.fixture(autouse=True)
def _as_it_was(folder: Path, weights: dict[str, Tensor], config: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    (folder / SAFE).write_bytes(save(weights))
    for other in (OLD, INDEX):
        (folder / other).unlink(missing_ok=True)


def loaded_or_refused(folder: Path) -> PretrainedModel | None:
    try:
        return load_pretrained(str(folder))
    except ModelError as error:
        said = str(error)
        assert "\n" not in said
        assert len(said) < 2_000
        assert "weights_only" not in said
        return None


def refused(folder: Path) -> ModelError:
    with pytest.raises(ModelError) as raised:
        load_pretrained(str(folder))
    return raised.value


def keep_only(folder: Path, name: str, content: object) -> None:
    (folder / SAFE).unlink()
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
    else:
        torch.save(content, folder / name)


# -- config.json


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=3))
@example({"n_layer": 10**8})
@example({"num_hidden_layers": 10**8})
@example({"num_labels": 10**9})
@example({"n_positions": 10**9})
@example({"hidden_size": None})
@example({"vocab_size": 10**7, "n_embd": 10**5, "n_positions": 10**6})
@example({"id2label": [[]]})
def test_any_values_of_a_configuration(
    folder: Path, config: dict[str, Any], values: dict[str, object]
) -> None:
    (folder / "config.json").write_text(json.dumps({**config, **values}))
    model = loaded_or_refused(folder)
    if model is not None:
        found = model.architecture
        assert 0 < found.norm_epsilon <= 1
        dropouts = found.embedding_dropout, found.attention_dropout, found.residual_dropout
        assert all(0 <= dropout < 1 for dropout in dropouts)


@given(st.binary(max_size=60) | st.sampled_from([b"[" * 9_999, b'{"a":' * 9_999, b"9" * 9_999]))
def test_any_bytes_in_place_of_a_configuration(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    assert loaded_or_refused(folder) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attn_pdrop", 1),
        ("embd_pdrop", -0.1),
        ("resid_pdrop", float("nan")),
        ("layer_norm_epsilon", 0.0),
        ("layer_norm_epsilon", -1.0),
        ("layer_norm_epsilon", float("nan")),
        ("initializer_range", float("inf")),
        ("n_layer", 2.0),
        ("n_layer", True),
        ("n_inner", 0),
        ("num_attention_heads", None),
        ("activation_function", ["gelu"]),
    ],
)
def test_a_value_is_refused_by_its_key(
    folder: Path, config: dict[str, Any], key: str, value: object
) -> None:
    (folder / "config.json").write_text(json.dumps({**config, key: value}))
    assert refused(folder).place.endswith(f"config.json, {key}")


# -- safetensors

SIZES: Final = st.integers(0, 40) | st.sampled_from([-1, 2**40, 2**63, 2**64])
ENTRIES: Final = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "F8_E4M3", "F4", "C64", "BOOL", "X", 3]),
        "shape": st.lists(SIZES, max_size=3) | st.none(),
        "data_offsets": st.lists(SIZES, max_size=3) | st.none(),
    }
)
HEADERS: Final = st.dictionaries(st.sampled_from(["a", "wte.weight", "__metadata__"]), ENTRIES)


def safetensors(header: bytes, length: int | None, body: bytes) -> bytes:
    told = len(header) if length is None else length
    return struct.pack("<Q", told) + header + body


@given(
    HEADERS.map(lambda header: json.dumps(header).encode())
    | st.binary(max_size=40)
    | st.sampled_from([b"[" * 9_999, b'{"a":' * 9_999]),
    st.none() | st.integers(0, 60) | st.sampled_from([99_000_000, 2**31, 2**63, 2**64 - 1]),
    st.binary(max_size=40),
)
def test_any_header_of_safetensors(
    folder: Path, header: bytes, length: int | None, body: bytes
) -> None:
    (folder / SAFE).write_bytes(safetensors(header, length, body))
    assert loaded_or_refused(folder) is None


@given(st.data())
def test_safetensors_with_any_byte_changed(
    folder: Path, weights: dict[str, Tensor], data: st.DataObject
) -> None:
    content = bytearray(save(weights))
    place = st.integers(0, 2_500) | st.integers(0, len(content) - 1)
    for at in data.draw(st.lists(place, min_size=1, max_size=3)):
        content[at] = data.draw(st.integers(0, 255))
    (folder / SAFE).write_bytes(content[: data.draw(st.integers(0, 2 * len(content)))])
    loaded_or_refused(folder)


def test_a_name_that_a_header_has_twice(folder: Path, weights: dict[str, Tensor]) -> None:
    content = save(weights)
    size = struct.unpack("<Q", content[:8])[0]
    header = content[8 : 8 + size].rstrip()
    entry = json.dumps(json.loads(header)["wte.weight"])
    twice = header[:-1] + f', "wte.weight": {entry}}}'.encode()
    (folder / SAFE).write_bytes(safetensors(twice, None, content[8 + size :]))
    assert "two weights of the name wte.weight" in refused(folder).found


# -- PyTorch's own files


class Opened:
    """Makes a file when it is unpickled by whoever runs what is in a pickle."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


@given(st.data())
def test_a_pickle_with_any_byte_changed(
    folder: Path, weights: dict[str, Tensor], data: st.DataObject
) -> None:
    (folder / SAFE).unlink(missing_ok=True)
    zipped = data.draw(st.booleans())
    torch.save(weights, folder / OLD, _use_new_zipfile_serialization=zipped)
    content = bytearray((folder / OLD).read_bytes())
    place = st.integers(0, 2_500) | st.integers(0, len(content) - 1)
    for at in data.draw(st.lists(place, min_size=1, max_size=3)):
        content[at] = data.draw(st.integers(0, 255))
    (folder / OLD).write_bytes(content[: data.draw(st.integers(0, 2 * len(content)))])
    loaded_or_refused(folder)


def test_nothing_in_a_pickle_runs(folder: Path, tmp_path: Path) -> None:
    keep_only(folder, OLD, {"wte.weight": Opened(str(tmp_path / "ran"))})
    error = refused(folder)
    assert "safetensors" in error.hint
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "spoilt",
    [
        torch.zeros(1, 1).expand(1280, 32),
        torch.zeros(1280, 32).to_sparse(),
        torch.empty(1280, 32, device="meta"),
        torch.zeros(1280, 32, dtype=torch.complex64),
        torch.zeros(1280, 32).to(torch.float8_e4m3fn),
    ],
    ids=["one number", "sparse", "meta", "complex", "fp8"],
)
def test_a_tensor_that_is_not_all_there(
    folder: Path, weights: dict[str, Tensor], spoilt: Tensor
) -> None:
    keep_only(folder, OLD, {**weights, "wte.weight": spoilt})
    assert refused(folder).place.endswith(f"{OLD}, weight transformer.wte.weight")


def test_a_number_that_claims_to_be_a_whole_embedding_takes_no_memory(
    folder: Path, weights: dict[str, Tensor], config: dict[str, Any]
) -> None:
    wide = {"vocab_size": 10**7, "n_embd": 10**5, "n_head": 1}
    (folder / "config.json").write_text(json.dumps({**config, **wide}))
    keep_only(folder, OLD, {**weights, "wte.weight": torch.zeros(1, 1).expand(10**7, 10**5)})
    assert "without all of its numbers" in refused(folder).found


def test_parameters_and_views_are_tensors_like_others(
    folder: Path, weights: dict[str, Tensor]
) -> None:
    before = load_pretrained(str(folder))
    negative = torch.complex(weights["ln_f.bias"], -weights["ln_f.bias"]).conj().imag
    parameters: dict[str, Tensor] = {
        name: torch.nn.Parameter(tensor) for name, tensor in weights.items()
    }
    keep_only(folder, OLD, {**parameters, "ln_f.bias": negative})
    assert load_pretrained(str(folder)).fingerprint == before.fingerprint


# -- Names


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "base_model.model.", "module._orig_mod.transformer."]
)
def test_what_a_wrapper_put_before_the_names_is_taken_off_with_a_word(
    folder: Path, weights: dict[str, Tensor], prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = load_pretrained(str(folder))
    (folder / SAFE).write_bytes(save({prefix + name: each for name, each in weights.items()}))
    assert load_pretrained(str(folder)).fingerprint == before.fingerprint
    assert parted(prefix)[0] in caplog.text


@pytest.mark.parametrize("prefix", ["gpt2.", "model.", "transformer.transformer.", "a.module."])
def test_another_prefix_is_named(folder: Path, weights: dict[str, Tensor], prefix: str) -> None:
    (folder / SAFE).write_bytes(save({prefix + name: each for name, each in weights.items()}))
    assert refused(folder).found == f"it as {prefix}wte.weight"


def test_an_adapter_is_named(folder: Path, weights: dict[str, Tensor]) -> None:
    layered = {f"base_model.model.{name}": tensor for name, tensor in weights.items()}
    inner = layered.pop("base_model.model.h.0.attn.c_attn.weight")
    layered["base_model.model.h.0.attn.c_attn.base_layer.weight"] = inner
    (folder / SAFE).write_bytes(save(layered))
    assert "merge_and_unload" in refused(folder).hint
    (folder / SAFE).unlink()
    (folder / "adapter_config.json").write_text("{}")
    found = refused(folder)
    (folder / "adapter_config.json").unlink()
    assert "adapter alone" in found.found


# -- The tokenizer


@pytest.mark.parametrize(
    "file", ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
)
@pytest.mark.parametrize("content", ["", "[]", "[" * 9_999, '{"a":' * 9_999, "9" * 9_999, "text"])
def test_a_file_of_the_tokenizer_that_is_none_is_named(
    tmp_path: Path, file: str, content: str
) -> None:
    folder = save_tiny(tmp_path)
    (folder / file).write_text(content)
    assert file in refused(folder).found


def test_a_tokenizer_that_makes_its_library_panic_is_refused(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path)
    document = json.loads((folder / "tokenizer.json").read_text())
    document["model"]["continuing_subword_prefix"] = "##"
    (folder / "tokenizer.json").write_text(json.dumps(document))
    assert "tokenizer.json" in refused(folder).found


def test_padding_that_is_no_token_is_refused(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pad_token": ""}))
    assert "with the id None" in refused(folder).found


def test_nobody_is_asked_whether_to_run_a_models_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_tiny(tmp_path)
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("somebody was asked"))
    for file in ("config.json", "tokenizer_config.json"):
        document = json.loads((folder / file).read_text())
        remote = {"auto_map": {"AutoTokenizer": ["a/b--evil.Tokens", None]}}
        (folder / file).write_text(json.dumps({**document, **remote, "tokenizer_class": "Tokens"}))
    loaded_or_refused(folder)
