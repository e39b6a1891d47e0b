from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpo.errors import OptionError, StudyFileError
from hpo.options import STUDY_OPTIONS
from hpo.spec.space import Choice, FloatRange
from hpo.spec.study import DEFAULT_SPACE
from hpo.spec.study_errors import OPTION_OF_KEY
from hpo.spec.study_file import (
    find_study_file,
    read_study,
    search_space,
)
from tests.spec.reading import FOUR, MANY_WAYS, read, refusal


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
        error = refusal("[data]\nsource = 'demo'", {"data.source.path": True})
        assert isinstance(error, OptionError)
        assert "source = 'demo'" in error.found

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
