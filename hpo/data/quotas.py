"""How many texts of each kind go where, and which: the arithmetic that all ways of splitting share."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def take_groups(groups: list[list[int]], quota: int, leave: int) -> list[int]:
    """Remove groups from the list, in its order, as long as their rows fit the quota; their rows.

    Where not even the first fits, the smallest is taken; `leave` groups stay.
    """
    taken: list[int] = []
    passed: list[list[int]] = []
    waiting = iter(groups)
    left = len(groups)
    for rows in waiting:
        if len(taken) == quota or left == leave:
            passed.append(rows)
            break
        if len(taken) + len(rows) <= quota:
            taken += rows
            left -= 1
        else:
            passed.append(rows)
    groups[:] = [*passed, *waiting]
    if not taken and left > leave:
        taken = groups.pop(min(range(len(groups)), key=lambda index: len(groups[index])))
    return taken


def rounded(shares: NDArray[np.floating]) -> NDArray[np.int64]:
    """The shares rounded, up or down, so that their sum stays as near as can be."""
    # Shares that are whole but for the rounding of a product must not lose one to the floor.
    shares = np.round(shares, 9)
    quotas: NDArray[np.int64] = np.floor(shares).astype(np.int64)
    missing = int(np.floor(shares.sum() + 0.5)) - int(quotas.sum())
    by_remainder = np.argsort(quotas - shares, kind="stable")
    quotas[by_remainder[:missing]] += 1
    return quotas


def rank_of(text: str, purpose: str, seed: int) -> bytes:
    """Where a text stands in an order of its own for each purpose and seed."""
    return blake2b(text.encode(), digest_size=16, key=f"{purpose} {seed}".encode()).digest()
