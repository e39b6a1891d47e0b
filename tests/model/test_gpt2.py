"""What GPT-2 tells the engine of its weights."""

from __future__ import annotations

from hpo.model.family import Trained, trained_names
from hpo.model.gpt2 import GPT2


def test_trained_names_shrink_with_the_depth() -> None:
    sizes = [len(trained_names(GPT2, Trained.of(depth), 3)) for depth in range(4)]
    assert sizes == [2 + 36 + 3, 24 + 3, 12 + 3, 3]


def test_biases_and_norms_are_not_decayed() -> None:
    decayed = {name for name in trained_names(GPT2, Trained.of(0), 1) if GPT2.is_decayed(name)}
    assert decayed == {
        "transformer.wte.weight",
        "transformer.wpe.weight",
        "transformer.h.0.attn.c_attn.weight",
        "transformer.h.0.attn.c_proj.weight",
        "transformer.h.0.mlp.c_fc.weight",
        "transformer.h.0.mlp.c_proj.weight",
        "score.weight",
    }


def test_depth_counts_from_the_head() -> None:
    assert [
        GPT2.depth_of(name, 2)
        for name in (
            "score.weight",
            "transformer.ln_f.bias",
            "transformer.h.1.ln_1.weight",
            "transformer.h.0.ln_1.weight",
            "transformer.wte.weight",
        )
    ] == [0, 0, 1, 2, 3]
