"""Study files and places that are nearly right: each is taken, or told in one line, and nothing is written."""

from __future__ import annotations

import copy
import datetime
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hpo.spec.study_file import find_study_file
from tests.commands.checked import checked
from tests.test_printable import NASTY

BASES = ("quickstart", "everything", "imdb", "csv-example", "multilabel-example")
MUTATED = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_TEXTS = st.text(NASTY | st.characters(exclude_categories=["Cs"]), max_size=12)
_NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1e-320, 1e308, float("nan"), float("inf"), 10**18]),
)
_DATES = st.sampled_from([datetime.date(2020, 2, 29), datetime.time(1, 2), datetime.datetime.max])
VALUES = st.recursive(
    st.one_of(st.booleans(), _NUMBERS, _TEXTS, _DATES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in (
        "HPO_STATE",
        "HPO_STORAGE",
        "HPO_LOG",
        "HPO_CACHE_LIMIT",
        "MLFLOW_TRACKING_URI",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))


def study_of(name: str) -> dict[str, Any]:
    return tomllib.loads(find_study_file(name).read_text(encoding="utf-8"))


def paths(document: dict[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of every table, tables themselves included."""
    for key, value in document.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from paths(value, (*before, key))


@st.composite
def mutated_studies(draw: st.DrawFn) -> dict[str, Any]:
    """A study of the package with one to three of its keys lost, renamed, moved or given another value."""
    document = copy.deepcopy(study_of(draw(st.sampled_from(BASES))))
    for _ in range(draw(st.integers(1, 3))):
        known = sorted(paths(document))
        if not known:
            break
        *tables, key = draw(st.sampled_from(known))
        table = document
        for name in tables:
            table = table[name]
        value = table.pop(key)
        match draw(st.sampled_from(["another value", "another name", "another place", "no more"])):
            case "another value":
                table[key] = draw(VALUES)
            case "another name":
                table[key + draw(_TEXTS)] = value
            case "another place":
                document[key] = value
    return document


@MUTATED
@given(mutated_studies())
def test_a_study_file_that_is_nearly_right(document: dict[str, Any]) -> None:
    file = Path("it.toml")
    file.write_text(tomli_w.dumps(document), encoding="utf-8")
    try:
        checked("it.toml")
        assert list(Path().iterdir()) == [file]
    finally:
        file.unlink()


@MUTATED
@given(st.data())
def test_an_option_of_a_study_that_is_nearly_right(data: st.DataObject) -> None:
    base = data.draw(st.sampled_from(BASES))
    key = data.draw(st.sampled_from(sorted(".".join(path) for path in paths(study_of(base)))))
    value = data.draw(VALUES)
    # As a person would write the value after the sign: the one key of a document of its own.
    written = tomli_w.dumps({"it": value}).removeprefix("it = ").rstrip("\n")
    checked(base, "--set", f"{key}={written}")
    assert list(Path().iterdir()) == []


_SCHEMES = st.sampled_from(
    [
        *(
            "",
            "sqlite",
            "sqlite+pysqlite",
            "SQLITE",
            "postgresql",
            "postgresql+psycopg",
            "postgres",
        ),
        *("mysql", "http", "https", "file", "ftp", "s3", "models", "databricks"),
    ]
)
_PARTS = st.sampled_from(
    ["", "a", "..", "%2e%2e", "%00", "%zz", " ", "[", "]", "é", "x" * 300, "\\"]
)
_PORTS = st.sampled_from(["", ":", ":0", ":1", ":-1", ":65536", ":99999999999", ":x", ":١"])
_HOSTS = st.sampled_from(["", "127.0.0.1", "[::1]", "[::1", "[", "..", "a..b", "-", "localhost."])


@st.composite
def urls(draw: st.DrawFn) -> str:
    """What looks like the URL of a database or a server, and hardly ever is one."""
    user = draw(st.sampled_from(["", "u@", "u:p@", ":@", "@", "u:p@q@", "%40:%@"]))
    slashes = draw(st.sampled_from(["//", "///", "////", "/", ":", ""]))
    path = "/".join(draw(st.lists(_PARTS, max_size=3)))
    query = draw(st.sampled_from(["", "?", "?a", "?options=-c", "?host=/x&host=/y", "?a=%", "#b"]))
    scheme = draw(_SCHEMES)
    return f"{scheme}:{slashes}{user}{draw(_HOSTS)}{draw(_PORTS)}/{path}{query}"


@MUTATED
@given(st.sampled_from(["--storage", "--tracking-uri"]), urls())
@example("--storage", "postgresql://u:p@q@h/d")
@example("--tracking-uri", "http://[")
def test_a_place_that_is_nearly_right(option: str, url: str) -> None:
    checked(f"{option}={url}")
    assert list(Path().iterdir()) == []
