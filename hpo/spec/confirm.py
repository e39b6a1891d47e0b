"""The `[confirm]` section of a study file: how the best trials are trained again before one is chosen."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ConfirmedOn = Literal["new", "same"]
"""Validation texts that training texts have made room for, or those by which the trials were chosen."""


class ConfirmSection(BaseModel):
    """`[confirm]`: the best trials, trained again with new seeds before one of them is chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    top: int = Field(
        5,
        ge=1,
        le=100,
        description="how many of the best trials are confirmed; docs/confirmation.md",
    )
    seeds: int = Field(
        3,
        ge=0,
        le=100,
        description="trainings of each with new seeds, of which the best mean wins; "
        "0: the search's best wins unconfirmed",
    )
    validation: Literal["auto", "new", "same"] = Field(
        "auto",
        description="what they are scored on: `new` validation texts each time, which change places with "
        "training texts, or the `same` that the trials had; `auto`: new ones unless the data have a "
        "validation split of their own",
    )
    refit: Literal["none", "train+validation", "all"] = Field(
        "none",
        description="what the champion's parameters are trained on once more in the end, "
        "for a model beside it; `all` is the test split, too",
    )


UNCONFIRMED = ConfirmSection(seeds=0)
"""What a study has that an earlier release stored, which knew of no such section."""
