"""What an environment variable says, if it says anything."""

from __future__ import annotations

from collections.abc import Mapping


def set_in(environment: Mapping[str, str], variable: str) -> str | None:
    """An environment variable; None where it is not set, or empty, or blank: Unix takes these for one."""
    return environment.get(variable, "").strip() or None
