"""The forward pass over packed tokens: no padding, and the last block for the last token alone.

A batch is its texts' tokens one after another, (tokens, width), with a `Layout` that says where each
text lies. Linear layers, layer norms and activations see real tokens only. Attention alone works on
the padded form, (texts, max_seqlen): texts are left-aligned in it and the mask is causal, so no real
token ever attends to padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from hpo.model.block_weights import BlockWeights
from hpo.model.dropout import Dropout
from hpo.model.family import Architecture, AttentionMask, ModelFamily, Pooling
from hpo.model.layout import Layout
from hpo.model.matmuls import activated_linear, linear

# Up to here, plain matmuls beat PyTorch's fused bf16 attention on a CPU, made for long texts.
_LONGEST_FOR_MATMULS = 128


BlockPass = Callable[[Tensor, BlockWeights, Layout, Architecture, int, Dropout], Tensor]
"""Hidden states, weights, layout, architecture, index of the block, dropout -> hidden states."""


def embed(
    tokens: Tensor, positions: Tensor, token_table: Tensor, position_table: Tensor, dropout: Dropout
) -> Tensor:
    """Token plus position embeddings.

    Args:
        tokens: Rows of the token table, (tokens,) int64.
        positions: Of each token in its text, (tokens,) int64.
        token_table: (rows, width) fp32.
        position_table: (positions, width) fp32.
        dropout: On their sum.

    Returns:
        (tokens, width) fp32.
    """
    hidden = functional.embedding(tokens, token_table) + functional.embedding(
        positions, position_table
    )
    return dropout.embeddings(hidden)


def block(
    hidden: Tensor,
    weights: BlockWeights,
    layout: Layout,
    architecture: Architecture,
    index: int,
    dropout: Dropout,
) -> Tensor:
    """One transformer block, with the norm before each part (Radford et al., 2019).

    Args:
        hidden: (tokens, width) fp32.
        weights: In the dtype of matmuls.
        layout: Of the batch.
        architecture: Of the model.
        index: Of the block, for its attention scale.
        dropout: On attention weights and on what joins the residual.

    Returns:
        (tokens, width) fp32.
    """
    normed = _norm(hidden, weights.norm_1_weight, weights.norm_1_bias, architecture)
    qkv = linear(normed, weights.qkv_weight, weights.qkv_bias)
    attended = _attention(qkv, layout, architecture, index, dropout)
    hidden = hidden + dropout.residual(linear(attended, weights.out_weight, weights.out_bias))
    return _mlp(hidden, weights, architecture, dropout)


def last_block(
    hidden: Tensor,
    weights: BlockWeights,
    layout: Layout,
    architecture: Architecture,
    index: int,
    dropout: Dropout,
) -> Tensor:
    """The final block for each text's last token, the only one that the classifier reads.

    With one query a text, keys and values need not be projected token by token:
    q·(W_k h) = (W_k^T q)·h, and the attention-weighted sum of values is the projection of the
    weighted sum of hidden states. The same holds for the layer norm's scale and shift, so that all
    work per token is two matmuls with the normalised hidden states.

    Args:
        hidden: (tokens, width) fp32.
        weights: In the dtype of matmuls.
        layout: Of the batch.
        architecture: Of the model.
        index: Of the block, for its attention scale.
        dropout: On attention weights and on what joins the residual.

    Returns:
        (texts, width) fp32.
    """
    width, heads = architecture.width, architecture.n_head
    dtype = weights.qkv_weight.dtype
    scale, shift = weights.norm_1_weight.to(dtype), weights.norm_1_bias.to(dtype)
    normal = functional.layer_norm(hidden, (width,), None, None, architecture.norm_epsilon).to(
        dtype
    )
    query_in = normal[layout.last] * scale + shift
    normal = layout.to_padded(normal)  # (texts, max_seqlen, width)

    to_query, to_key, to_value = torch.split(weights.qkv_weight, width, dim=1)
    query_bias, _, value_bias = torch.split(
        weights.qkv_bias, width
    )  # a key bias moves all scores alike
    query = torch.addmm(query_bias, query_in, to_query).view(-1, heads, width // heads)
    key_query = torch.bmm(query.transpose(0, 1), _by_head(to_key, heads).transpose(1, 2))
    key_query = key_query.transpose(0, 1) * scale  # (texts, heads, width)
    scores = torch.bmm(key_query, normal.transpose(1, 2)).float()  # (texts, heads, max_seqlen)
    scores = scores * architecture.attention_scales[index]
    if layout.ragged:
        padding = torch.arange(layout.max_seqlen, device=hidden.device) >= layout.lengths[:, None]
        scores = scores.masked_fill(padding[:, None, :], -torch.inf)
    attention_weights = dropout.attention(scores.softmax(-1)).to(dtype)
    total = attention_weights.sum(-1, keepdim=True)  # 1 without dropout
    context = torch.bmm(attention_weights, normal) * scale + total * shift  # (texts, heads, width)
    values = torch.bmm(context.transpose(0, 1), _by_head(to_value, heads)).transpose(0, 1)
    attended = (values + total * value_bias.view(heads, -1)).reshape(-1, width)

    hidden = hidden[layout.last] + dropout.residual(
        linear(attended, weights.out_weight, weights.out_bias)
    )
    return _mlp(hidden, weights, architecture, dropout)


_PASSES: Final[Mapping[tuple[AttentionMask, Pooling], tuple[BlockPass, BlockPass]]] = {
    ("causal", "last_token"): (block, last_block)
}


def pass_of(family: ModelFamily, index: int, n_layer: int) -> BlockPass:
    """The pass of a family's block: of all tokens or, in its last block, of what the head reads alone."""
    whole, last = _PASSES[family.attention, family.pooling]
    return last if index == n_layer - 1 else whole


def head(
    last: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    score: Tensor,
    epsilon: float,
    dropout: Dropout,
) -> Tensor:
    """The final layer norm and the head, in fp32.

    Args:
        last: What the last block leaves of each text's last token, (texts, width).
        norm_weight: (width,).
        norm_bias: (width,).
        score: The head, (classes, width).
        epsilon: Of the norm.
        dropout: Between the two.

    Returns:
        Logits, (texts, classes).
    """
    normed = functional.layer_norm(last, norm_weight.shape, norm_weight, norm_bias, epsilon)
    return functional.linear(dropout.head(normed), score)


def _mlp(
    hidden: Tensor, weights: BlockWeights, architecture: Architecture, dropout: Dropout
) -> Tensor:
    normed = _norm(hidden, weights.norm_2_weight, weights.norm_2_bias, architecture)
    inner = activated_linear(normed, weights.up_weight, weights.up_bias, architecture.activation)
    return hidden + dropout.residual(linear(inner, weights.down_weight, weights.down_bias))


def _attention(
    qkv: Tensor, layout: Layout, architecture: Architecture, index: int, dropout: Dropout
) -> Tensor:
    """Causal self-attention of each text by itself, (tokens, 3 width) -> (tokens, width)."""
    split = layout.split_heads(qkv, architecture.n_head)
    scale = architecture.attention_scales[index]
    if _attends_by_matmuls(qkv, layout, dropout):
        attended = _matmul_attention(split, scale, dropout)
    else:
        query, key, value = split  # each (texts, heads, max_seqlen, head width)
        attended = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scale, dropout_p=dropout.attention_probability
        )
    return layout.join_heads(attended)


def _attends_by_matmuls(qkv: Tensor, layout: Layout, dropout: Dropout) -> bool:
    # PyTorch's fused CPU kernel has no dropout; its fallback draws random numbers one by one.
    short = qkv.dtype == torch.bfloat16 and layout.max_seqlen <= _LONGEST_FOR_MATMULS
    return qkv.device.type == "cpu" and (short or dropout.drops_attention)


def _matmul_attention(split: Tensor, scale: float, dropout: Dropout) -> Tensor:
    """Attention written out, (3, texts, heads, max_seqlen, head width) -> (texts, heads, …)."""
    _, texts, heads, max_seqlen, _ = split.shape
    query, key, value = split.flatten(1, 2)
    mask = _causal_mask(max_seqlen, split.dtype)
    scores = torch.baddbmm(mask, query, key.transpose(1, 2), alpha=scale)
    attention_weights = dropout.attention(scores.softmax(-1))
    return torch.bmm(attention_weights, value).view(texts, heads, max_seqlen, -1)


@lru_cache(maxsize=64)
def _causal_mask(max_seqlen: int, dtype: torch.dtype) -> Tensor:
    return torch.full((max_seqlen, max_seqlen), -torch.inf, dtype=dtype).triu_(1)


def _by_head(projection: Tensor, heads: int) -> Tensor:
    """(width, width) -> (heads, width, head width)."""
    return projection.reshape(projection.shape[0], heads, -1).transpose(0, 1)


def _norm(hidden: Tensor, weight: Tensor, bias: Tensor, architecture: Architecture) -> Tensor:
    return functional.layer_norm(hidden, weight.shape, weight, bias, architecture.norm_epsilon)
