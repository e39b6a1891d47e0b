"""Small GPT-2 models, token runs, and the reference: transformers' own classifier over padded rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoTokenizer, GPT2Config, GPT2ForSequenceClassification, GPT2Model

from hpo.data.tokens import TokenizedSplit
from hpo.demo import DEMO_MODEL_DIR
from hpo.model.classifier import Classifier
from hpo.model.embedding_rows import EmbeddingRows
from hpo.model.family import Trained
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.gpt2 import HEAD
from hpo.model.inputs import SplitInputs
from hpo.model.pretrained import PretrainedModel, load_pretrained

PAD = 0


def save_tiny(folder: Path, *, seed: int = 0, noise: float = 0.05, **config: Any) -> Path:
    """A random GPT-2 with the demo's tokenizer, as save_pretrained writes it.

    noise: added to every weight, so that no bias is zero and no norm is the identity.
    """
    settings = {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": 32, "vocab_size": 1280}
    dropouts = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
    torch.manual_seed(seed)
    model = GPT2Model(GPT2Config(**{**settings, **dropouts, "pad_token_id": PAD, **config}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += noise * torch.randn_like(parameter)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(DEMO_MODEL_DIR).save_pretrained(folder)
    return folder


def save_bert_vocabulary(folder: Path) -> None:
    """Put BERT's vocabulary in the place of a model's tokenizer, as Chinese GPT-2 models have it."""
    for path in folder.glob("tokenizer*"):
        path.unlink()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = ["a", "dull", "film", ",", "slow", "and", "sad", "good", "lo", "##ved", "it", "."]
    (folder / "vocab.txt").write_text("\n".join([*special, *words]) + "\n", encoding="utf-8")


def tiny(folder: Path, **options: Any) -> PretrainedModel:
    return load_pretrained(str(save_tiny(folder, **options)))


def random_split(
    lengths: list[int], *, classes: int = 2, vocabulary: int = 1280, seed: int = 0
) -> TokenizedSplit:
    """Texts of random tokens, none of them the padding token, with random labels."""
    random = np.random.default_rng(seed)
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    tokens = random.integers(PAD + 1, vocabulary, offsets[-1]).astype(np.int32)
    return TokenizedSplit(tokens, offsets, random.integers(0, classes, len(lengths)))


def classifier_over(
    model: PretrainedModel,
    split: TokenizedSplit,
    *,
    freeze_depth: int,
    classes: int = 2,
    features: FrozenFeatures | None = None,
    seed: int = 0,
) -> tuple[Classifier, SplitInputs]:
    """A classifier of this freeze depth, and its inputs over the split."""
    features = features or FrozenFeatures(model, cache=None)
    trained, rows = Trained.of(freeze_depth), None
    if trained.embeddings:
        rows = EmbeddingRows.of(split.tokens, max_seqlen=int(split.lengths.max()))
    classifier = Classifier(
        model,
        trained=trained,
        classes=classes,
        embedding_rows=rows,
        seed=seed,
        dtype=features.dtype,
        device=features.device,
    )
    inputs = SplitInputs(split, "split", trained=trained, features=features, embedding_rows=rows)
    return classifier, inputs


def reference_for(
    model: PretrainedModel, head: Tensor, **config: Any
) -> GPT2ForSequenceClassification:
    """transformers' classifier with the same weights and this head, (classes, width), in eval mode."""
    document = {**model.config.to_dict(), "num_labels": len(head), "pad_token_id": PAD, **config}
    for key in ("id2label", "label2id"):
        document.pop(key, None)
    reference = GPT2ForSequenceClassification(GPT2Config(**document))
    reference.load_state_dict({**model.weights, HEAD: head.detach().clone()})
    return reference.eval()


def padded(split: TokenizedSplit, texts: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, (texts, max_seqlen), padded on the right."""
    ids = torch.full((len(texts), int(split.lengths[texts].max())), PAD)
    for row, text in enumerate(texts):
        tokens = split.tokens[split.offsets[text] : split.offsets[text + 1]]
        ids[row, : len(tokens)] = torch.from_numpy(tokens.astype(np.int64))
    return ids, (ids != PAD).long()
