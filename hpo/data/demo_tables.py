"""The embedded reviews as tables."""

from __future__ import annotations

import numpy as np

from hpo.data.table import Table
from hpo.demo.grammar import Review, demo_splits
from hpo.demo.questions import stars_of, tags_of


def demo_tables() -> dict[str, Table]:
    """The demo's splits by name."""
    # The default seed whatever the study's, so that all demo studies are about the same data.
    return {name: _demo_table(name, reviews) for name, reviews in demo_splits().items()}


def _demo_table(name: str, reviews: list[Review]) -> Table:
    columns: dict[str, list[object]] = {
        "text": [review.text for review in reviews],
        "label": [review.label for review in reviews],
        "tags": [tags_of(review) for review in reviews],
        "stars": [stars_of(review) for review in reviews],
    }
    rows = np.arange(1, len(reviews) + 1, dtype=np.int64)
    return Table(f"demo, {name} split", tuple(columns), columns.__getitem__, rows)
