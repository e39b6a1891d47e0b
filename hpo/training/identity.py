"""Which trial a checkpoint is of: what must be the same for one to go on from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hpo.spec.training import TrialParams
from hpo.training.trial_context import TrialContext
from hpo.training.trial_data import TrialData

_BEFORE_IT_WAS_SAVED = {"task": "single_label"}  # when there was but one


def identity_of(
    context: TrialContext,
    params: TrialParams,
    texts: TrialData,
    *,
    seed: int,
    scored_at: int | None = None,
) -> dict[str, Any]:
    """What makes a trial what it is; JSON."""
    variants = context.variants if params.augment.is_on else None
    return {
        "params": params.model_dump(mode="json"),
        "seed": seed,
        "model": context.model.fingerprint,
        "data": texts.fingerprint(context.data.fingerprint),
        "task": context.task.name,
        "dtype": str(context.features.dtype),
        "metric": context.metric,
        "evaluations_per_epoch": context.settings.evaluations_per_epoch,
        **({} if scored_at is None else {"scored_at": scored_at}),
        **({"variants": variants.fingerprint} if variants else {}),
    }


def is_same_trial(saved: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    """Whether an identity that a checkpoint holds is this one.

    An option that the release which wrote it did not have yet was at its default.

    Args:
        saved: What `identity_of` gave then.
        identity: What it gives now.
    """
    if not isinstance(saved, dict):
        return False
    try:
        # As JSON, which has no tuples: in strict mode they could not be lists.
        params = TrialParams.model_validate_json(json.dumps(saved.get("params")))
    except ValidationError:
        return False
    return identity == {
        **_BEFORE_IT_WAS_SAVED,
        **saved,
        "params": params.model_dump(mode="json"),
    }
