"""What a program says of a study is read as a study file is, and refused in the same words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

import hpo
from hpo.api.settings import spec_of
from hpo.api.tables import kept_tables
from hpo.model.predictor import Predictor

TABLE = pd.DataFrame({"text": ["a joy", "dull", None], "label": [1, 0, 1]})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_keywords_are_what_a_study_file_says() -> None:
    spec = spec_of(
        None,
        Path("reviews.csv"),
        {
            "space": {"learning_rate": {"low": np.float64(1e-5), "high": 1e-3}, "epochs": (1, 2)},
            "metric": "f1_macro",
            "trials": 7,
            "text_column": "review",
            "settings": {"training.batch_size": np.int64(8)},
        },
    )
    assert spec.name == "reviews-demo"
    assert spec.data.source == "reviews.csv"
    assert spec.data.text == "review"
    assert spec.search.space["epochs"] == [1, 2]
    assert (spec.study.metric, spec.study.trials, spec.training.batch_size) == ("f1_macro", 7, 8)


def unloaded() -> hpo.Model:
    def load() -> Predictor:
        raise AssertionError("loaded before what is asked of it was looked at")

    return hpo.Model("models:/a/1", load)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: hpo.Study(trails=3), "trails: found an unknown keyword"),  # type: ignore[call-arg]
        (lambda: hpo.Study(trials=0), "trials: found 0"),
        (lambda: hpo.Study(metric="acuracy"), "Did you mean accuracy?"),
        (lambda: hpo.Study(space={"epoch": [1]}), "search.space.epoch"),
        (lambda: hpo.Study(seed=2**70), "found a whole number of more than 64 bits"),
        (lambda: hpo.Study([1, 2]), "data: found a value of type list"),
        (lambda: hpo.Study({}), "data: found an empty mapping"),
        (lambda: hpo.Study(pd.DataFrame({"text": []})), "data: found a table without rows"),
        (lambda: hpo.Study({"a/b": TABLE}), "data: found a split 'a/b'"),
        (lambda: hpo.Study(pd.concat([TABLE, TABLE], axis=1)), "found two columns 'text'"),
        (lambda: hpo.Study(TABLE.assign(text=[1, "a", b"b"])), "a table that Arrow cannot hold"),
        (lambda: hpo.Study.from_file("quikstart"), "quikstart: found no study of this name"),
        (lambda: hpo.Study.open("quickstart"), "found no study quickstart"),
        (lambda: hpo.Study().champion, "study study: found no champion"),
        (lambda: hpo.Study().test_score, "study study: found no champion"),
        (lambda: hpo.Study().report(), "found no study study"),
        (lambda: hpo.Study().ensemble(), "found no study study"),
        (lambda: hpo.Study().run(workers=0), "workers: found '0'"),
        (lambda: hpo.Study().run(trials=0), "trials: found '0'"),
        (lambda: hpo.Study().run(timeout="soon"), "timeout: found 'soon'"),
        (lambda: hpo.Study("nowhere.csv").run(workers=1), "nowhere.csv: found no such file"),
        (lambda: unloaded().predict(TABLE), "texts: found a value of type DataFrame"),
        (lambda: unloaded().predict("a", top=0), "top: found '0'"),
        (lambda: unloaded().predict("a", threshold=1.5), "threshold: found 1.5"),
        (lambda: hpo.load_model("nowhere"), "nowhere: found no such folder"),
        (lambda: hpo.load_model("models:/a/1"), "models:/a/1: found no MLflow store"),
    ],
)
def test_what_is_wrong_is_said_as_the_commands_say_it(
    make: Callable[[], Any], words: str, folder: Path
) -> None:
    with pytest.raises(hpo.HpoError) as raised:
        make()
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not [path for path in folder.rglob("*") if path.suffix in (".db", ".parquet", ".html")]


def test_equal_tables_have_one_name_and_others_another() -> None:
    def name_of(data: object) -> str:
        kept = kept_tables(data, Path(".hpo"))
        assert kept is not None
        return kept.path.as_posix()

    name = name_of(TABLE)
    assert name.startswith(".hpo/data/dataframe-")
    assert name_of(TABLE.copy().set_index(pd.Index([5, 7, 9]))) == name
    assert name_of(TABLE.astype({"text": "string", "label": "int16"})) == name
    assert name_of(TABLE.iloc[::-1]) != name
    assert name_of(TABLE.rename(columns={"text": "review"})) != name
    assert name_of(TABLE.assign(label=["1", "0", "1"])) != name
    assert name_of({"train": TABLE}) != name_of({"test": TABLE})


def test_names_of_classes_stay_with_a_dataset(folder: Path) -> None:
    from hpo.data.files import read_file

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    data = datasets.Dataset.from_dict(
        {"text": ["a joy", "dull"], "label": [1, 0]}, features=features
    )
    one = kept_tables(data.select([1]), folder)
    several = kept_tables(datasets.DatasetDict({"train": data, "test": data}), folder)
    assert one is not None
    assert several is not None
    for kept in (one, several, several):
        kept.write()
    table = read_file(one.path)
    assert table.column("text") == ["dull"]
    assert table.class_names == {"label": ("bad", "good")}
    assert sorted(path.name for path in several.path.iterdir()) == [
        "test.parquet",
        "train.parquet",
    ]
