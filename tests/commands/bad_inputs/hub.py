"""Models and data of a hub out of reach."""

from __future__ import annotations

from tests.commands.bad_inputs.case import Case

HUB = (
    Case(
        "a data set on a hub out of reach",
        "--data somebody/reviews",
        "somebody/reviews: found no answer from the hub (…) and no copy in its cache; "
        "expected a hub data set, a file, a folder or demo. Check the network, …",
    ),
    Case(
        "a model on a hub out of reach",
        "--model somebody/gpt2",
        "model somebody/gpt2: found no answer from the hub …; expected a directory here, or …. "
        "Check the name and the network, …",
    ),
)
