"""How an ensemble can be made, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

EnsembleMethod = Literal[
    "vote", "greedy", "stacking", "soup", "uniform_soup", "bagging", "boosting"
]

OF_ONE_CLASS: Final = ("stacking", "boosting")
"""Those that need texts of one class each."""

FOR_ALL_TASKS: Final = "Use vote, greedy, soup or bagging."
"""The hint for others."""

USUAL_SIZES: Final[Mapping[EnsembleMethod, int]] = {
    "vote": 5,
    "greedy": 20,
    "stacking": 5,
    "soup": 5,
    "uniform_soup": 3,
    "bagging": 5,
    "boosting": 5,
}
"""Each method's size where none is given."""
