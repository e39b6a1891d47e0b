"""The test split is opened by who measures, by who counts and by the refit alone; held over the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.data.sealed import Sealed

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_bytes())
    for path in sorted((ROOT / "hpo").rglob("*.py"))
}

MAY_OPEN = {
    "hpo/results/final_test.py": "measures a champion, whose study counts the looks",
    "hpo/data/reading.py": "counts the tokens that were read, and those that were cut",
    "hpo/runtime/wider.py": "joins it where a last training asks for that, after the test",
}
# Above the data, what has `.test` of data: as it is sealed, or how many texts there are.
MAY_NAME = {
    "hpo/runtime/data_overview.py": "counts texts and labels, and looks for leaks, before any study",
    "hpo/runtime/preparation.py": "counts texts",
    "hpo/runtime/finish.py": "hands it to the final test, sealed",
    "hpo/runtime/ensembling.py": "hands it to the final test, sealed",
    "hpo/runtime/wider.py": "joins it where a last training asks for that, after the test",
}


def test_only_the_size_of_what_is_sealed_is_seen() -> None:
    sealed = Sealed([1, 2, 3])
    assert len(sealed) == 3
    assert sealed.unsealed() == [1, 2, 3]
    with pytest.raises(TypeError):
        sealed[0]  # type: ignore[index]
    assert [name for name in vars(sealed) if not name.startswith("_Sealed__")] == []


def test_the_test_split_is_opened_where_the_list_says() -> None:
    found = {name for name, node in attributes() if node.attr == "unsealed"}
    assert found == set(MAY_OPEN)


def test_it_is_sealed_where_it_is_tokenised_and_nowhere_unsealed() -> None:
    made = {
        name
        for name, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Sealed"
    }
    assert made == {"hpo/data/tokens.py"}
    around = {name for name, node in attributes() if node.attr.endswith("__content")}
    assert around == {"hpo/data/sealed.py"}


def test_above_the_data_it_is_named_where_the_list_says() -> None:
    found = {
        name
        for name, node in attributes()
        if node.attr == "test" and owner(node) in ("data", "tokens", "source")
    }
    assert {name for name in found if not name.startswith("hpo/data/")} == set(MAY_NAME)


def attributes() -> Iterator[tuple[str, ast.Attribute]]:
    for name, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                yield name, node


def owner(node: ast.Attribute) -> str:
    """`data` of `context.data.test`."""
    value = node.value
    return value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")
