"""Where things are kept, and the small languages of sizes, durations and URLs."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import OptionError
from hpo.spec.locations import DEFAULT_DASHBOARD, Locations, dashboard_url, path_of
from hpo.spec.numbers import parse_duration, parse_size


def test_the_defaults_are_those_of_optuna_and_mlflow() -> None:
    places = Locations.of(environment={})
    assert places.storage_url == "sqlite:///optuna.db"
    assert places.tracking_uri == "sqlite:///mlflow.db"
    assert places.state == Path(".hpo")
    assert places.cache.name == "hpo"
    assert places.cache_limit == 20 * 10**9


def test_the_environment_goes_over_the_defaults() -> None:
    environment = {
        "HPO_STORAGE": "postgresql://host/hpo",
        "MLFLOW_TRACKING_URI": "http://host:5000",
        "HPO_STATE": "~/state",
        "HPO_CACHE": "~/cache",
        "HPO_CACHE_LIMIT": "500MB",
    }
    assert Locations.of(environment=environment) == Locations(
        storage_url="postgresql://host/hpo",
        tracking_uri="http://host:5000",
        state=Path.home() / "state",
        cache=Path.home() / "cache",
        cache_limit=500_000_000,
    )


def test_options_go_over_the_environment() -> None:
    environment = {"HPO_STORAGE": "sqlite:///a.db", "MLFLOW_TRACKING_URI": "sqlite:///b.db"}
    places = Locations.of(
        storage="sqlite:///c.db", tracking_uri="http://host", no_cache=True, environment=environment
    )
    assert places.storage_url == "sqlite:///c.db"
    assert places.tracking_uri == "http://host"
    assert places.cache_limit is None


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_variable_is_as_good_as_none(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("HPO_STORAGE", "MLFLOW_TRACKING_URI", "HPO_STATE", "HPO_CACHE", "HPO_CACHE_LIMIT")
    assert Locations.of(environment=dict.fromkeys(names, blank)) == Locations.of(environment={})
    monkeypatch.setenv("HPO_DASHBOARD_URL", blank)
    assert dashboard_url() == DEFAULT_DASHBOARD


def test_an_empty_variable_is_as_good_as_none() -> None:
    empty = dict.fromkeys(("HPO_STORAGE", "MLFLOW_TRACKING_URI", "HPO_STATE", "HPO_CACHE"), "")
    assert Locations.of(environment=empty) == Locations.of(environment={})


@pytest.mark.parametrize("variable", ["HPO_CACHE", "HPO_STATE"])
@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("~no-such-user/hpo", "the home folder of a user that there is not"),
        ("x" * 300, r"a path that cannot be looked up \(File name too long\)"),
    ],
)
def test_a_folder_that_the_system_will_not_look_up_names_its_variable(
    variable: str, folder: str, reason: str
) -> None:
    with pytest.raises(OptionError, match=rf"^{variable} \({folder}\): found {reason}"):
        Locations.of(environment={variable: folder})


def test_a_path_need_not_lead_to_anything(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "none", "none/none", "file/none"):
        assert path_of(str(tmp_path / name), _refused) == tmp_path / name


def test_a_folder_that_may_not_be_searched_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(OptionError, match=r"found a path .* \(Permission denied\)"):
        path_of("secret/file", _refused)


def _refused(reason: str) -> OptionError:
    return OptionError("here", found=reason, expected="a path", hint="Correct it.")


def test_a_wrong_cache_limit_names_its_variable() -> None:
    with pytest.raises(OptionError, match=r"^HPO_CACHE_LIMIT: found 'lots'"):
        Locations.of(environment={"HPO_CACHE_LIMIT": "lots"})


@pytest.mark.parametrize(
    ("text", "size"),
    [("20GB", 20 * 10**9), ("1.5 mb", 1_500_000), (" 7KB ", 7_000), ("2tb", 2 * 10**12)],
)
def test_a_size_is_a_number_and_a_unit(text: str, size: int) -> None:
    assert parse_size(text, "here") == size


@pytest.mark.parametrize("text", ["", "20", "GB", "-1GB", "1e3GB", "20GiB", "20 G B"])
def test_another_size_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"^here: .*500MB"):
        parse_size(text, "here")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), (" 5s ", 5)]
)
def test_a_duration_is_numbers_and_units(text: str, seconds: float) -> None:
    assert parse_duration(text, "--timeout") == seconds


@pytest.mark.parametrize("text", ["", "90", "s", "1.5h", "-5s", "0s", "30m1h", "2 h", "1d"])
def test_another_duration_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"^--timeout: .*90s, 30m or 2h"):
        parse_duration(text, "--timeout")


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_a_duration_adds_up(hours: int, minutes: int, seconds: int) -> None:
    total = hours * 3600 + minutes * 60 + seconds
    if total:
        assert parse_duration(f"{hours}h{minutes}m{seconds}s", "--timeout") == total
