"""`[ensemble]`: what is made of a finished study's trials together."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_MethodOrNone = Literal[
    "none", "vote", "greedy", "stacking", "soup", "uniform_soup", "bagging", "boosting"
]


class EnsembleSection(BaseModel):
    """`[ensemble]`: what is made of a finished study's trials together."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    method: _MethodOrNone = Field(
        "none", description="how trials answer together once the budget is met; docs/ensembles.md"
    )
    size: int | None = Field(
        None,
        ge=2,
        le=100,
        description="members at most, or rounds of the greedy choice; "
        "left out, 5 (greedy 20, uniform_soup 3)",
    )
