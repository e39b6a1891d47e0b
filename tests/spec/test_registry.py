"""Members by name: this project's first, others' by entry points, and no other one for what is not there."""

from __future__ import annotations

import importlib.metadata
from importlib.metadata import EntryPoint
from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from hpo.spec import registries
from hpo.spec.registry import MemberOf, Registry

ALL = [each for each in vars(registries).values() if isinstance(each, Registry)]


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Two members of our own; a package adds two, one of them by a name that is taken."""

    def installed(group: str) -> list[EntryPoint]:
        return [
            EntryPoint("square", "math:hypot", group),
            EntryPoint("disc", "math:tau", group),
        ]

    monkeypatch.setattr(importlib.metadata, "entry_points", installed)
    return Registry("hpo.shapes", {"square": "math:sqrt", "ball": "math:pi"})


@pytest.mark.parametrize("members", ALL, ids=lambda members: members.group)
def test_every_member_of_ours_is_there(members: Registry) -> None:
    assert all(members[name] is not None for name in members.ours)


def test_a_package_adds_members_and_takes_no_name_of_ours(shapes: Registry) -> None:
    import math

    assert list(shapes) == ["square", "ball", "disc"]
    assert (shapes["square"], shapes["disc"]) == (math.sqrt, math.tau)


def test_what_is_not_there_is_named_with_what_is(shapes: Registry) -> None:
    assert "cube" not in shapes
    with pytest.raises(KeyError, match=r"'cube' is not in hpo\.shapes: square, ball, disc"):
        shapes["cube"]


def test_nothing_installed_is_looked_through_for_ours(
    shapes: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: pytest.fail("it was"))
    assert "ball" in shapes
    assert shapes["ball"] > 3
    assert shapes.ours == ("square", "ball")


@pytest.mark.parametrize("value", ["cube", "", 3, None, ["ball"]])
def test_a_key_takes_the_names_alone(shapes: Registry, value: object) -> None:
    class Section(BaseModel):
        shape: Annotated[str, MemberOf(shapes)]

    assert Section(shape="disc").shape == "disc"
    with pytest.raises(ValidationError) as caught:
        Section.model_validate({"shape": value})
    problem = caught.value.errors()[0]
    assert problem["type"] == "literal_error"
    assert problem["msg"] == "Input should be 'square', 'ball' or 'disc'"
