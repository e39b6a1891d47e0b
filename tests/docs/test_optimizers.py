"""The tables of optimisers and schedules: a line for each that a study file can name, and its defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hpo.spec.effects import NEEDS, OneOf
from hpo.spec.registries import OPTIMIZERS, SCHEDULES
from hpo.spec.training import TrialParams

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "optimizers.md").read_text(encoding="utf-8")
OPTIONS_OF_SOME = [
    key
    for key, need in NEEDS.items()
    if isinstance(need, OneOf) and need.option in ("optimizer", "schedule")
]


def lines() -> dict[str, str]:
    """The line of each name where it first begins one in a table."""
    found: dict[str, str] = {}
    for line in PAGE.splitlines():
        for name in re.findall(r"^\| `(\w+)` \|", line):
            found.setdefault(name, line)
    return found


def test_each_has_a_line() -> None:
    assert {*OPTIMIZERS.ours, *SCHEDULES.ours} <= set(lines())


@pytest.mark.parametrize("key", OPTIONS_OF_SOME)
def test_a_line_names_the_options_that_are_read_with_their_defaults(key: str) -> None:
    need, option = NEEDS[key], key.removeprefix("training.")
    assert isinstance(need, OneOf)
    default = TrialParams.model_fields[option].default
    for name in need.names:
        line = lines()[name].replace("as `adamw`", lines()["adamw"])
        assert f"`{option}`" in line
        if default is not None:
            value = str(default).lower().removesuffix(".0")
            assert f"`{option}` {value}" in line
