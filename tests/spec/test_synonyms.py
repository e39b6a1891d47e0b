from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import HpoError
from hpo.spec.study_file import read_study
from hpo.spec.synonyms import meant


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("training.lr", 1e-4, "Did you mean learning_rate?"),
        ("training.num-train-epochs", 3, "Did you mean epochs?"),
        ("training.precision", "bf16-mixed", "Did you mean bf16?"),
        ("training.optimizer", "AdamW", "Did you mean adamw?"),
        ("study.metric", "f1", "Did you mean f1_macro?"),
        ("study.n_trials", 4, "Did you mean trials?"),
        ("search.space.lr", [1e-4, 1e-3], "Write learning_rate instead."),
        ("training.learning_rat", 1e-4, "Did you mean learning_rate?"),
    ],
)
def test_what_others_call_a_key_or_a_name_is_understood(
    tmp_path: Path, key: str, value: object, hint: str
) -> None:
    study = tmp_path / "mine.toml"
    study.write_text("")
    with pytest.raises(HpoError) as caught:
        read_study(study, {key: value})
    assert str(caught.value).endswith(hint)


def test_a_synonym_of_what_is_not_known_there_is_none() -> None:
    assert meant("lr", ["momentum", "dropout"]) is None
