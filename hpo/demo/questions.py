"""What else can be asked of the demo's reviews: tags, of which a review has several or none, and stars."""

from __future__ import annotations

import re
from typing import Final

from hpo.demo.grammar import CONTENT, DISCONTENT, TOPICS, Review

_TOPIC_TAGS: Final = ("film", "hotel", "restaurant", "device", "book")
TAGS: Final = (*_TOPIC_TAGS, "contrast", "negation", "recommended")


def _any_of(*phrases: str) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(map(re.escape, phrases))})\b", re.IGNORECASE)


_TOPICS: Final = tuple(
    _any_of(*topic.names, *topic.singular_aspects, *topic.plural_aspects) for topic in TOPICS
)
_CONTRAST: Final = _any_of("but", "although", "even if", "despite", "yet", "unlike", "disagree")
_NEGATION: Final = _any_of(
    *("not", "never", "hardly", "nothing", "nobody"), *("anything but", "far from", "wrong")
)
_CLOSING: Final = _any_of(*CONTENT, *DISCONTENT)


def tags_of(review: Review) -> list[str]:
    """The topic if it is named, what the sentences are built with, and the class, in the order of `TAGS`."""
    found = [len(topic.findall(review.text)) for topic in _TOPICS]
    most = max(found)
    has = {tag: most > 0 and count == most for tag, count in zip(_TOPIC_TAGS, found, strict=True)}
    has["contrast"] = bool(_CONTRAST.search(review.text))
    has["negation"] = bool(_NEGATION.search(review.text))
    has["recommended"] = review.label == "positive"
    return [tag for tag in TAGS if has[tag]]


def stars_of(review: Review) -> float:
    """1 to 5: better or worse than 3 by the class, more so with a closing phrase, less so with a contrast."""
    strength = 1.25
    strength += 0.75 * bool(_CLOSING.search(review.text))
    strength -= 0.5 * bool(_CONTRAST.search(review.text))
    return 3 + (strength if review.label == "positive" else -strength)
