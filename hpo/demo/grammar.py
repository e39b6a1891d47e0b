"""A grammar of short reviews whose label follows from how the sentences are built.

The words alone say little: praise is negated, expectations are disappointed, a concession is
weighed against the clause that decides, and a verdict may overrule everything before it. So a bag
of words does poorly, a model that reads in order does well, and how well depends on how it was
trained.

All randomness comes from `random.Random` seeded with a string, which Python hashes with SHA-512:
the texts depend on the seed and on nothing else, `PYTHONHASHSEED` included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

LABELS: Final = ("negative", "positive")
LABEL_NOISE: Final = 0.03
SPLIT_SIZES: Final = {"train": 1_200, "validation": 500, "test": 2_000}

# Most reviews have one to three sentences; the bound cuts a tail that would only cost padding.
MAX_WORDS: Final = 46


@dataclass(frozen=True)
class Review:
    """A review and the name of its class, one of `LABELS`."""

    text: str
    label: str


@dataclass(frozen=True)
class _Style:
    """How twisted the writing is: shares, 0 to 1."""

    mixed: float  # reviews that also say the opposite of what they mean
    contrast: float  # sentences with two clauses that pull apart
    negation: float  # clauses that say what something is not
    second_adjective: float  # plain clauses with two adjectives, which mean the same
    closing: float  # reviews that end with a stock phrase


_DEMO_STYLE: Final = _Style(
    mixed=0.38, contrast=0.25, negation=0.20, second_adjective=0.5, closing=0.3
)
# A language model finds out which words go together from texts that do not contradict themselves;
# twisted ones alone cancel out, and it would take many times as long.
_PLAIN_STYLE: Final = _Style(
    mixed=0.0, contrast=0.0, negation=0.0, second_adjective=0.8, closing=0.8
)


@dataclass(frozen=True)
class _Topic:
    """What is reviewed; `praise` and `blame` are adjectives that fit its aspects."""

    names: tuple[str, ...]
    singular_aspects: tuple[str, ...]
    plural_aspects: tuple[str, ...]
    praise: tuple[str, ...]
    blame: tuple[str, ...]
    neutral_sentences: tuple[str, ...]


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in text.split(","))


TOPICS: Final = (
    _Topic(
        names=_phrases("film, movie, picture, thriller, comedy"),
        singular_aspects=_phrases(
            "plot, acting, cast, soundtrack, script, dialogue, ending, camera work, pacing,"
            " lead actor, opening scene, editing, costume design"
        ),
        plural_aspects=_phrases("jokes, special effects, characters, songs, action scenes"),
        praise=_phrases("gripping, witty, moving, clever, suspenseful, touching"),
        blame=_phrases("dull, predictable, silly, wooden, far-fetched, confusing"),
        neutral_sentences=_phrases(
            "we saw it on a Tuesday evening, it runs for about two hours, my brother picked it,"
            " the story is set in Lisbon, I watched it on a plane, it is based on a novel,"
            " the director is from Norway, there were twelve people in the cinema"
        ),
    ),
    _Topic(
        names=_phrases("hotel, guest house, inn, resort, hostel"),
        singular_aspects=_phrases(
            "room, bed, breakfast, reception, view, bathroom, pool, location, service, lobby,"
            " garden, shower, balcony"
        ),
        plural_aspects=_phrases("towels, corridors, staff, beds, meals"),
        praise=_phrases("clean, cosy, spacious, quiet, welcoming, spotless"),
        blame=_phrases("dirty, noisy, cramped, shabby, rude, mouldy"),
        neutral_sentences=_phrases(
            "we stayed for three nights, it is close to the station,"
            " we arrived late in the evening, our room was on the fourth floor,"
            " I was there for a conference, check-out is at eleven,"
            " we booked it in March, there is a church across the street"
        ),
    ),
    _Topic(
        names=_phrases("restaurant, bistro, diner, place, trattoria"),
        singular_aspects=_phrases(
            "soup, bread, waiter, menu, wine list, dessert, pasta, fish, sauce, terrace, coffee,"
            " kitchen, main course"
        ),
        plural_aspects=_phrases("starters, portions, vegetables, cakes, waiters"),
        praise=_phrases("delicious, tasty, fresh, generous, savoury, mouth-watering"),
        blame=_phrases("bland, greasy, soggy, overpriced, stingy, burnt"),
        neutral_sentences=_phrases(
            "we were a party of four, it is next to the library, we had a table by the window,"
            " they open at six, I had the dish of the day, my sister lives around the corner,"
            " it was a Friday night, we went there after the concert"
        ),
    ),
    _Topic(
        names=_phrases("phone, tablet, laptop, camera, device"),
        singular_aspects=_phrases(
            "screen, battery, keyboard, speaker, charger, software, sound, design, microphone,"
            " display, casing, touchpad, warranty"
        ),
        plural_aspects=_phrases("buttons, updates, photos, settings, hinges"),
        praise=_phrases("fast, sharp, sturdy, responsive, intuitive, sleek"),
        blame=_phrases("laggy, flimsy, buggy, blurry, fragile, sluggish"),
        neutral_sentences=_phrases(
            "I bought it in April, it comes in grey and blue, I use it at work,"
            " it replaced my old one, the parcel came on a Monday,"
            " it weighs about the same as the last model,"
            " my daughter has one too, I have had it for six weeks"
        ),
    ),
    _Topic(
        names=_phrases("book, novel, biography, story, sequel"),
        singular_aspects=_phrases(
            "prose, first chapter, narrator, heroine, translation, style, setting, mystery, finale,"
            " structure, villain, epilogue, argument"
        ),
        plural_aspects=_phrases("descriptions, letters, chapters, illustrations, twists"),
        praise=_phrases("poetic, absorbing, profound, vivid, insightful, lyrical"),
        blame=_phrases("long-winded, repetitive, lifeless, muddled, preachy, cliched"),
        neutral_sentences=_phrases(
            "I read it on holiday, it has about three hundred pages, my neighbour lent it to me,"
            " it came out last autumn, we read it in our book club, the author lives in Dublin,"
            " I found it in a library, it is the second part of a series"
        ),
    ),
)

# Commonest first: words are drawn with falling weight, so that a training set has met the last ones
# a few times only, and a model that knows them from its pretraining is ahead.
_PRAISE: Final = _phrases(
    "good, great, excellent, wonderful, lovely, impressive, superb, enjoyable, pleasant,"
    " delightful, brilliant, charming, fine, splendid, fantastic, satisfying, terrific,"
    " outstanding, admirable, marvellous, magnificent, refreshing, flawless, memorable"
)
_BLAME: Final = _phrases(
    "bad, poor, terrible, awful, disappointing, mediocre, horrible, annoying, dreadful,"
    " unpleasant, weak, lousy, forgettable, frustrating, tedious, miserable, irritating,"
    " pathetic, flawed, sloppy, tiresome, dismal, appalling, underwhelming"
)
# (base form, past form); the subject is "I".
_LIKING: Final = (
    ("like", "liked"),
    ("love", "loved"),
    ("enjoy", "enjoyed"),
    ("admire", "admired"),
    ("appreciate", "appreciated"),
    ("adore", "adored"),
    ("recommend", "recommended"),
    ("cherish", "cherished"),
)
_DISLIKING: Final = (
    ("dislike", "disliked"),
    ("hate", "hated"),
    ("regret", "regretted"),
    ("detest", "detested"),
    ("loathe", "loathed"),
    ("resent", "resented"),
    ("deplore", "deplored"),
    ("despise", "despised"),
)
_DEGREES: Final = _phrases("really, quite, rather, simply, pretty, frankly")
# As in real prose, some of the words around an adjective already lean to one side. They are few and
# frequent, and a language model learns from them first which adjectives belong together.
_WARM_DEGREES: Final = _phrases("wonderfully, pleasantly, truly, so very, delightfully")
_COLD_DEGREES: Final = _phrases("painfully, far too, a bit, annoyingly, sadly")
_CRITICS: Final = _phrases(
    "my friend, my colleague, everyone, the newspaper, my sister, the brochure, my uncle,"
    " the advert"
)
_TURNS: Final = _phrases(
    "still, even so, in the end, all the same, nevertheless, but then again, that said"
)
_CONCESSIONS: Final = _phrases("granted, admittedly, true, it must be said, to be fair, of course")
_VERDICTS: Final = _phrases(
    "overall, all in all, on balance, all things considered, in short, to sum up"
)

# What people say when they are done, and what a language model can only foresee if it understood
# the rest: this is where its pretraining learns what a review means as a whole.
CONTENT: Final = _phrases(
    "worth every cent, highly recommended, five stars from me, I would do it again, no regrets,"
    " what a treat, count me as a fan, thumbs up, it made my week, I could not be happier,"
    " money well spent, I told all my friends to try it"
)
DISCONTENT: Final = _phrases(
    "a waste of money, avoid it, one star from me, never again, I feel cheated, what a letdown,"
    " save your money, thumbs down, it ruined my week, I could not be more upset, do not bother,"
    " I told all my friends to stay away"
)
# Letters are enough for the words above: none begins like "useful" or "hour".
_VOWELS: Final = "aeiou"


def labelled_reviews(count: int, seed: int, *, label_noise: float = LABEL_NOISE) -> list[Review]:
    """`count` distinct reviews, both classes equally likely.

    `label_noise` is the share of labels that are flipped after the text was written. It does not
    change the texts: 0.0 gives the same reviews with the labels that their authors meant. Raises
    `ValueError` if `count` is negative or `label_noise` is not in 0..1.
    """
    if count < 0:
        raise ValueError(f"count must be 0 or more, found {count}")
    if not 0.0 <= label_noise <= 1.0:
        raise ValueError(f"label_noise must be between 0 and 1, found {label_noise}")
    writing = Random(f"hpo.demo labelled {seed}")
    mislabelling = Random(f"hpo.demo label noise {seed}")
    reviews: dict[str, Review] = {}
    while len(reviews) < count:
        positive = writing.random() < 0.5
        text = _review(writing, _DEMO_STYLE, positive)
        if text in reviews:
            continue
        flipped = mislabelling.random() < label_noise
        reviews[text] = Review(text, LABELS[positive != flipped])
    return list(reviews.values())


def demo_splits(seed: int = 0) -> dict[str, list[Review]]:
    """The demo data: `train`, `validation` and `test`, with no text in two of them."""
    reviews = labelled_reviews(sum(SPLIT_SIZES.values()), seed)
    splits: dict[str, list[Review]] = {}
    start = 0
    for name, size in SPLIT_SIZES.items():
        splits[name] = reviews[start : start + size]
        start += size
    return splits


def unlabelled_texts(count: int, seed: int, *, plain: bool = False) -> Iterator[str]:
    """`count` reviews without labels, for language modelling; short ones may repeat.

    `plain` leaves out negation, contrast and mixed feelings: easier reading to begin with.
    """
    writing = Random(f"hpo.demo unlabelled {seed}")
    style = _PLAIN_STYLE if plain else _DEMO_STYLE
    for _ in range(count):
        yield _review(writing, style, writing.random() < 0.5)


def _review(rng: Random, style: _Style, positive: bool) -> str:
    """A whole review of one topic that is meant as `positive` says."""
    writer = _Writer(rng, style, rng.choice(TOPICS))
    while True:
        sentences = writer.opinions(positive)
        if rng.random() < 0.4:
            neutral = rng.choice(writer.topic.neutral_sentences)
            sentences.insert(rng.randint(0, len(sentences)), neutral)
        if rng.random() < style.closing:
            sentences.append(rng.choice(CONTENT if positive else DISCONTENT))
        text = " ".join(_punctuated(rng, sentence) for sentence in sentences)
        if len(text.split()) <= MAX_WORDS:
            return text


@dataclass(frozen=True)
class _Writer:
    """Writes clauses and sentences about one topic; `positive` is what they are to mean."""

    rng: Random
    style: _Style
    topic: _Topic

    def opinions(self, positive: bool) -> list[str]:
        """The sentences of a review that carry opinion, in order; together they mean `positive`."""
        rng = self.rng
        if rng.random() >= self.style.mixed:
            if rng.random() < 0.13:
                return [self.remark(positive)]
            return [self.sentence(positive) for _ in range(rng.choice((1, 2, 2, 3)))]
        plan = rng.randrange(3)
        if plan == 0:  # the opposite first, then a turn
            turned = [self.assertion(positive) for _ in range(rng.choice((1, 2)))]
            turned[0] = f"{rng.choice(_TURNS)}, {turned[0]}"
            return [self.assertion(not positive), *turned]
        if plan == 1:  # the opinion first, then a concession that does not overrule it
            held = [self.sentence(positive) for _ in range(rng.choice((1, 2)))]
            return [*held, f"{rng.choice(_CONCESSIONS)}, {self.assertion(not positive)}"]
        # Single aspects, and a verdict on the whole, which counts whether it comes first or last.
        meanings = [positive, not positive] if rng.random() < 0.7 else [not positive]
        rng.shuffle(meanings)
        sentences = [self.assertion(meaning) for meaning in meanings]
        sentences.insert(rng.choice((0, len(sentences))), self.verdict(positive))
        return sentences

    def sentence(self, positive: bool) -> str:
        contrasts = self.rng.random() < self.style.contrast
        return self.contrast(positive) if contrasts else self.assertion(positive)

    def remark(self, positive: bool) -> str:
        """A whole review in a few words: "not a bad film"."""
        rng = self.rng
        name = rng.choice(self.topic.names)
        if rng.random() < self.style.negation:
            denied = self.adjective(not positive)
            return rng.choice(
                (
                    f"not {_with_article(denied)} {name}",
                    f"not {denied} at all",
                    f"this {name} is anything but {denied}",
                )
            )
        meant = self.adjective(positive)
        return rng.choice(
            (
                f"{_with_article(meant)} {name}",
                f"what {_with_article(meant)} {name}",
                f"{self.degree(positive)} {meant}",
                f"this {name} is {self.degree(positive)} {meant}",
            )
        )

    def verdict(self, positive: bool) -> str:
        """A judgement of the whole: "all in all, I would not call it a bad film"."""
        rng = self.rng
        name = rng.choice(self.topic.names)
        opening = rng.choice(_VERDICTS)
        if rng.random() >= self.style.negation:
            return f"{opening}, {_with_article(self.adjective(positive))} {name}"
        denied = _with_article(self.adjective(not positive))
        return rng.choice(
            (
                f"{opening}, not {denied} {name}",
                f"{opening}, I would not call it {denied} {name}",
                f"{opening}, it is anything but {denied} {name}",
            )
        )

    def assertion(self, positive: bool) -> str:
        """One clause about one aspect, on what it is or on what it is not."""
        rng = self.rng
        aspect, was = self.aspect()
        if rng.random() < self.style.negation:
            denied = self.adjective(not positive)
            disowned, _ = rng.choice(_DISLIKING if positive else _LIKING)
            return rng.choice(
                (
                    f"the {aspect} {was} not {denied}",
                    f"the {aspect} {was} not {denied} at all",
                    f"the {aspect} {was} not at all {denied}",
                    f"the {aspect} {was} anything but {denied}",
                    f"the {aspect} {was} far from {denied}",
                    f"the {aspect} {was} never {denied}",
                    f"the {aspect} {was} hardly {denied}",
                    f"I would not call the {aspect} {denied}",
                    f"there was nothing {denied} about the {aspect}",
                    f"nobody could call the {aspect} {denied}",
                    f"I did not {disowned} the {aspect}",
                    f"I do not {disowned} the {aspect}",
                )
            )
        if rng.random() < 0.12:
            present, past = rng.choice(_LIKING if positive else _DISLIKING)
            return f"I {rng.choice((present, past))} the {aspect}"
        meant, also = self.adjective(positive), self.adjective(positive)
        degree = f"{self.degree(positive)} " if rng.random() < 0.6 else ""
        twice = also != meant and rng.random() < self.style.second_adjective
        return f"the {aspect} {was} {degree}{meant}" + (f" and {also}" if twice else "")

    def contrast(self, positive: bool) -> str:
        """A sentence of two clauses that pull apart; its build says which one counts."""
        rng = self.rng
        aspect, was = self.aspect()
        name = rng.choice(self.topic.names)
        critic = rng.choice(_CRITICS)
        meant, denied = self.adjective(positive), self.adjective(not positive)
        deciding, conceded = self.assertion(positive), self.assertion(not positive)
        feared = "feared" if positive else "hoped"
        return rng.choice(
            (
                f"{conceded}, but {deciding}",
                f"although {conceded}, {deciding}",
                f"{deciding}, although {conceded}",
                f"{deciding}, even if {conceded}",
                f"despite the {denied} {aspect}, {deciding}",
                f"{deciding}, despite the {denied} {aspect}",
                f"I expected {_with_article(denied)} {name}, but {deciding}",
                f"I expected the {aspect} to be {denied}, and I was wrong",
                f"I expected the {aspect} to be {meant}, and I was right",
                f"I had {feared} that the {aspect} would be {denied}, but {deciding}",
                f"{critic} called the {aspect} {denied}, and I disagree",
                f"{critic} called the {aspect} {meant}, and I agree",
                f"{critic} promised {_with_article(denied)} {name}, yet {deciding}",
                f"the {aspect} used to be {denied}, but not any more",
                f"the {aspect} {was} {meant}, unlike the {denied} {self.aspect()[0]} last time",
            )
        )

    def aspect(self) -> tuple[str, str]:
        """An aspect of the topic and the form of "to be" that agrees with it."""
        rng = self.rng
        if rng.random() < 0.75:
            return rng.choice(self.topic.singular_aspects), rng.choice(("was", "was", "is"))
        return rng.choice(self.topic.plural_aspects), rng.choice(("were", "were", "are"))

    def degree(self, positive: bool) -> str:
        if self.rng.random() < 0.5:
            return self.rng.choice(_DEGREES)
        return self.rng.choice(_WARM_DEGREES if positive else _COLD_DEGREES)

    def adjective(self, positive: bool) -> str:
        rng = self.rng
        if rng.random() < 0.4:
            return rng.choice(self.topic.praise if positive else self.topic.blame)
        general = _PRAISE if positive else _BLAME
        # The square makes the first words of the list several times as common as the last.
        return general[int(len(general) * rng.random() ** 2)]


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in _VOWELS else 'a'} {words}"


def _punctuated(rng: Random, sentence: str) -> str:
    return sentence[0].upper() + sentence[1:] + ("!" if rng.random() < 0.08 else ".")
