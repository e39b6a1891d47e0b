"""A JSON document as somebody may leave it who edited it by hand: each key gone or another, or no document at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

VALUES: tuple[Any, ...] = (None, "x", "", [], [[]], {}, True, -1, 0.5, 10**400, float("nan"))
NO_DOCUMENTS = ("", "{", "[]", "{}", "null", '"x"', "-1", "NaN", "[" * 5000, "\ud800")


def edited(text: str) -> Iterator[tuple[str, bytes]]:
    """What each edit is called, and the document after it."""
    document: dict[str, Any] = json.loads(text)
    for key in document:
        yield f"no {key}", _written({k: v for k, v in document.items() if k != key})
        for value in VALUES:
            if value != document[key] or type(value) is not type(document[key]):
                yield f"{key} = {str(value)[:20]!r}", _written({**document, key: value})
    yield "cut off", text.encode()[: len(text.encode()) // 2]
    for whole in NO_DOCUMENTS:
        yield f"nothing but {whole[:10]!r}", whole.encode("utf-8", "surrogatepass")


def _written(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()
