"""Pretrained models that are none."""

from __future__ import annotations

import json

from tests.commands.bad_inputs.case import Case, model, study_file

TINY_CONFIG = json.dumps(
    {"model_type": "gpt2", "n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 1280}
)

MODELS = (
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
        "model model: found a model of type None; expected a model of type gpt2. Name a GPT-2 …",
    ),
    model(
        "a config with text for a number",
        '{"model_type": "gpt2", "n_layer": "two"}',
        "model model, config.json: found values that transformers refuses (…n_layer…); "
        "expected the configuration of a GPT-2 model. Save the model again …",
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
