"""Reading study files: what is taken, what goes over what, and one clear error for the rest."""

from __future__ import annotations

import os
import string
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.errors import HpoError, OptionError, StudyFileError
from hpo.options import STUDY_OPTIONS
from hpo.spec.names import why_no_name
from hpo.spec.overrides import parse_setting
from hpo.spec.space import Choice, FloatRange, IntRange
from hpo.spec.study import DEFAULT_SPACE, StudySpec
from hpo.spec.study_errors import OPTION_OF_KEY
from hpo.spec.study_file import (
    find_study_file,
    known_studies,
    read_study,
    search_space,
    study_toml,
)

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


class TestOverrides:
    def test_options_go_over_the_file(self) -> None:
        spec = read("[study]\ntrials = 5\nseed = 1", {"study.trials": 9})
        assert (spec.study.trials, spec.study.seed) == (9, 1)

    def test_fixing_an_option_takes_it_out_of_the_files_space(self) -> None:
        spec = read(MANY_WAYS, {"training.epochs": 2, "training.schedule": "linear"})
        assert (spec.training.epochs, spec.training.schedule) == (2, "linear")
        assert not {"epochs", "schedule"} & search_space(spec).keys()

    def test_fixing_an_option_takes_it_out_of_the_usual_space(self) -> None:
        spec = read("", {"training.epochs": 2})
        assert set(search_space(spec)) == FOUR - {"epochs"}

    def test_searching_an_option_takes_it_out_of_what_the_file_fixes(self) -> None:
        spec = read(MANY_WAYS, {"search.space.weight_decay": [0.0, 0.1]})
        assert search_space(spec)["weight_decay"] == Choice((0.0, 0.1))
        assert search_space(spec).keys() > {"dropout"}
        assert spec.training.weight_decay == 0.01, "the default, for a fixed value means nothing"

    def test_searching_an_option_adds_it_to_the_usual_space(self) -> None:
        spec = read("[training]\nepochs = 2", {"search.space.weight_decay": [0.5, 0.9]})
        assert set(search_space(spec)) == (FOUR - {"epochs"}) | {"weight_decay"}

    def test_one_end_of_a_usual_range_can_be_moved(self) -> None:
        spec = read("", {"search.space.learning_rate.high": 1e-2})
        assert search_space(spec)["learning_rate"] == FloatRange(1e-6, 1e-2, log=True)
        assert set(search_space(spec)) == FOUR
        assert DEFAULT_SPACE["learning_rate"]["high"] == 1e-3

    def test_a_whole_space_can_be_set(self) -> None:
        spec = read(MANY_WAYS, {"search.space": {"weight_decay": [0.5]}})
        assert set(search_space(spec)) == {"weight_decay"}

    def test_an_option_of_the_sampler_can_be_set(self) -> None:
        spec = read(MANY_WAYS, {"search.sampler.n_startup_trials": 9})
        assert spec.search.sampler.options == {"n_startup_trials": 9}

    def test_what_is_set_below_a_value_is_refused_with_the_value(self) -> None:
        error = refusal("[search]\nsampler = 'tpe'", {"search.sampler.group": True})
        assert isinstance(error, OptionError)
        assert "sampler = 'tpe'" in error.found

    @pytest.mark.parametrize(
        ("key", "value", "place"),
        [
            ("study.trials", 0, "--trials"),
            ("study.name", "a/b", "--name"),
            ("data.max_train_examples", -1, "--max-train-examples"),
            ("tracking.keep", "some", "--keep"),
            ("training.epochs", "many", "--set training.epochs"),
            ("training.epoch", 1, "--set training.epoch"),
            ("search.space.epochs", [0], "--set search.space.epochs"),
            ("search.space.epochs", {"low": 3, "high": 1}, "--set search.space.epochs"),
            ("search.space", {}, "--set search.space"),
            ("nowhere.key", 1, "--set nowhere.key"),
            ("study", 3, "--set study"),
            ("search", 3, "--set search"),
            ("search.space", [1], "--set search.space"),
        ],
    )
    def test_a_wrong_override_is_blamed_on_its_option(
        self, key: str, value: object, place: str
    ) -> None:
        error = refusal("", {key: value})
        assert isinstance(error, OptionError)
        assert error.place == place

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("search.space", {"early_stopping": [1]}),
            ("search", {"space": {"early_stopping": [1]}}),
            ("search.space.early_stopping", [1]),
        ],
    )
    def test_an_option_that_cannot_be_searched_is_not_said_to_be_fixed_and_searched(
        self, key: str, value: object
    ) -> None:
        error = refusal("[training]\nearly_stopping = 3", {key: value})
        assert isinstance(error, OptionError)
        place = f"--set {key}"
        assert error.place in (place, f"{place}: search.space.early_stopping")
        assert error.found == "an option that cannot be searched"
        assert "under [training]" in error.hint

    @pytest.mark.parametrize(
        ("key", "value"), [("training.epochs", 2), ("training", {"epochs": 2, "weight_decay": 0.5})]
    )
    @pytest.mark.parametrize("file", ["", "[search.space]\nepochs = [1, 3]\nbatch_size = [8, 16]"])
    def test_options_that_are_fixed_by_a_whole_table_leave_the_search_space(
        self, file: str, key: str, value: object
    ) -> None:
        spec = read(file, {key: value})
        assert "epochs" not in spec.search.space
        assert spec.training.epochs == 2

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("search.space", {"epochs": [1, 2]}),
            ("search", {"sampler": "random", "space": {"epochs": [1, 2]}}),
        ],
    )
    def test_options_that_are_searched_by_a_whole_table_are_not_fixed_any_more(
        self, key: str, value: object
    ) -> None:
        overrides = {key: value}
        spec = read("[training]\nepochs = 2\nweight_decay = 0.5", overrides)
        assert search_space(spec) == {"epochs": Choice((1, 2))}
        assert spec.training.weight_decay == 0.5

    def test_what_is_set_is_not_changed_by_what_is_set_after_it(self) -> None:
        overrides: dict[str, object] = {
            "search.space": {"epochs": [1, 2], "weight_decay": [0.1, 0.2]},
            "training.epochs": 2,
        }
        spec = read("", overrides)
        assert set(spec.search.space) == {"weight_decay"}
        assert overrides["search.space"] == {"epochs": [1, 2], "weight_decay": [0.1, 0.2]}

    @pytest.mark.parametrize("file", ["search = 3", "search.space = 3", "training = 3", "[data]"])
    @pytest.mark.parametrize("key", ["training.epochs", "search.space.epochs"])
    def test_an_override_over_a_broken_file_leaves_the_fault_with_the_file(
        self, file: str, key: str
    ) -> None:
        if file == "[data]":
            read(file, {key: [2] if "space" in key else 2})
        else:
            refusal(file, {key: [2] if "space" in key else 2})

    def test_every_option_of_the_commands_has_its_name_in_errors(self) -> None:
        named = {key: f"--{option.replace('_', '-')}" for option, key in STUDY_OPTIONS.items()}
        assert named == OPTION_OF_KEY


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


class TestFaults:
    @pytest.mark.parametrize(
        ("text", "place", "words"),
        [
            ("[study]\ntrials = 'many'", "study.trials", ["'many'", "a valid integer"]),
            ("[study]\ntrials = 0", "study.trials", ["0", "greater than or equal to 1"]),
            ("[study]\ntrails = 5", "study.trails", ["unknown key", "Did you mean trials?"]),
            ("[study]\nzzz = 5", "study.zzz", ["unknown key", "Remove it."]),
            ("[study]\nmetric = 'acuracy'", "study.metric", ["Did you mean accuracy?"]),
            ("[study]\nmetric = 'zzz'", "study.metric", ["one of accuracy", "one of those"]),
            ("[study]\nname = 'a/b'", "study.name", ["a name without / :"]),
            ("[study]\nname = ''", "study.name", ["some text"]),
            ("[study]\nseed = -1", "study.seed", ["-1"]),
            ("[sutdy]\ntrials = 5", "sutdy", ["Did you mean study?"]),
            ("study = 5", "study", ["5", "a table", "[study]"]),
            ("[data]\nsource = ''", "data.source", ["some text"]),
            ("[data]\nvalidation_fraction = 1.0", "data.validation_fraction", ["less than 0.9"]),
            ("[data]\nmax_length = 0", "data.max_length", ["0"]),
            ("[model]\nname = 5", "model.name", ["5", "a valid string"]),
            ("[search]\nsampler = 'tpa'", "search.sampler.name", ["Did you mean tpe?"]),
            (
                "[search]\nsampler = { group = true }",
                "search.sampler.name",
                ["nothing", "Add name"],
            ),
            ("[search]\npruner = 5", "search.pruner", ["5", "a table"]),
            ("[search]\nspace = 5", "search.space", ["5", "a table"]),
            ("[search.space]", "search.space", ["empty", "at least one option"]),
            ("[search.space]\nepoch = [1]", "search.space.epoch", ["Write epochs instead"]),
            ("[search.space]\nepochs = 3", "search.space.epochs", ["[training]"]),
            (
                "[search.space]\nprecision = ['fp32', 'bf16']\n[training]\nprecision = 'fp32'",
                "search.space.precision",
                ["cannot be searched", "under [training]"],
            ),
            ("[search.space]\nepochs = [0]", "search.space.epochs[0]", ["0"]),
            (
                "[search.space]\nlearning_rate = { low = 0, high = 1, log = true }",
                "search.space.learning_rate.low",
                ["logarithm"],
            ),
            (
                "[search.space]\nepochs = [1]\n[training]\nepochs = 2",
                "training.epochs",
                ["fixed here and searched", "one of the two"],
            ),
            ("[training]\nepochs = 2.5", "training.epochs", ["2.5"]),
            ("[training]\nlearning_rate = nan", "training.learning_rate", ["nan"]),
            (
                "[training]\nprecision = 'fp16'",
                "training.precision",
                ["'fp16'", "auto, fp32, bf16"],
            ),
            ("[tracking]\nkeep = 'top:0'", "tracking.keep", ["top:K"]),
        ],
    )
    def test_a_wrong_file_is_told_in_one_line(
        self, text: str, place: str, words: list[str]
    ) -> None:
        error = refusal(text)
        assert isinstance(error, StudyFileError)
        assert error.place.endswith(f"file.toml: {place}")
        assert all(word in str(error) for word in words), str(error)
        assert "\n" not in str(error)

    def test_broken_toml_is_told_with_its_line(self) -> None:
        assert "line 2" in refusal("[study]\ntrials = = 3").found

    def test_a_byte_order_mark_is_passed_over(self, tmp_path: Path) -> None:
        path = tmp_path / "windows.toml"
        path.write_text("[study]\ntrials = 7", encoding="utf-8-sig")
        assert read_study(path).study.trials == 7

    def test_bytes_that_are_no_text_are_told(self, tmp_path: Path) -> None:
        path = tmp_path / "binary.toml"
        path.write_bytes(b"[study]\nname = '\xff'")
        with pytest.raises(StudyFileError, match="not UTF-8"):
            read_study(path)

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
    def test_a_file_that_cannot_be_read_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "secret.toml"
        path.touch(mode=0o000)
        with pytest.raises(StudyFileError, match="readable"):
            read_study(path)

    def test_a_folder_is_no_study_file(self, tmp_path: Path) -> None:
        with pytest.raises(StudyFileError, match="a folder"):
            find_study_file(str(tmp_path))


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
