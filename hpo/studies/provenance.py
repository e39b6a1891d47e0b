"""What a trial was trained with, kept with it: packages and device of each attempt, and a digest of its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

ENVIRONMENTS: Final = "hpo:environments"
"""System attribute: what each attempt at the trial ran in, those that ran in the same told once."""

WEIGHTS: Final = "hpo:weights"
"""System attribute: the digest of what a complete trial trained, at its best evaluation."""

# The platform's name changes with every update of a kernel; the threads are the trial's own in a replay.
_NOT_TOLD: Final = ("platform", "threads")


def changes(then: Sequence[Mapping[str, str]], now: Mapping[str, str]) -> list[str]:
    """What is other now than in some attempt at a trial, each in a line: `torch: 2.9.0 then, 2.9.1 now`.

    Args:
        then: Of each attempt, as it was kept.
        now: Of this process.
    """
    names = sorted({name for attempt in then for name in attempt} | now.keys())
    lines = []
    for name in names:
        known = sorted({attempt.get(name, "nothing") for attempt in then})
        if name not in _NOT_TOLD and known not in ([], [now.get(name, "nothing")]):
            lines.append(f"{name}: {' and '.join(known)} then, {now.get(name, 'nothing')} now")
    return lines
