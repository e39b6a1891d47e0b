from __future__ import annotations

from collections import Counter

from hpo.demo.grammar import Review, demo_splits
from hpo.demo.questions import TAGS, stars_of, tags_of


def test_tags_say_what_a_review_is_about_and_how_it_is_built() -> None:
    review = Review("The plot was not dull. I told all my friends to try it.", "positive")
    assert tags_of(review) == ["film", "negation", "recommended"]
    assert tags_of(Review("Not bad at all.", "negative")) == ["negation"]
    assert stars_of(review) == 5
    assert stars_of(Review("The plot was good, but the cast was bad.", "negative")) == 2.25


def test_every_split_has_each_tag_reviews_without_any_and_a_range_of_stars() -> None:
    for reviews in demo_splits().values():
        tags = [tags_of(review) for review in reviews]
        counts = Counter(tag for each in tags for tag in each)
        assert min(counts[tag] for tag in TAGS) > 0.1 * len(reviews)
        assert any(not each for each in tags)
        assert len({stars_of(review) for review in reviews}) == 8
