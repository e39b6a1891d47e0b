"""What `trial.json` holds at the least."""

from __future__ import annotations

from typing import Any

SOME_FACTS: dict[str, Any] = {
    "base_model": "a model",
    "base_revision": None,
    "base_fingerprint": "f00d",
    "freeze_depth": 1,
    "label_names": ["bad", "good"],
    "max_length": 32,
    "decay": 1.0,
}
