"""Names become paths and keys that no two studies share, in bytes that file systems and MLflow take."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.errors import OptionError, StudyFileError
from hpo.spec.names import file_name, former_file_name, logged_name, model_name, why_no_name
from hpo.spec.study import MAX_NAME_CHARACTERS
from hpo.spec.study_file import read_study

# Names that are near one another: by case, by marks, by what is cut, by how accents are written.
MARKS = [
    "a",
    "A",
    "b",
    "_",
    "-",
    ".",
    " ",
    "?",
    "*",
    "'",
    '"',
    "%",
    "~",
    "é",
    "e\u0301",
    "研",
    "😀",
]
near = st.one_of(
    st.lists(st.sampled_from(MARKS), min_size=1, max_size=8).map("".join),
    st.builds(lambda stem, end: stem * 60 + end, st.sampled_from(MARKS), st.sampled_from(MARKS)),
    st.text(min_size=1, max_size=MAX_NAME_CHARACTERS),
)
names = near.filter(lambda name: why_no_name(name) is None)


@given(names, names)
@settings(max_examples=500)
def test_two_names_never_become_one(one: str, other: str) -> None:
    if one == other:
        return
    # Some file systems know neither case nor how an accent is written.
    folded = [unicodedata.normalize("NFC", file_name(each)).casefold() for each in (one, other)]
    assert folded[0] != folded[1]
    assert model_name(one) != model_name(other)
    assert logged_name(model_name(one)) != logged_name(model_name(other))


@given(st.text(min_size=1, max_size=MAX_NAME_CHARACTERS))
def test_what_a_name_becomes_is_bounded_in_bytes_and_free_of_what_is_refused(name: str) -> None:
    assert len(file_name(name).encode()) <= 100
    assert len(model_name(name).encode()) <= 200
    assert not set(file_name(name)) & set('/\\:?*"<>| \0')
    assert not set(model_name(name)) & set("/:@\0")
    assert not set(logged_name(model_name(name))) & set("/:.%\"'")
    for each in (file_name(name), model_name(name)):
        assert each.strip(" .") == each != ""


@given(st.from_regex(r"[a-z0-9_]([a-z0-9_.-]{0,70}[a-z0-9_-])?", fullmatch=True))
def test_a_name_that_needs_no_change_stays_as_it_is_and_as_it_was(name: str) -> None:
    assert file_name(name) == model_name(name) == former_file_name(name) == name


@given(names)
@settings(max_examples=60, deadline=None)
def test_the_file_system_takes_every_name(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    folder = tmp_path_factory.mktemp("names") / f"{file_name(name)}-0123456789ab"
    folder.mkdir()
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]


REFUSED = {
    ".": "only dots and spaces",
    "..": "only dots and spaces",
    ". .": "only dots and spaces",
    "a\0b": "a control character",
    "a\x1b[31m": "a control character",
    "a\x7f": "a control character",
    "a\u202eb": "turns the direction",
    "\u2066a\u2069": "turns the direction",
    "a\u2028b": "a line break",
    "\ufeffa": "shows nothing",
    "a\u200b": "shows nothing",
    "???": "without letter or digit",
    "-": "without letter or digit",
    "😀": "without letter or digit",
}


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_what_is_no_name_is_refused_in_the_file_and_on_the_command_line(
    name: str, tmp_path: Path
) -> None:
    file = tmp_path / "some.toml"
    escaped = "".join(f"\\U{ord(character):08X}" for character in name)
    file.write_text(f'[study]\nname = "{escaped}"\n', encoding="utf-8")
    with pytest.raises(StudyFileError, match=r"some\.toml: study\.name: found .*") as of_file:
        read_study(file)
    file.write_text("")
    with pytest.raises(OptionError, match="--name: found ") as of_option:
        read_study(file, {"study.name": name})
    assert REFUSED[name] in str(of_file.value)
    assert REFUSED[name] in str(of_option.value)


@pytest.mark.parametrize("file", ["...toml", "???.toml", "-.toml", "a\x07.toml", "a\u202e.toml"])
def test_the_name_that_a_file_gives_is_held_to_the_same(file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.write_text("")
    with pytest.raises(StudyFileError, match="a study is named after its file"):
        read_study(path)
    assert read_study(path, {"study.name": "mine"}).name == "mine"


def test_a_name_made_of_data_and_model_is_never_too_long(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text("")
    overrides = {"data.source": f"{'d' * 150}.csv", "model.name": "m" * 150}
    assert len(read_study(path, overrides).name) == MAX_NAME_CHARACTERS
