"""Every key of a study file as the command line sets it: whatever the file has, the way to the key leads on."""

from __future__ import annotations

import tomllib

import pytest

from hpo.spec.overrides import overridden, parse_setting
from hpo.spec.reference import study_keys
from hpo.spec.registries import PRUNERS, SAMPLERS
from hpo.spec.study_file import find_study_file

KEYS = [f"{key.section}.{key.name}" for key in study_keys()]
FILES = ("", *(find_study_file(name).read_text() for name in ("quickstart", "everything")))
WORDS = [f"search.sampler={name}" for name in SAMPLERS] + [
    f"search.pruner={name}" for name in PRUNERS
]


@pytest.mark.parametrize("file", FILES, ids=("none", "quickstart", "everything"))
@pytest.mark.parametrize("key", [*KEYS, "search.sampler.name", "search.pruner.name"])
def test_a_key_is_set_over_any_file(key: str, file: str) -> None:
    document = overridden(tomllib.loads(file), dict([parse_setting(f"{key}=here")]))
    for name in key.split(".")[:2]:
        document = document[name]
    assert "here" in str(document)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_the_name_in_the_table_that_it_stands_for(word: str) -> None:
    named = dict([parse_setting(word)])
    [(key, value)] = named.items()
    inner = overridden(overridden({}, named), {f"{key}.option": 1})
    assert inner["search"][key.partition(".")[2]] == {"name": value, "option": 1}
