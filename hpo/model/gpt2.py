"""GPT-2: the names of its weights, their shapes, and its configuration."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from hpo.errors import ModelError
from hpo.model.activations import ACTIVATIONS
from hpo.model.config_values import check_config, flag, number, one_of, or_null, probability, whole
from hpo.model.family import Architecture, AttentionMask, ModelFamily, Pooling

if TYPE_CHECKING:
    from transformers import GPT2Config

logger = logging.getLogger(__name__)

TOKEN_EMBEDDING = "transformer.wte.weight"
POSITION_EMBEDDING = "transformer.wpe.weight"
HEAD = "score.weight"
FINAL_NORM = ("transformer.ln_f.weight", "transformer.ln_f.bias")
# The order is that of the fields of block_weights.BlockWeights.
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

# Far beyond any GPT-2; what is beyond these would take all memory before its weights are looked at.
_CONFIG_VALUES: Final = {
    "n_layer": whole(1, 1000),
    "n_head": whole(1, 1000),
    "n_embd": whole(1, 100_000),
    "n_inner": or_null(whole(1, 1_000_000)),
    "n_positions": whole(1, 1_000_000),
    "vocab_size": whole(1, 10_000_000),
    "num_labels": whole(1, 1_000_000),
    "activation_function": one_of(ACTIVATIONS),
    "embd_pdrop": probability(),
    "attn_pdrop": probability(),
    "resid_pdrop": probability(),
    "layer_norm_epsilon": number(1e-12, 1),
    "initializer_range": number(0, 1),
    "scale_attn_weights": flag(),
    "scale_attn_by_inverse_layer_idx": flag(),
}


class Gpt2(ModelFamily):
    """The family of GPT-2 (Radford et al., 2019), under the names of `GPT2ForSequenceClassification`."""

    attention: AttentionMask = "causal"
    pooling: Pooling = "last_token"
    token_embedding = TOKEN_EMBEDDING
    position_embedding = POSITION_EMBEDDING
    final_norm = FINAL_NORM
    head = HEAD

    def block_names(self, block: int) -> tuple[str, ...]:
        return tuple(f"transformer.h.{block}.{name}" for name in _BLOCK_WEIGHTS)

    def full_name(self, key: str) -> str:
        return (
            key if key.startswith(("transformer.", "lm_head.", "score.")) else f"transformer.{key}"
        )

    def depth_of(self, name: str, n_layer: int) -> int:
        if name in (TOKEN_EMBEDDING, POSITION_EMBEDDING):
            return n_layer + 1
        if name.startswith("transformer.h."):
            return n_layer - int(name.split(".")[2])
        return 0

    def is_decayed(self, name: str) -> bool:
        """Matrices and embeddings are, biases and layer norms are not."""
        return name.endswith(".weight") and ".ln_" not in name

    def shapes(self, architecture: Architecture) -> dict[str, tuple[int, ...]]:
        width, inner = architecture.width, architecture.inner_width
        attention = (width,), (width,), (width, 3 * width), (3 * width,), (width, width), (width,)
        mlp = (width,), (width,), (width, inner), (inner,), (inner, width), (width,)
        shapes: dict[str, tuple[int, ...]] = {
            TOKEN_EMBEDDING: (architecture.vocab_size, width),
            POSITION_EMBEDDING: (architecture.n_positions, width),
        }
        for block in range(architecture.n_layer):
            shapes.update(zip(self.block_names(block), (*attention, *mlp), strict=True))
        return shapes | dict.fromkeys(FINAL_NORM, (width,))

    def read_config(self, document: dict[str, Any], model: str) -> GPT2Config:
        from transformers import GPT2Config

        same = {other: _CONFIG_VALUES[key] for other, key in GPT2Config.attribute_map.items()}
        check_config(document, {**_CONFIG_VALUES, **same}, model)
        try:
            return GPT2Config.from_dict(document)
        except Exception as error:  # the kinds that a wrong type or value gives differ by version
            logger.debug("reading the configuration of %s", model, exc_info=True)
            raise ModelError(
                f"model {model}, config.json",
                found=f"values that transformers refuses ({' '.join(str(error).split())[:200]})",
                expected="the configuration of a GPT-2 model",
                hint="Save the model again with save_pretrained.",
            ) from error

    def architecture(self, config: GPT2Config, model: str) -> Architecture:
        if config.n_embd % config.n_head:
            raise ModelError(
                f"model {model}, config.json, n_head",
                found=f"{config.n_head} heads on a width of {config.n_embd}",
                expected="heads that divide the width",
                hint="Save the model again with save_pretrained.",
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

    def classification_config(
        self,
        config: GPT2Config,
        label_names: tuple[str, ...],
        pad_token_id: int,
        positions: int,
        problem_type: str,
    ) -> dict[str, Any]:
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


GPT2: Final[ModelFamily] = Gpt2()
