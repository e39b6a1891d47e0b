"""GPT-2 checkpoints: the one place that knows their files, configuration and names of weights."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hpo.demo import DEMO_MODEL_DIR
from hpo.errors import ModelError
from hpo.model.activations import ACTIVATIONS
from hpo.model.tokenizer import load_tokenizer, tokenizer_fingerprint
from hpo.model.weight_files import StoredTensor, chosen_file, files_to_read, read_tensors
from hpo.spec.locations import path_of
from hpo.spec.study import DEMO

if TYPE_CHECKING:
    from transformers import GPT2Config, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

TOKEN_EMBEDDING = "transformer.wte.weight"
POSITION_EMBEDDING = "transformer.wpe.weight"
HEAD = "score.weight"
FINAL_NORM = ("transformer.ln_f.weight", "transformer.ln_f.bias")
# The order is that of the fields of packed.BlockWeights.
_BLOCK_WEIGHTS = (
    "ln_1.weight",
    "ln_1.bias",
    "attn.c_attn.weight",
    "attn.c_attn.bias",
    "attn.c_proj.weight",
    "attn.c_proj.bias",
    "ln_2.weight",
    "ln_2.bias",
    "mlp.c_fc.weight",
    "mlp.c_fc.bias",
    "mlp.c_proj.weight",
    "mlp.c_proj.bias",
)
# Everything but weights: configuration, tokenizer, and the indices of weight files.
_HUB_FILES = ("*.json", "*.txt", "*.model")
# What computes as it stands; of whole numbers and 8-bit ones only their library knows what they mean.
_NUMBER_FORMATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_HUB_TIMEOUT_SECONDS = 10.0


def block_names(block: int) -> tuple[str, ...]:
    """Names of a block's twelve weights, in the order of `packed.BlockWeights`."""
    return tuple(f"transformer.h.{block}.{name}" for name in _BLOCK_WEIGHTS)


def trained_names(freeze_depth: int, n_layer: int) -> tuple[str, ...]:
    """Names of the weights that a trial of this freeze depth trains, from the embeddings up to the head."""
    embeddings = (TOKEN_EMBEDDING, POSITION_EMBEDDING) if freeze_depth == 0 else ()
    blocks = tuple(name for block in range(freeze_depth, n_layer) for name in block_names(block))
    return (*embeddings, *blocks, *FINAL_NORM, HEAD)


def depth_of(name: str, n_layer: int) -> int:
    """How many steps below the head a weight lies.

    0 for the head and the final norm, n_layer + 1 for embeddings.
    """
    if name in (TOKEN_EMBEDDING, POSITION_EMBEDDING):
        return n_layer + 1
    if name.startswith("transformer.h."):
        return n_layer - int(name.split(".")[2])
    return 0


def is_decayed(name: str) -> bool:
    """Whether weight decay applies: matrices and embeddings, not biases or layer norms."""
    return name.endswith(".weight") and ".ln_" not in name


@dataclass(frozen=True)
class Architecture:
    """What the forward pass needs to know of a GPT-2 model besides its weights."""

    n_layer: int
    n_head: int
    width: int
    inner_width: int
    n_positions: int
    vocab_size: int
    activation: str
    norm_epsilon: float
    embedding_dropout: float
    attention_dropout: float
    residual_dropout: float
    attention_scales: tuple[float, ...]  # one a block
    initializer_range: float


@dataclass(frozen=True)
class PretrainedModel:
    """A GPT-2 checkpoint in memory. Nobody changes its weights: trials copy what they train.

    weights: fp32 tensors under the names of `GPT2ForSequenceClassification`, the head left out.
    fingerprint: of the weights and the architecture, the same wherever they were loaded from.
    """

    name: str
    revision: str | None
    config: GPT2Config
    architecture: Architecture
    weights: Mapping[str, Tensor]
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str
    tokenizer_fingerprint: str


def load_pretrained(name: str, revision: str | None = None) -> PretrainedModel:
    """Load a GPT-2 model and its tokenizer by hub id, local directory or "demo". Raises ModelError."""
    folder = _model_folder(name, revision)
    config = _read_config(folder, name)
    architecture = _architecture(config, name)
    weights = _read_weights(folder, name, architecture)
    tokenizer = load_tokenizer(folder, name, architecture.vocab_size)
    return PretrainedModel(
        name=name,
        revision=revision,
        config=config,
        architecture=architecture,
        weights=weights,
        tokenizer=tokenizer,
        fingerprint=_fingerprint(architecture, weights),
        tokenizer_fingerprint=tokenizer_fingerprint(tokenizer),
    )


def classification_config(
    config: GPT2Config,
    label_names: tuple[str, ...],
    pad_token_id: int,
    positions: int,
    problem_type: str,
) -> dict[str, Any]:
    """The `config.json` of a classifier over the given labels, in the form that transformers reads.

    positions: rows of the table of position embeddings; problem_type: transformers' name of the task.
    """
    document = config.to_dict()
    document.update(
        architectures=["GPT2ForSequenceClassification"],
        id2label={str(index): label for index, label in enumerate(label_names)},
        label2id={label: index for index, label in enumerate(label_names)},
        pad_token_id=pad_token_id,
        n_positions=positions,
        problem_type=problem_type,
        torch_dtype="float32",
    )
    for key in ("dtype", "n_ctx"):  # said otherwise above
        document.pop(key, None)
    return dict(document)


def is_on_the_hub(name: str) -> bool:
    """Whether a model's name is neither the demo's nor that of a directory here. Raises ModelError."""
    return name != DEMO and not path_of(name, lambda reason: _no_directory(name, reason)).is_dir()


def _model_folder(name: str, revision: str | None) -> Path:
    if name == DEMO:
        return DEMO_MODEL_DIR
    path = path_of(name, lambda reason: _no_directory(name, reason))
    if path.is_dir():
        return path
    if path.is_file() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise _no_directory(name, "a file" if path.is_file() else "no such directory")
    return _from_hub(name, revision)


def _no_directory(name: str, found: str) -> ModelError:
    return ModelError(
        f"model {name}",
        found=found,
        expected="a directory with config.json and model.safetensors",
        hint="Name the directory that save_pretrained wrote, a hub id, or demo.",
    )


def _from_hub(name: str, revision: str | None) -> Path:
    """The folder of a hub model's files, fetched; from the cache where the hub does not answer."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    fetch = partial(snapshot_download, name, ignore_patterns=["*/*"])
    try:
        # With a time-out, which snapshot_download has not.
        info = HfApi().model_info(name, revision=revision, timeout=_HUB_TIMEOUT_SECONDS)
        folder = Path(fetch(revision=info.sha, allow_patterns=list(_HUB_FILES)))
        chosen = chosen_file({file.rfilename for file in info.siblings or ()})
        if chosen is not None:
            fetch(revision=info.sha, allow_patterns=list(files_to_read(folder, chosen, name)))
        return folder
    except ModelError:  # a faulty index, which another try would not mend
        raise
    except HFValidationError as error:
        raise ModelError(
            f"model {name}",
            found="neither a directory nor a hub id",
            expected='a directory, a hub id such as "gpt2", or "demo"',
            hint="Correct the name.",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"model {name}",
            found="no directory and no hub model of this name that this login may read",
            expected='a directory, a hub id such as "gpt2", or "demo"',
            hint="Check the name, or log in with `hf auth login`.",
        ) from error
    except (
        Exception
    ) as error:  # the client below huggingface_hub differs by version, so do its errors
        logger.debug("fetching %s from the hub", name, exc_info=True)
        reason = error
    try:
        folder = Path(fetch(revision=revision, local_files_only=True))
    except Exception as error:
        logger.debug("looking for %s in the hub's cache", name, exc_info=True)
        raise ModelError(
            f"model {name}",
            found=f"no answer from the hub that gives it ({type(reason).__name__})",
            expected="a directory here, or a model that the hub has and lets you read",
            hint="Check the name and the network, or name a local directory.",
        ) from error
    logger.warning("the hub does not answer; its cached copy of %s is used", name)
    return folder


def _read_config(folder: Path, name: str) -> GPT2Config:
    from transformers import GPT2Config

    path = folder / "config.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"model {name}",
            found=f"{path.name} missing or broken ({type(error).__name__})",
            expected="a model directory with config.json, as save_pretrained writes it",
            hint="Name such a directory.",
        ) from error
    kind = document.get("model_type") if isinstance(document, dict) else None
    if kind != "gpt2":
        raise ModelError(
            f"model {name}",
            found=f"a model of type {kind}",
            expected="a model of type gpt2",
            hint="Name a GPT-2 checkpoint (gpt2, distilgpt2, gpt2-medium, …).",
        )
    try:
        return GPT2Config.from_dict(document)
    except Exception as error:  # the kinds that a wrong type or value gives differ by version
        logger.debug("reading %s", path, exc_info=True)
        raise ModelError(
            f"model {name}, config.json",
            found=f"values that transformers refuses ({' '.join(str(error).split())[:200]})",
            expected="the configuration of a GPT-2 model",
            hint="Save the model again with save_pretrained.",
        ) from error


def _architecture(config: GPT2Config, name: str) -> Architecture:
    sizes = config.n_layer, config.n_head, config.n_embd, config.n_positions, config.vocab_size
    if min(sizes) < 1 or config.n_embd % config.n_head:
        raise ModelError(
            f"model {name}, config.json",
            found=f"{config.n_layer} layers of {config.n_head} heads on a width of {config.n_embd}",
            expected="sizes of 1 or more, and a width that the heads divide",
            hint="Save the model again with save_pretrained.",
        )
    if config.activation_function not in ACTIVATIONS:
        raise ModelError(
            f"model {name}, config.json, activation_function",
            found=repr(config.activation_function),
            expected=f"one of {', '.join(ACTIVATIONS)}",
            hint="Use a model with one of these.",
        )
    head_width = config.n_embd // config.n_head
    scale = head_width**-0.5 if config.scale_attn_weights else 1.0
    by_layer = config.scale_attn_by_inverse_layer_idx
    return Architecture(
        n_layer=config.n_layer,
        n_head=config.n_head,
        width=config.n_embd,
        inner_width=config.n_inner or 4 * config.n_embd,
        n_positions=config.n_positions,
        vocab_size=config.vocab_size,
        activation=config.activation_function,
        norm_epsilon=config.layer_norm_epsilon,
        embedding_dropout=config.embd_pdrop,
        attention_dropout=config.attn_pdrop,
        residual_dropout=config.resid_pdrop,
        attention_scales=tuple(
            scale / (block + 1 if by_layer else 1) for block in range(config.n_layer)
        ),
        initializer_range=config.initializer_range,
    )


def _read_weights(folder: Path, name: str, architecture: Architecture) -> Mapping[str, Tensor]:
    stored: dict[str, StoredTensor] = {}
    for key, found in read_tensors(folder, name).items():
        if _full_name(key) in stored:
            raise _bad_weight(name, _full_name(key), "two of that name", "one", found.file)
        stored[_full_name(key)] = found
    weights = {}
    for key, shape in _shapes(architecture).items():
        expected = f"a weight of shape {shape}, as config.json says"
        if key not in stored:
            raise _bad_weight(name, key, "nothing of that name", expected)
        tensor, file = stored[key].tensor, stored[key].file
        if tensor.shape != shape:
            raise _bad_weight(name, key, f"shape {tuple(tensor.shape)}", expected, file)
        if tensor.dtype not in _NUMBER_FORMATS:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise _bad_weight(name, key, f"numbers of type {kind}", "floating-point numbers", file)
        weights[key] = tensor.to(torch.float32).contiguous()
        # A sum has no memory to fill, and is finite only where all of its terms are.
        if not weights[key].sum().isfinite() and not weights[key].isfinite().all():
            odd = int((~weights[key].isfinite()).sum())
            found_numbers = f"{odd} of {tensor.numel()} numbers NaN or infinite"
            raise _bad_weight(name, key, found_numbers, "finite numbers in fp32", file)
    return weights


def _bad_weight(
    name: str, key: str, found: str, expected: str, file: str | None = None
) -> ModelError:
    return ModelError(
        f"model {name}, {f'{file}, ' if file else ''}weight {key}",
        found=found,
        expected=expected,
        hint="Fetch the model again, or save it with save_pretrained.",
    )


def _shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """The shape of every weight of a checkpoint, matrices (in, out); the head left out."""
    width, inner = architecture.width, architecture.inner_width
    attention = (width,), (width,), (width, 3 * width), (3 * width,), (width, width), (width,)
    mlp = (width,), (width,), (width, inner), (inner,), (inner, width), (width,)
    shapes: dict[str, tuple[int, ...]] = {
        TOKEN_EMBEDDING: (architecture.vocab_size, width),
        POSITION_EMBEDDING: (architecture.n_positions, width),
    }
    for block in range(architecture.n_layer):
        shapes.update(zip(block_names(block), (*attention, *mlp), strict=True))
    return shapes | dict.fromkeys(FINAL_NORM, (width,))


def _full_name(key: str) -> str:
    return key if key.startswith(("transformer.", "lm_head.", "score.")) else f"transformer.{key}"


def _fingerprint(architecture: Architecture, weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(repr(architecture).encode())
    for key in sorted(weights):
        digest.update(key.encode())
        digest.update(weights[key].numpy().data.cast("B"))
    return digest.hexdigest()[:32]
