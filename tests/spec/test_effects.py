"""Settings that would do nothing: every key is decided, and refused where it is set for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from hpo.errors import HpoError, StudyFileError
from hpo.spec.effects import NEEDS, OneOf
from hpo.spec.reference import study_keys
from hpo.spec.registries import OPTIMIZERS
from hpo.spec.registry import MemberOf
from hpo.spec.study import StudySpec
from hpo.spec.study_file import known_studies, read_study, study_toml
from hpo.spec.training import TrialParams

DEMO_LACKS = (
    "a hub data set",
    "a hub model",
    "a rate of augmentation above 0",
    "augmentation by replaced or inserted words",
)
ANOTHER: dict[str, object] = {
    "data.config": "plain",
    "data.revision": "v1",
    "model.revision": "v1",
    "training.augment.variants": 2,
    "training.augment.table": "synonyms.tsv",
}
OF_SOME: dict[str, object] = {
    "momentum": 0.5,
    "nesterov": True,
    "beta1": 0.8,
    "beta2": 0.99,
    "epsilon": 1e-6,
    "polynomial_power": 3.0,
    "decay_ratio": 0.5,
    "plateau_patience": 5,
    "plateau_factor": 0.1,
    "unfreeze_epochs": 2.0,
}


def study(tmp_path: Path, toml: str) -> Path:
    path = tmp_path / "my.toml"
    path.write_text(toml)
    return path


def test_it_is_decided_of_every_key_what_it_needs() -> None:
    assert set(NEEDS) == {f"{key.section}.{key.name}" for key in study_keys()}


def test_every_key_that_the_demo_leaves_without_effect_is_tried_here() -> None:
    assert set(ANOTHER) == {key for key, need in NEEDS.items() if need in DEMO_LACKS}


@pytest.mark.parametrize("key", ANOTHER)
def test_a_setting_that_would_do_nothing_is_refused_in_file_and_option(
    tmp_path: Path, key: str
) -> None:
    section, _, name = key.partition(".")
    path = study(tmp_path, f"[{section}]\n{name} = {ANOTHER[key]!r}\n")
    for refused in (
        lambda: read_study(path),
        lambda: read_study(study(tmp_path, ""), {key: ANOTHER[key]}),
    ):
        path.write_text(f"[{section}]\n{name} = {ANOTHER[key]!r}\n")
        with pytest.raises(HpoError) as error:
            refused()
        assert key in error.value.place
        assert error.value.expected == f"{NEEDS[key]}, without which it does nothing"


def test_every_option_that_some_names_of_another_need_is_tried_here() -> None:
    needy = {key for key, need in NEEDS.items() if isinstance(need, OneOf)}
    assert needy == {f"training.{option}" for option in OF_SOME}


@pytest.mark.parametrize("option", OF_SOME)
def test_an_option_is_refused_where_no_name_reads_it(tmp_path: Path, option: str) -> None:
    need = NEEDS[f"training.{option}"]
    assert isinstance(need, OneOf)
    kind = TrialParams.model_fields[need.option]
    registries = [mark.registry for mark in kind.metadata if isinstance(mark, MemberOf)]
    overrides = {f"training.{option}": OF_SOME[option]}
    for member in registries[0] if registries else get_args(kind.annotation):
        chosen = study(tmp_path, f"[training]\n{need.option} = '{member}'\n")
        if member in need.names:
            read_study(chosen, overrides)
            continue
        with pytest.raises(HpoError) as error:
            read_study(chosen, overrides)
        assert error.value.found.endswith(f", but the {need.option} is {member}")
        assert error.value.expected == f"{need}, without which it does nothing"


def test_a_member_of_another_package_may_read_any_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OPTIMIZERS, "ours", ("adamw", "sgd"))
    read_study(study(tmp_path, "[training]\noptimizer = 'lion'\nmomentum = 0.5\n"))


def test_a_searched_option_that_does_nothing_is_refused(tmp_path: Path) -> None:
    path = study(tmp_path, "[search.space]\nmomentum = [0.5, 0.9]\nepochs = [1, 2]\n")
    with pytest.raises(StudyFileError, match=r"search\.space\.momentum: found a searched"):
        read_study(path)


@pytest.mark.parametrize(
    "toml",
    [
        "[training]\nepochs = 1\naugment.swap = 0.1\n",
        "[training]\naugment.swap = 0.1\n[search.space]\nepochs = [1]\n",
        "[search.space]\nepochs = { low = 1, high = 1 }\naugment.swap = [0.0, 0.1]\n",
    ],
)
def test_texts_that_are_read_but_once_are_never_varied(tmp_path: Path, toml: str) -> None:
    with pytest.raises(StudyFileError, match=r"augment\.swap: .*an epoch after the first"):
        read_study(study(tmp_path, toml))


@pytest.mark.parametrize(
    "toml",
    [
        "[training]\noptimizer = 'sgd'\nmomentum = 0.5\n",
        "[training]\nmomentum = 0.5\n[search.space]\noptimizer = ['adamw', 'sgd']\n",
        "[search.space]\noptimizer = ['adamw', 'sgd']\nmomentum = [0.5, 0.9]\n",
        "[training]\noptimizer = 'sgd'\n[search.space]\nmomentum = [0.5, 0.9]\n",
        "[training.augment]\ndelete = 0.1\nvariants = 2\n",
        "[training.augment]\ntable = 'synonyms.tsv'\n[search.space]\naugment.insert = [0.0, 0.1]\n",
    ],
)
def test_a_setting_that_some_trials_need_is_taken(tmp_path: Path, toml: str) -> None:
    read_study(study(tmp_path, toml))


@pytest.mark.parametrize(
    ("toml", "key", "why"),
    [
        ("[validation]\ngroup = 'author'\n", "validation.group", "validation.folds is 0"),
        ("[validation]\norder = 'date'\n", "validation.order", "validation.folds is 0"),
        (
            "[validation]\nfolds = 5\n[data]\nvalidation_fraction = 0.2\n",
            "data.validation_fraction",
            "validation.folds is 5",
        ),
        ("[validation]\nfolds = 5\n[tracking]\nkeep = 'best'\n", "tracking.keep", "is 5"),
        ("[validation]\nfolds = 5\n[confirm]\nvalidation = 'new'\n", "confirm.validation", "is 5"),
        ("[confirm]\nseeds = 0\nvalidation = 'same'\n", "confirm.validation", "seeds is 0"),
    ],
)
def test_what_folds_lack_or_need_is_refused(tmp_path: Path, toml: str, key: str, why: str) -> None:
    with pytest.raises(StudyFileError) as raised:
        read_study(study(tmp_path, toml))
    assert raised.value.place.endswith(key)
    assert why in raised.value.found
    assert raised.value.expected.startswith(NEEDS[key])


@pytest.mark.parametrize(
    ("toml", "key"),
    [
        ("[training]\nschedule = 'plateau'\n", "training.schedule"),
        ("[search.space]\nschedule = ['linear', 'plateau']\n", "search.space.schedule"),
    ],
)
def test_a_schedule_that_waits_for_validation_is_refused_with_folds(
    tmp_path: Path, toml: str, key: str
) -> None:
    read_study(study(tmp_path, toml))
    with pytest.raises(StudyFileError) as raised:
        read_study(study(tmp_path, f"{toml}[validation]\nfolds = 3\n"))
    assert raised.value.place.endswith(key)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("folds = 1", "0 for the validation split, or 2 folds or more"),
        ("folds = 101", "less than or equal to 100"),
        ("folds = 3\ngroup = 'author'\norder = 'date'", "folds go by one column"),
    ],
)
def test_folds_that_make_no_sense_are_refused(tmp_path: Path, toml: str, words: str) -> None:
    with pytest.raises(StudyFileError) as raised:
        read_study(study(tmp_path, f"[validation]\n{toml}\n"))
    assert words in raised.value.expected


@pytest.mark.parametrize("name", known_studies())
def test_a_study_with_every_default_written_out_is_read_again(tmp_path: Path, name: str) -> None:
    spec = read_study(known_studies()[name])
    assert read_study(study(tmp_path, study_toml(spec))) == spec


OF_ITS_OWN = """\
[study]
description = "About them."
[data]
source = "somebody/reviews"
config = "plain"
revision = "v1"
[model]
name = "somebody/gpt2"
revision = "v2"
"""


def told_of_sources(spec: StudySpec) -> tuple[object, ...]:
    return spec.study.description, spec.data.config, spec.data.revision, spec.model.revision


def test_what_a_file_says_of_its_data_and_model_is_not_said_of_others(tmp_path: Path) -> None:
    path = study(tmp_path, OF_ITS_OWN)
    assert told_of_sources(read_study(path)) == ("About them.", "plain", "v1", "v2")
    others = read_study(path, {"data.source": "mine.csv"})
    assert told_of_sources(others) == ("", None, None, "v2")
    others = read_study(path, {"model.name": "gpt2"})
    assert told_of_sources(others) == ("", "plain", "v1", None)
    named = {"data.source": "other/reviews", "data.revision": "v9", "study.description": "Mine."}
    assert told_of_sources(read_study(path, named)) == ("Mine.", None, "v9", "v2")
    same = read_study(path, {"data.source": "somebody/reviews"})
    assert told_of_sources(same) == ("About them.", "plain", "v1", "v2")


def test_no_key_but_the_description_takes_an_empty_text(tmp_path: Path) -> None:
    texts = [key for key in study_keys() if key.kind.startswith("text")]
    assert len(texts) > 8
    for key in texts:
        path = study(tmp_path, f"[{key.section}]\n{key.name} = ''\n")
        if key.name == "description":
            read_study(path)
            continue
        with pytest.raises(StudyFileError, match=f"{key.section}.{key.name}: found ''"):
            read_study(path)
