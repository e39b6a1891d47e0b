"""Waiting in tests for what is meant, in the place of a guess how long it takes."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from contextlib import suppress

from hpo import waiting


def wait_until(
    condition: Callable[[], object], what: str, *, seconds: float = 60, poll_seconds: float = 0.02
) -> None:
    """Wait until a condition holds.

    Args:
        condition: Is asked again and again.
        what: What is waited for, in words.
        seconds: The longest wait.
        poll_seconds: The pause between two looks.

    Raises:
        AssertionError: It did not hold in time.
    """
    held = waiting.wait_until(lambda: bool(condition()), seconds, poll_seconds=poll_seconds)
    assert held, f"not within {seconds:.0f} s: {what}"


def answers(url: str) -> bool:
    """Whether a web server answers at an address, within two seconds."""
    with suppress(OSError), urllib.request.urlopen(url, timeout=2):
        return True
    return False
