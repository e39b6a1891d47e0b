"""Pretrained models that are none."""

from __future__ import annotations

import json

from tests.commands.bad_inputs.case import Case, Content, model, study_file
from tests.commands.bad_inputs.model_files import (
    TOKENIZER,
    config,
    pickled,
    safetensors,
    weights,
)

TINY_CONFIG = json.dumps(
    {"model_type": "gpt2", "n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 1280}
)

INDEX = "model.safetensors.index.json"


def value(key: str, found: object, expected: str) -> Case:
    """A config.json in which one value is none."""
    return model(
        f"{found!r} as {key}",
        config(**{key: found}),
        f"model model, config.json, {key}: found {found!r}; expected {expected}. "
        "Correct it, or save the model again with save_pretrained.",
    )


def spoilt(name: str, says: str, /, **files: Content) -> Case:
    """A model of which one file is none: its weights, or a file that the name without the dot says."""
    return model(name, config(), f"model model{says}", **files)


def unreadable(name: str, why: str, content: bytes) -> Case:
    return spoilt(
        name,
        f": found weights that cannot be read: model.safetensors ({why}); expected whole weight "
        "files. Fetch or save the model again.",
        model=content,
    )


def no_tensors(name: str, why: str, content: bytes) -> Case:
    return spoilt(
        name,
        f": found weights that cannot be read: pytorch_model.bin ({why}); expected a dict of tensors "
        "and nothing else. Save the model again as safetensors: model.save_pretrained(folder).",
        **{"pytorch_model.bin": content},
    )


def index(name: str, content: str, found: str, expected: str) -> Case:
    return spoilt(
        name,
        f", {INDEX}: found {found}; expected {expected}. Fetch or save the model again.",
        **{INDEX: content},
    )


def no_tokenizer(name: str, why: str, **files: Content) -> Case:
    return spoilt(
        name,
        f": found no tokenizer that can be loaded ({why}); expected tokenizer.json, …. "
        "Save the model's tokenizer into the same directory.",
        **{"model": weights(), "tokenizer.json": TOKENIZER, **files},
    )


VALUES = (
    value("n_layer", 10**8, "a whole number from 1 to 1000"),
    value("num_hidden_layers", 10**8, "a whole number from 1 to 1000"),
    value("n_layer", True, "a whole number from 1 to 1000"),
    value("n_head", 0, "a whole number from 1 to 1000"),
    value("n_embd", -2, "a whole number from 1 to 100000"),
    value("n_positions", 10**9, "a whole number from 1 to 1000000"),
    value("vocab_size", 1280.0, "a whole number from 1 to 10000000"),
    value("n_inner", 0, "a whole number from 1 to 1000000, or null"),
    value("num_labels", 10**9, "a whole number from 1 to 1000000"),
    value("attn_pdrop", 1, "a number of 0 or more and less than 1"),
    value("embd_pdrop", -0.1, "a number of 0 or more and less than 1"),
    value("resid_pdrop", float("nan"), "a number of 0 or more and less than 1"),
    value("layer_norm_epsilon", -1.0, "a number from 1e-12 to 1"),
    value("layer_norm_epsilon", 0, "a number from 1e-12 to 1"),
    value("initializer_range", float("inf"), "a number from 0 to 1"),
    value("activation_function", "mystery", "one of gelu_accurate, …, tanh"),
    value("activation_function", ["gelu"], "one of gelu_accurate, …, tanh"),
    value("scale_attn_weights", "yes", "true or false"),
    value("max_position_embeddings", None, "a whole number from 1 to 1000000"),
    model(
        "heads that do not divide the width",
        config(n_head=3),
        "model model, config.json, n_head: found 3 heads on a width of 2; expected heads that divide "
        "the width. Save the model again with save_pretrained.",
    ),
    model(
        "a config of thousands of brackets",
        '{"model_type": "gpt2", "a": ' + "[" * 9_999,
        "model model: found config.json missing or broken (nested more than 100 levels deep); "
        "expected a model directory …. Name such a directory.",
    ),
)

FILES = (
    spoilt(
        "a weight that is no number",
        ", model.safetensors, weight transformer.wpe.weight: found 16 of 16 numbers NaN or infinite; "
        "expected finite numbers in fp32. Fetch the model again, …",
        model=weights(fill={"wpe.weight": float("nan")}),
    ),
    spoilt(
        "an infinite weight",
        ", model.safetensors, weight transformer.ln_f.bias: found 2 of 2 numbers NaN or infinite; …",
        model=weights(fill={"ln_f.bias": float("-inf")}),
    ),
    spoilt(
        "weights that are whole numbers",
        ", model.safetensors, weight transformer.wte.weight: found numbers of type int64; "
        "expected floating-point numbers. Fetch the model again, …",
        model=weights(dtypes={"wte.weight": "I64"}),
    ),
    spoilt(
        "complex weights",
        ", model.safetensors, weight transformer.wte.weight: found numbers of type complex64; …",
        model=weights(dtypes={"wte.weight": "C64"}),
    ),
    spoilt(
        "weights of 8 bits",
        ", model.safetensors, weight transformer.h.0.ln_1.bias: found numbers of type float8_e4m3fn; …",
        model=weights(dtypes={"h.0.ln_1.bias": "F8_E4M3"}),
    ),
    model(
        "weights of another shape",
        config(n_positions=9),
        "model model, model.safetensors, weight transformer.wpe.weight: found shape (8, 2); expected "
        "a weight of shape (9, 2), as config.json says. Fetch the model again, …",
        model=weights(),
    ),
    model(
        "layers that there are not",
        config(n_layer=1000),
        "model model, weight transformer.h.1.ln_1.weight: found nothing of that name; expected …. "
        "Fetch the model again, …",
        model=weights(),
    ),
    spoilt(
        "the prefix of a wrapper that nobody knows",
        ", weight transformer.wte.weight: found it as lit.gpt2.wte.weight; expected a weight of shape "
        "(1280, 2), as config.json says. Save the model inside of what wraps it, with save_pretrained.",
        model=weights(prefix="lit.gpt2."),
    ),
    spoilt(
        "an adapter without its model",
        ": found an adapter alone, and no weight files; expected model.safetensors, …. "
        "Merge the adapter: model.merge_and_unload().save_pretrained(folder).",
        **{"adapter_config.json": "{}", "adapter_model.safetensors": weights()},
    ),
    unreadable("a header of any length", "…header too large…", safetensors({}, length=2**63)),
    unreadable("a header that ends too soon", "…", safetensors({}, length=99_000_000)),
    unreadable("a header of thousands of brackets", "…", safetensors(b'{"a":' * 9_999)),
    unreadable(
        "tensors that lie over one another",
        "…invalid offset for tensor `b`",
        safetensors(
            {
                "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
            },
            bytes(12),
        ),
    ),
    unreadable(
        "a tensor beyond the end",
        "…",
        safetensors({"a": {"dtype": "F32", "shape": [99], "data_offsets": [0, 396]}}, bytes(8)),
    ),
    unreadable(
        "a tensor larger than any memory",
        "…",
        safetensors(
            {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}}, bytes(8)
        ),
    ),
    unreadable(
        "a name twice",
        "two weights of the name wte.weight",
        safetensors(
            b'{"wte.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
            b'"wte.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
            bytes(4),
        ),
    ),
    spoilt(
        "a pointer of Git LFS",
        ": found weights that cannot be read: model.safetensors (a pointer of Git LFS); expected "
        "whole weight files. Fetch it: git lfs pull.",
        model=b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
    ),
    no_tensors("a pickle of a list", "an object of type list", pickled([1])),
    no_tensors(
        "a training checkpoint",
        "an object of type dict under the key 'model'",
        pickled({"model": {}, "step": 3}),
    ),
    no_tensors("a pickle of a function", "objects that are no tensors", pickled({"a": print})),
    no_tensors("a text as pickle", "no file of PyTorch's, or a damaged one", b"no weights\n"),
    no_tensors(
        "a pickle cut short", "no file of PyTorch's, or a damaged one", pickled({"a": 1})[:300]
    ),
    index(
        "an index that leads out of the folder",
        '{"weight_map": {"wte.weight": "../../etc/passwd"}}',
        "the file name '../../etc/passwd'",
        "names of files beside it",
    ),
    index(
        "an index of a file that is missing",
        '{"weight_map": {"wte.weight": "gone.safetensors"}}',
        "gone.safetensors, which is not there",
        "files beside it",
    ),
    index(
        "an index of a file of any name",
        '{"weight_map": {"wte.weight": "' + "x" * 300 + '.safetensors"}}',
        "the file name 'xxx…'",
        "names of files beside it",
    ),
    index(
        "an index of thousands of brackets",
        '{"weight_map": ' + "[" * 9_999,
        "no JSON (nested more than 100 levels deep)",
        "a whole index",
    ),
    no_tokenizer(
        "a tokenizer of thousands of brackets",
        "tokenizer.json: nested more than 100 levels deep",
        **{"tokenizer.json": "[" * 9_999},
    ),
    no_tokenizer(
        "a tokenizer that is a text",
        "tokenizer.json: Expecting value: …",
        **{"tokenizer.json": "gpt2"},
    ),
    no_tokenizer(
        "a tokenizer's settings that are a list",
        "tokenizer_config.json: not an object",
        **{"tokenizer_config.json": "[]"},
    ),
    no_tokenizer(
        "a tokenizer without a vocabulary",
        "tokenizer.json: …",
        **{"tokenizer.json": '{"version": "1.0", "added_tokens": []}'},
    ),
    spoilt(
        "a token beyond the embeddings",
        ": found 1281 tokenizer entries for 1280 embeddings; expected the tokenizer that the model "
        "was trained with. Save the right tokenizer …",
        **{
            "model": weights(),
            "tokenizer.json": TOKENIZER,
            "tokenizer_config.json": '{"pad_token": "[PAD]"}',
        },
    ),
)

MODELS = (
    *VALUES,
    *FILES,
    Case(
        "a model that there is not",
        "--model ./mine",
        "model ./mine: found no such directory; expected a directory with config.json …. "
        "Name the directory that save_pretrained wrote, …",
    ),
    Case(
        "a model of nobody",
        "--model ~no-such-user/gpt2",
        "model ~no-such-user/gpt2: found the home folder of a user that there is not; expected a "
        "directory with config.json …. Name the directory that save_pretrained wrote, …",
    ),
    Case(
        "a model of a very long name",
        f"--model {'x' * 300}",
        "model xxx…: found a path that cannot be looked up (File name too long); expected a "
        "directory …. Name the directory …",
    ),
    Case(
        "a file as model",
        "--model my.bin",
        "model my.bin: found a file; expected a directory with config.json …. Name …",
        {"my.bin": b"\0"},
    ),
    model(
        "a directory without config.json",
        None,
        "model model: found config.json missing …; expected a model directory …. "
        "Name such a directory.",
    ),
    model(
        "a model of another type",
        '{"model_type": "bert"}',
        "model model: found a model of type bert; expected a model of type gpt2. Name a GPT-2 …",
    ),
    model(
        "a config that is a list",
        "[1]",
        "model model: found config.json that holds [1]; expected a table of settings, …",
    ),
    model(
        "a config with text for a number",
        '{"model_type": "gpt2", "n_layer": "two"}',
        "model model, config.json, n_layer: found 'two'; expected a whole number from 1 to 1000. "
        "Correct it, or save the model again …",
    ),
    model(
        "a model without weights",
        TINY_CONFIG,
        "model model: found no weight files; expected model.safetensors, or an index …. "
        "Save the model again with save_pretrained.",
    ),
    model(
        "weights cut short",
        TINY_CONFIG,
        "model model: found weights that cannot be read: model.safetensors (…); expected whole "
        "weight files. Fetch or save the model again.",
        model=b'\x40\0\0\0\0\0\0\0{"transformer.wte.weight":',
    ),
    model(
        "a revision of a directory",
        TINY_CONFIG,
        "model.revision: found 'v1', but model is a directory; expected a hub model, without which "
        "it does nothing. Remove it.",
        options="--set model.revision=v1",
    ),
    Case(
        "a dropout of frozen blocks",
        "--set training.freeze_depth=4 --set training.dropout=0.1",
        "training.dropout: found 0.1, but all 4 blocks are frozen; expected a freeze_depth that "
        "leaves blocks to train, without which it does nothing. Remove it.",
    ),
    Case(
        "frozen blocks that nothing unfreezes",
        "--set training.freeze_depth=4 --set training.unfreeze=gradual",
        "training.unfreeze: found 'gradual', but all 4 blocks are frozen; expected a freeze_depth that "
        "leaves blocks to train, without which it does nothing. Remove it.",
    ),
    Case(
        "a duration of stages that there are not",
        "--set training.unfreeze_epochs=2",
        "--set training.unfreeze_epochs: found 2.0, but the unfreeze is none; expected the unfreeze "
        "two_stage or gradual, without which it does nothing. Remove it.",
    ),
    model(
        "an index that leads elsewhere",
        TINY_CONFIG,
        "model model, model.safetensors.index.json: found the file name '../x'; expected names of "
        "files beside it. Fetch or save the model again.",
        **{"model.safetensors.index.json": '{"weight_map": {"wte.weight": "../x"}}'},
    ),
    study_file(
        "a range beyond the model's layers",
        "[search.space]\nfreeze_depth = { low = 2, high = 6 }\n",
        "search.space.freeze_depth: found freeze depth 6; expected at most 4, the layers of demo. "
        'Lower it, or write high = "n_layer".',
    ),
    Case(
        "a choice beyond the model's layers",
        "--set search.space.freeze_depth=[2,9]",
        "search.space.freeze_depth: found freeze depth 9; expected at most 4, …. Lower it, …",
    ),
    Case(
        "a fixed depth beyond the model's layers",
        "--set training.freeze_depth=5",
        "training.freeze_depth: found freeze depth 5; expected at most 4, …. Lower it, …",
    ),
    Case(
        "a length beyond the model's positions",
        "--set data.max_length=100000",
        "data.max_length: found 100000; expected at most 128, the positions of demo. Lower it, …",
    ),
    Case(
        "a metric of numbers for one label a text",
        "--set study.metric=rmse",
        "study.metric: found 'rmse' for data with one label a text; expected one of accuracy, …. "
        'Write metric = "accuracy".',
    ),
    Case(
        "one logit for three classes",
        "--data three.csv --set training.head=sigmoid",
        "training.head: found 'sigmoid' for 3 classes; expected two classes, …. "
        'Write head = "softmax".',
        {"three.csv": "text,label\n" + "".join(f"text {i},{'abc'[i % 3]}\n" for i in range(30))},
    ),
    study_file(
        "a grid smaller than the budget on this model",
        "[search]\nsampler = 'grid'\n"
        "[search.space]\nfreeze_depth = { low = 2, high = 'n_layer' }\n",
        "study.trials: found 50 trials for a grid of 3 points; expected at most 3. "
        "Lower the trials to 3, …",
    ),
)

# With a hub that does not answer.
