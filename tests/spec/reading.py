"""Study files as texts, read, or refused with all that an error tells."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hpo.errors import HpoError
from hpo.spec.study import StudySpec
from hpo.spec.study_file import (
    read_study,
)


def read(text: str, overrides: dict[str, object] | None = None, name: str = "file") -> StudySpec:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return read_study(path, overrides)


def refusal(text: str, overrides: dict[str, object] | None = None) -> HpoError:
    with pytest.raises(HpoError) as caught:
        read(text, overrides)
    assert caught.value.exit_code == 2
    assert all((caught.value.found, caught.value.expected, caught.value.hint))
    assert "Input should be" not in str(caught.value)
    return caught.value


FOUR = {"learning_rate", "batch_size", "epochs", "freeze_depth"}


MANY_WAYS = """
    [study]
    name = "many ways"
    metric = "log_loss"
    trials = 7

    [search]
    sampler = { name = "tpe", n_startup_trials = 3 }
    pruner = "none"

    [search.space]
    learning_rate = { low = 1e-6, high = 1e-3, log = true }
    batch_size = [8, 16]
    epochs = { low = 2, high = 6, step = 2 }
    freeze_depth = { low = 1, high = "n_layer" }
    dropout = { low = 0.0, high = 0.3, step = 0.1 }
    schedule = ["cosine", "constant"]

    [training]
    weight_decay = 0
    early_stopping = 0
"""
