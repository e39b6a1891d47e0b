"""What the engine needs to know of a family of models: names of weights, mask, pooling, configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

AttentionMask = Literal["causal"]
"""Which tokens of its text a token attends to. causal: itself and those before it."""

Pooling = Literal["last_token"]
"""Whose state the head reads. last_token: that of each text's last token."""


@dataclass(frozen=True)
class Architecture:
    """What the forward pass needs to know of a model besides its weights. Its form is part of fingerprints."""

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
class Trained:
    """Which part of a model is trained; its final norm and the head always are.

    Attributes:
        embeddings: Whether the embeddings are.
        first_block: The first block that is, as are all above it; n_layer where none is.
    """

    embeddings: bool
    first_block: int

    @staticmethod
    def of(freeze_depth: int) -> Trained:
        """What a study's option means: 0 trains all, k >= 1 freezes the embeddings and k blocks."""
        return Trained(embeddings=freeze_depth == 0, first_block=freeze_depth)

    def blocks(self, n_layer: int) -> range:
        """The trained blocks of a model of so many."""
        return range(self.first_block, n_layer)

    def covers(self, other: Trained) -> bool:
        """Whether all that the other trains is trained here too."""
        return self.embeddings >= other.embeddings and self.first_block <= other.first_block


class ModelFamily(Protocol):
    """A family of pretrained models. Its members differ in sizes, which `Architecture` holds.

    Names of weights are those of the family's classifier in transformers.

    Attributes:
        attention: Which tokens a token attends to.
        pooling: Whose state the head reads.
        token_embedding: Name of the token table, (vocab_size, width).
        position_embedding: Name of the position table, (positions, width).
        final_norm: Names of the weight and the bias of the norm after the last block, (width,).
        head: Name of the head's matrix, (classes, width), which no pretrained model has.
    """

    attention: AttentionMask
    pooling: Pooling
    token_embedding: str
    position_embedding: str
    final_norm: tuple[str, str]
    head: str

    def block_names(self, block: int) -> tuple[str, ...]:
        """Names of a block's twelve weights, in the order of `block_weights.BlockWeights`."""

    def full_name(self, key: str) -> str:
        """The name of a weight that a checkpoint, perhaps one of the bare model, calls `key`."""

    def depth_of(self, name: str, n_layer: int) -> int:
        """How many steps below the head a weight lies: 0 for the head and the final norm, 1 for the
        last block, n_layer + 1 for embeddings.
        """

    def is_decayed(self, name: str) -> bool:
        """Whether weight decay applies to a weight."""

    def shapes(self, architecture: Architecture) -> Mapping[str, tuple[int, ...]]:
        """The shape of every weight of a checkpoint, matrices (in, out); the head left out."""

    def read_config(self, document: dict[str, Any], model: str) -> Any:
        """A `config.json` as transformers understands it.

        Args:
            document: What the file holds.
            model: The model's name, for messages.

        Raises:
            ModelError: Where transformers refuses it.
        """

    def architecture(self, config: Any, model: str) -> Architecture:
        """What the forward pass needs of a configuration that `read_config` gave.

        Raises:
            ModelError: Where the forward pass cannot do what it asks for.
        """

    def classification_config(
        self,
        config: Any,
        label_names: tuple[str, ...],
        pad_token_id: int,
        positions: int,
        problem_type: str,
    ) -> dict[str, Any]:
        """The `config.json` of a classifier over the given labels, in the form that transformers reads.

        Args:
            config: The pretrained model's, from `read_config`.
            label_names: In the order of the head's rows.
            pad_token_id: What transformers finds a text's last token by.
            positions: Rows of the table of position embeddings.
            problem_type: What transformers calls the task.
        """


def trained_names(family: ModelFamily, trained: Trained, n_layer: int) -> tuple[str, ...]:
    """Names of the weights that are trained, from the embeddings up to the head."""

    def names() -> Iterator[str]:
        if trained.embeddings:
            yield from (family.token_embedding, family.position_embedding)
        for block in trained.blocks(n_layer):
            yield from family.block_names(block)
        yield from (*family.final_norm, family.head)

    return tuple(names())
