"""Any text wherever a command takes one: it goes on, or says in one line what is wrong, and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.commands.checked import checked
from tests.test_printable import TEXTS

PLACES = {
    "STUDY": ("{}",),
    "a path": ("./{}.toml",),
    "one too many": ("quickstart", "{}"),
    "an option": ("--{}",),
    **{
        option: (f"{option}={{}}",)
        for option in (
            *("--name", "--model", "--data", "--text-column", "--label-column", "--keep"),
            *("--trials", "--seed", "--max-train-examples", "--set", "--storage", "--tracking-uri"),
        )
    },
    "a key": ("--set=training.{}=1",),
    "a value": ("--set=study.metric={}",),
    "a table": ("--set=search.space={{ {} = [1] }}",),
}
VARIABLES = ("HPO_CACHE", "HPO_STATE", "HPO_STORAGE", "HPO_LOG", "HPO_CACHE_LIMIT")
FOLDER = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in (*VARIABLES, "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))


@FOLDER
@given(st.sampled_from(sorted(PLACES)), TEXTS)
@example("STUDY", "a\nb")
@example("--model", "a\x00b")
@example("a path", "\x1b[31m")
@example("a path", "x" * 300)
@example("--name", "..")
@example("an option", "\u202eb")
def test_any_text_of_an_option(place: str, text: str) -> None:
    if place == "an option" and text in ("", "help"):
        return
    checked(*(argument.format(text) for argument in PLACES[place]))
    assert list(Path().iterdir()) == []


@FOLDER
@given(st.sampled_from(VARIABLES), TEXTS.filter(lambda text: "\0" not in text))
@example("HPO_STORAGE", "a\nb")
@example("HPO_CACHE", "a\x1bb")
@example("HPO_LOG", "\r")
@example("HPO_LOG", "BASIC_FORMAT")
def test_any_text_of_a_variable(variable: str, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, text)
        checked()
    assert list(Path().iterdir()) == []


@FOLDER
@given(
    st.one_of(TEXTS, TEXTS.map(lambda text: f"[study]\n{text} = 1"), TEXTS.map("a = '{}'".format))
)
@example('"\\u001b" = 1')
@example('[study]\nname = "\\u202e"')
@example('[study]\n"a\\nb" = 1')
def test_any_text_of_a_study_file(text: str) -> None:
    file = Path("it.toml")
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    try:
        checked("./it.toml")
        assert list(Path().iterdir()) == [file]
    finally:
        file.unlink()
