"""A trial's model: the trained part of a pretrained one and a head, over a frozen part that trials share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from hpo.model import packed
from hpo.model.block_weights import BlockWeights
from hpo.model.dropout import Dropout
from hpo.model.embedding_rows import EmbeddingRows
from hpo.model.family import Trained, trained_names
from hpo.model.layout import Layout
from hpo.model.pretrained import PretrainedModel


class Classifier:
    """What a trial trains, and its forward pass.

    Attributes:
        model: The pretrained model that it starts from, and whose frozen part it stands on.
        trained: Which part of it is trained.
        embedding_rows: The rows of trained embedding tables; None where they are frozen.
        parameters: fp32 leaves under the family's names, embeddings up to the head; the embedding
            tables are compact, those of `embedding_rows`.
        decay: The product of all weight decay factors so far, for the rows that no text uses.
    """

    def __init__(
        self,
        model: PretrainedModel,
        *,
        trained: Trained,
        classes: int,
        embedding_rows: EmbeddingRows | None,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        """Copy the trained weights from the model and draw the head.

        Args:
            model: The pretrained model.
            trained: Which part of it is trained.
            classes: Rows of the head.
            embedding_rows: Needed where the embeddings are trained.
            seed: Of the head.
            dtype: Of matmuls.
            device: Where it computes; None: the CPU.
        """
        self.model = model
        self.architecture = model.architecture
        self.trained = trained
        self.embedding_rows = embedding_rows
        self.dtype = dtype
        self.device = device or torch.device("cpu")
        self.decay = 1.0
        self._held: dict[int, BlockWeights] = {}
        self.parameters: dict[str, Tensor] = {}
        for name in trained_names(model.family, trained, self.architecture.n_layer):
            is_head = name == model.family.head
            first = self._first_head(classes, seed) if is_head else self._pretrained(name)
            self.parameters[name] = first.to(self.device, copy=True).requires_grad_()

    @property
    def classes(self) -> int:
        """How many labels it tells apart."""
        return len(self.parameters[self.model.family.head])

    def logits(self, inputs: Tensor, layout: Layout | None, dropout: Dropout) -> Tensor:
        """The logits of a batch.

        Args:
            inputs: Where the embeddings are trained, rows of the compact token table, (tokens,)
                int64; where blocks are, hidden states after the frozen ones, (tokens, width) fp32;
                with everything frozen, those of each text's last token, (texts, width) fp32.
            layout: Of the batch; None is enough with everything frozen.
            dropout: Of the trained part.

        Returns:
            (texts, classes) fp32.
        """
        family, n_layer = self.model.family, self.architecture.n_layer
        hidden = self._embed(inputs, layout, dropout) if self.trained.embeddings else inputs
        for index in self.trained.blocks(n_layer):
            assert layout is not None
            run = packed.pass_of(family, index, n_layer)
            weights = self._weights_in_dtype(index)
            hidden = run(hidden, weights, layout, self.architecture, index, dropout)
        norm_weight, norm_bias, score = (
            self.parameters[name] for name in (*family.final_norm, family.head)
        )
        epsilon = self.architecture.norm_epsilon
        return packed.head(hidden, norm_weight, norm_bias, score, epsilon, dropout)

    def _embed(self, rows: Tensor, layout: Layout | None, dropout: Dropout) -> Tensor:
        assert layout is not None
        family = self.model.family
        tables = self.parameters[family.token_embedding], self.parameters[family.position_embedding]
        return packed.embed(rows, layout.positions, *tables, dropout)

    def block_weights(self, index: int) -> BlockWeights:
        """A trained block's weights, in fp32, as made from `parameters`.

        The forward pass gets them here alone, so that a kind of fine-tuning which makes them of a
        base and a low-rank part overrides this.
        """
        return BlockWeights(
            *(self.parameters[name] for name in self.model.family.block_names(index))
        )

    def _weights_in_dtype(self, index: int) -> BlockWeights:
        return self._held.get(index) or self.block_weights(index).in_dtype(self.dtype)

    @contextmanager
    def held_weights(self) -> Iterator[None]:
        """While weights stay as they are, cast them once and not for every batch. No gradients."""
        blocks = self.trained.blocks(self.architecture.n_layer)
        with torch.no_grad():
            self._held = {index: self._weights_in_dtype(index) for index in blocks}
            try:
                yield
            finally:
                self._held = {}

    def unfrozen(self, trained: Trained, embedding_rows: EmbeddingRows | None = None) -> Classifier:
        """A classifier that trains more, and gives the same logits, from this one's weights.

        Args:
            trained: What it trains; at least what this one does.
            embedding_rows: Needed where the embeddings are trained from now on.

        Raises:
            ValueError: Where weights that are trained already would be frozen, and so be lost.
        """
        if not trained.covers(self.trained):
            raise ValueError(f"{trained} freezes what {self.trained} has trained")
        more = Classifier(
            self.model,
            trained=trained,
            classes=self.classes,
            embedding_rows=self.embedding_rows or embedding_rows,
            seed=0,
            dtype=self.dtype,
            device=self.device,
        )
        # While the embeddings were frozen, none of their rows decayed.
        decay = self.decay if self.trained.embeddings else 1.0
        more.restore({**more.parameters, **self.parameters}, decay)
        return more

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of the trained weights."""
        return {name: tensor.detach().clone() for name, tensor in self.parameters.items()}

    def restore(self, weights: Mapping[str, Tensor], decay: float) -> None:
        """Take over weights that `snapshot` gave, into the same leaves."""
        with torch.no_grad():
            for name, tensor in self.parameters.items():
                tensor.copy_(weights[name])
        self.decay = decay

    def full_weights(self) -> Iterator[tuple[str, Tensor]]:
        """All weights with whole embedding tables, as transformers names them, on the CPU."""
        family = self.model.family
        for name in trained_names(family, Trained.of(0), self.architecture.n_layer):
            if name not in self.parameters:
                yield name, self.model.weights[name]
            elif name in (family.token_embedding, family.position_embedding):
                yield name, self._whole_table(name)
            else:
                yield name, self.parameters[name].detach().cpu()

    def _whole_table(self, name: str) -> Tensor:
        rows, pretrained = self.embedding_rows, self.model.weights[name]
        assert rows is not None
        trained = self.parameters[name].detach().cpu()
        is_token = name == self.model.family.token_embedding
        whole = rows.whole_tokens if is_token else rows.whole_positions
        return whole(pretrained, trained, self.decay)

    def _pretrained(self, name: str) -> Tensor:
        weight, rows = self.model.weights[name], self.embedding_rows
        if name == self.model.family.token_embedding:
            assert rows is not None
            return rows.compact_tokens(weight)
        if name == self.model.family.position_embedding:
            assert rows is not None
            return rows.compact_positions(weight)
        return weight

    def _first_head(self, classes: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        head = torch.empty(classes, self.architecture.width)
        return head.normal_(0, self.architecture.initializer_range, generator=generator)
