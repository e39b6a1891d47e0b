"""Augmentation as a study file asks for it, on the demo's texts with the demo's tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.errors import DataError
from hpo.runtime.preparation import Prepared, prepare, trial_params
from hpo.spec.augment import RATES, AugmentOptions
from hpo.spec.locations import Locations
from hpo.training.loop import TrialTraining
from hpo.training.trial_data import StoredTexts
from tests.storages import SpecFactory
from tests.training.tiny_trial import finish

EXAMPLES = 64


@pytest.fixture
def locations(tmp_path: Path) -> Locations:
    return Locations("sqlite:///optuna.db", "sqlite:///mlflow.db", tmp_path, tmp_path, 10**9)


def prepared_with(
    make_spec: SpecFactory, locations: Locations, augment: dict[str, Any], space: Any = None
) -> Prepared:
    spec = make_spec(
        data__max_train_examples=EXAMPLES,
        training__augment=augment,
        training__epochs=2,
        space=space or {"learning_rate": [1e-3]},
    )
    return prepare(spec, locations)


def is_kept(prepared: Prepared) -> bool:
    assert prepared.context.variants is not None
    varied = prepared.context.variants.of(StoredTexts("train"), AugmentOptions(delete=0.1), 1)
    return varied.key(prepared.context.data) is not None


@pytest.mark.parametrize("rate", RATES)
def test_a_trial_of_a_study_reads_its_texts_varied_and_the_others_as_they_are(
    make_spec: SpecFactory, locations: Locations, rate: str
) -> None:
    prepared = prepared_with(make_spec, locations, {rate: 0.3})
    context, params = prepared.context, trial_params(prepared.spec, {"learning_rate": 1e-3})
    trial = TrialTraining(context, params, seed=0)
    first, second = (trial.stage.train_in(epoch) for epoch in (0, 1))
    decode = context.model.tokenizer.decode
    before, after = (
        [decode(run) for run in np.split(inputs.split.tokens, inputs.split.offsets[1:-1])]
        for inputs in (first, second)
    )
    assert before == [
        decode(context.model.tokenizer(text)["input_ids"]) for text in prepared.data.train.texts
    ]
    changed = sum(one != other for one, other in zip(before, after, strict=True))
    assert changed > EXAMPLES / 4
    assert all(after)
    np.testing.assert_array_equal(second.labels, prepared.data.train.labels)
    assert trial.validation_inputs.split is context.data.validation
    finish(trial)


def test_a_table_is_part_of_what_all_trials_must_share(
    make_spec: SpecFactory, locations: Locations, tmp_path: Path
) -> None:
    table = tmp_path / "synonyms.tsv"
    found = []
    for content in ("film\tmovie\n", "film\tpicture\n"):
        table.write_text(content)
        augment = {"replace": 0.3, "table": str(table)}
        found.append(prepared_with(make_spec, locations, augment))
    one, other = found
    assert one.fingerprints.model == other.fingerprints.model
    assert one.fingerprints.data != other.fingerprints.data
    plain = prepared_with(make_spec, locations, {"replace": 0.3})
    assert plain.fingerprints.data == plain.data.fingerprint == one.data.fingerprint


def test_variants_of_texts_that_are_clean_anyway_are_not_those_without_cleaning(
    make_spec: SpecFactory, locations: Locations, tmp_path: Path
) -> None:
    rows = ["text,label\n", *(f"film {n} was &amp;lt;b&amp;gt; long,{n % 2}\n" for n in range(40))]
    reviews, table = tmp_path / "reviews.csv", tmp_path / "synonyms.tsv"
    table.write_text("film\tMovie\n")
    found = {}
    for html, lowercase in ((False, False), (False, True), (True, False)):
        spec = make_spec(
            data__source=str(reviews),
            training__augment={"replace": 1.0, "table": str(table)},
            training__epochs=2,
            cleaning__html=html,
            cleaning__lowercase=lowercase,
        )
        reviews.write_text("".join(rows) if html else "".join(rows).replace("&amp;", "&"))
        context = prepare(spec, locations).context
        assert context.variants is not None
        varied = context.variants.of(StoredTexts("train"), AugmentOptions(replace=1.0), 1)
        runs = np.split(varied.varied.tokens, varied.varied.offsets[1:-1])
        found[html, lowercase] = context.data.fingerprint, varied.key(context.data), runs
        text = context.model.tokenizer.decode(runs[0])
        assert "&lt;b&gt;" in text
        assert ("movie" if lowercase else "Movie") in text
    assert len({data for data, _, _ in found.values()}) == 1
    assert len({key for _, key, _ in found.values()}) == 2


def test_a_table_that_cannot_be_read_is_told(make_spec: SpecFactory, locations: Locations) -> None:
    with pytest.raises(DataError, match=r"training\.augment\.table"):
        prepared_with(make_spec, locations, {"replace": 0.3, "table": "none.tsv"})


@pytest.mark.parametrize(
    ("searched", "kept"),
    [
        ({}, True),
        ({"augment.delete": [0.0, 0.1], "augment.swap": [0.0, 0.1]}, True),
        ({"augment.delete": {"low": 0.0, "high": 0.4, "step": 0.1}}, True),
        ({"augment.delete": {"low": 0.0, "high": 0.4}}, False),
        ({f"augment.{rate}": [0.0, 0.1] for rate in RATES}, False),
    ],
)
def test_hidden_states_of_variants_are_kept_where_trials_share_them(
    make_spec: SpecFactory, locations: Locations, searched: dict[str, Any], kept: bool
) -> None:
    space = {"learning_rate": [1e-3], **searched}
    assert is_kept(prepared_with(make_spec, locations, {}, space)) == kept
