"""Reading study files: what is taken, what goes over what, and one clear error for the rest."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.errors import OptionError, StudyFileError
from hpo.spec.names import why_no_name
from hpo.spec.overrides import parse_setting
from hpo.spec.space import Choice, FloatRange, IntRange
from hpo.spec.study import StudySpec
from hpo.spec.study_file import (
    find_study_file,
    known_studies,
    read_study,
    search_space,
    study_toml,
)
from tests.spec.reading import FOUR, MANY_WAYS, read


class TestReading:
    def test_an_empty_file_is_a_study_of_the_defaults_named_after_it(self) -> None:
        spec = read("", name="mine")
        assert spec.name == "mine"
        assert spec.study.model_copy(update={"name": None}) == StudySpec().study
        assert set(search_space(spec)) == FOUR

    def test_the_space_may_be_written_in_every_way(self) -> None:
        assert search_space(read(MANY_WAYS)) == {
            "learning_rate": FloatRange(1e-6, 1e-3, log=True),
            "batch_size": Choice((8, 16)),
            "epochs": IntRange(2, 6, step=2),
            "freeze_depth": IntRange(1, None),
            "dropout": FloatRange(0.0, 0.3, step=0.1),
            "schedule": Choice(("cosine", "constant")),
        }

    def test_a_file_with_a_space_searches_nothing_else(self) -> None:
        assert set(search_space(read("[search.space]\nweight_decay = [0.5, 0.9]"))) == {
            "weight_decay"
        }

    def test_what_a_file_without_a_space_fixes_is_not_searched(self) -> None:
        spec = read("[training]\nepochs = 2\nweight_decay = 0.5")
        assert set(search_space(spec)) == FOUR - {"epochs"}
        assert spec.training.epochs == 2

    @pytest.mark.parametrize(
        ("name", "study"), [("my study", "my-study"), ("a:b", "a-b"), ("v1.2", "v1.2")]
    )
    def test_a_file_name_becomes_a_study_name_that_is_allowed(self, name: str, study: str) -> None:
        assert read("", name=name).name == study


class TestNames:
    @pytest.mark.parametrize(
        ("overrides", "name"),
        [
            ({}, "imdb"),
            ({"study.trials": 3}, "imdb"),
            ({"data.source": "stanfordnlp/imdb"}, "imdb"),
            ({"model.name": "gpt2"}, "imdb"),
            ({"model.name": "distilgpt2"}, "imdb-distilgpt2"),
            (
                {"model.name": "uer/gpt2-chinese-cluecorpussmall"},
                "imdb-gpt2-chinese-cluecorpussmall",
            ),
            ({"data.source": "fancyzhx/ag_news"}, "ag_news-gpt2"),
            ({"data.source": "some folder/my reviews.csv"}, "my-reviews-gpt2"),
            ({"data.source": "data/trec/"}, "trec-gpt2"),
            ({"data.source": "data/v1.2"}, "v1.2-gpt2"),
            ({"data.source": "a.parquet", "model.name": "../models/tiny"}, "a-tiny"),
            ({"data.source": "demo", "model.name": "demo"}, "imdb-demo-demo"),
            ({"data.source": "a.csv", "study.name": "mine"}, "mine"),
        ],
    )
    def test_a_study_with_other_data_or_another_model_has_a_name_of_its_own(
        self, overrides: dict[str, object], name: str
    ) -> None:
        file = "[data]\nsource = 'stanfordnlp/imdb'\n[model]\nname = 'gpt2'"
        assert read(file, overrides, name="imdb").name == name

    def test_the_folder_that_one_is_in_has_a_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "reviews" / "raw").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "reviews" / "raw")
        assert read("", {"data.source": "."}).name == "raw-demo"
        assert read("", {"data.source": ".."}).name == "reviews-demo"

    @given(st.text(string.printable, min_size=1))
    @settings(max_examples=50)
    def test_a_derived_name_is_one_that_a_file_could_have(self, source: str) -> None:
        name = read("", {"data.source": source}).name
        assert read(f"[study]\nname = '{name}'").name == name


class TestFinding:
    def test_a_name_is_found_in_the_package_from_any_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert find_study_file("quickstart").name == "quickstart.toml"

    def test_the_studies_here_come_before_those_of_the_package(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "studies").mkdir()
        (tmp_path / "studies" / "quickstart.toml").touch()
        monkeypatch.chdir(tmp_path)
        assert find_study_file("quickstart") == Path("studies/quickstart.toml")

    def test_a_path_is_taken_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.touch()
        assert find_study_file(str(path)) == path

    def test_a_path_below_the_home_folder_is_found(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "mine.toml").touch()
        monkeypatch.setenv("HOME", str(tmp_path))
        assert find_study_file("~/mine.toml") == tmp_path / "mine.toml"

    @pytest.mark.parametrize(
        "study", ["~no-such-user/mine.toml", "x" * 300, "./" + "x" * 300, "x" * 300 + ".toml"]
    )
    def test_a_path_that_the_system_will_not_look_up_is_told(self, study: str) -> None:
        with pytest.raises(StudyFileError, match="quickstart") as caught:
            find_study_file(study)
        assert caught.value.place == study

    @pytest.mark.parametrize("study", ["quickstrat", "./quickstart", "quickstrat.toml"])
    def test_a_study_that_is_not_there_is_told_with_those_that_are(self, study: str) -> None:
        with pytest.raises(StudyFileError, match="quickstart") as caught:
            find_study_file(study)
        assert caught.value.place == study

    def test_a_file_of_a_name_without_its_suffix_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("regularise.toml").write_text("")
        with pytest.raises(StudyFileError) as caught:
            find_study_file("regularise")
        assert "found no study of this name, but a file regularise.toml" in str(caught.value)
        assert str(caught.value).endswith("Write regularise.toml instead.")

    @pytest.mark.parametrize("name", ["quickstart", "imdb", "sst2", "agnews", "csv-example"])
    def test_every_study_of_the_package_can_be_read(self, name: str) -> None:
        assert name in known_studies()
        assert search_space(read_study(find_study_file(name)))

    def test_no_two_studies_of_the_package_share_a_name(self) -> None:
        names = [read_study(find_study_file(name)).name for name in known_studies()]
        assert len(set(names)) == len(names)


class TestSettings:
    @pytest.mark.parametrize(
        ("setting", "key", "value"),
        [
            ("training.epochs=2", "training.epochs", 2),
            ("training.learning_rate = 1e-4", "training.learning_rate", 1e-4),
            ("study.metric=mcc", "study.metric", "mcc"),
            ("study.metric='mcc'", "study.metric", "mcc"),
            ("study.description=two words", "study.description", "two words"),
            ("data.source=a=b.csv", "data.source", "a=b.csv"),
            ("data.source=", "data.source", ""),
            ("data.text=1\nx=2", "data.text", "1\nx=2"),
            ("search.space.epochs=[1, 2]", "search.space.epochs", [1, 2]),
            (
                "search.space.epochs={ low = 1, high = 2 }",
                "search.space.epochs",
                {"low": 1, "high": 2},
            ),
        ],
    )
    def test_a_setting_is_a_key_and_a_value(self, setting: str, key: str, value: object) -> None:
        assert parse_setting(setting) == (key, value)

    @pytest.mark.parametrize(
        "setting", ["", "training.epochs", "=2", "a b=2", ".a=2", "a.=2", "a..b=2", "a-b=2", "1=2"]
    )
    def test_another_setting_is_refused(self, setting: str) -> None:
        with pytest.raises(OptionError, match=r"^--set: .*key=value"):
            parse_setting(setting)


entries: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "learning_rate": st.one_of(
            st.just({"low": 1e-6, "high": 1e-3, "log": True}),
            st.lists(st.floats(1e-7, 1), min_size=1, max_size=3, unique=True),
        ),
        "batch_size": st.lists(st.integers(1, 64), min_size=1, max_size=3, unique=True),
        "epochs": st.just({"low": 1, "high": 9, "step": 2}),
        "freeze_depth": st.just({"low": 0, "high": "n_layer"}),
        "schedule": st.just(["linear", "constant"]),
    },
).filter(bool)

documents: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "study": st.fixed_dictionaries(
            {
                "name": st.text("abc -.é😀", min_size=1)
                .filter(lambda name: name[0] != " ")
                .filter(lambda name: why_no_name(name) is None)
            },
            optional={
                "description": st.text(st.characters(exclude_categories=["Cs"])),
                "metric": st.sampled_from(["accuracy", "log_loss"]),
                "seed": st.integers(0, 2**32 - 1),
            },
        ),
        "search": st.fixed_dictionaries(
            {"space": entries},
            optional={
                "sampler": st.sampled_from(["gp", {"name": "tpe", "group": False}]),
                "pruner": st.sampled_from(["none", {"name": "percentile", "percentile": 12.5}]),
            },
        ),
    },
    optional={
        "data": st.fixed_dictionaries(
            {},
            optional={
                "source": st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
                "max_length": st.integers(1, 1024),
                "test_fraction": st.floats(0.01, 0.5),
            },
        ),
        "training": st.fixed_dictionaries(
            {}, optional={"dropout": st.floats(0, 0.9), "weight_decay": st.floats(0, 0.9)}
        ),
    },
)


@given(documents)
@settings(max_examples=60, deadline=None)
def test_a_study_written_as_a_file_and_read_again_is_the_same_study(
    document: dict[str, Any],
) -> None:
    import tomli_w

    spec = read(tomli_w.dumps(document))
    assert read(study_toml(spec)) == spec


@pytest.mark.parametrize("name", ["quickstart", "imdb", "sst2", "agnews", "csv-example"])
def test_a_study_of_the_package_written_out_is_the_same_study(name: str) -> None:
    spec = read_study(find_study_file(name))
    assert read(study_toml(spec)) == spec
