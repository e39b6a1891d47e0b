"""Whether what a study tells of its champion is true: many small studies, each held against endless data.

A world is a study of its own on texts that the embedded generator makes for it alone: a random search, its
best trials trained again with new seeds on new validation texts, the champion's test. Thousands more texts
of the same generator say what the champion's accuracy really is. Over all worlds: how often the test's
95 % interval holds it, and by how much the search's best value and the confirmed mean are off. Worlds
that the output holds already are not made again.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import torch

from hpo.data.sealed import Sealed
from hpo.data.tokens import TokenizedSplit
from hpo.demo.grammar import labelled_reviews
from hpo.model.saved import TextClassifier
from hpo.results.confirmed import Confirmed, ranking
from hpo.results.final_test import final_test
from hpo.runtime.preparation import Prepared, prepare, trial_params
from hpo.runtime.trainings import Confirming
from hpo.spec.locations import Locations
from hpo.spec.study import Direction
from hpo.spec.study_file import find_study_file, read_study, search_space
from hpo.studies.confirmations import confirmed_on
from hpo.training.loop import TrialTraining
from hpo.training.micro_batches import MicroBatches
from hpo.training.result import TrialResult, Verdict

METRIC: Final = "accuracy"
DIRECTION: Final[Direction] = "maximize"
# No world's texts are the demo's own.
_FIRST_SEED: Final = 10_000
_KEYS: Final[Mapping[str, object]] = {
    "training.batch_size": 16,
    "training.epochs": 2,
    "training.early_stopping": 0,
    "training.evaluations_per_epoch": 1,
    "training.freeze_depth": 3,
    "search.space": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
}

# What training told, and the classifier.
Trained = tuple[TrialResult, TextClassifier]


@dataclass(frozen=True)
class World:
    """One study, and the truth about it.

    Attributes:
        found: The search's best value, on validation.
        found_truth: The accuracy of that trial's classifier on endless texts.
        confirmed: The mean that is told of the confirmation.
        confirmed_truth: The mean accuracy on endless texts of the classifiers that it is of.
        test: The champion's accuracy on the test texts, with its interval.
        test_truth: The same classifier's on endless texts.
    """

    number: int
    found: float
    found_truth: float
    confirmed: float
    confirmed_truth: float
    test: float
    low: float
    high: float
    test_truth: float

    @property
    def is_held(self) -> bool:
        """Whether the interval holds the truth."""
        return self.low <= self.test_truth <= self.high


def main() -> None:
    options = _options()
    logging.getLogger("hpo").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    path: Path = options.output
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    worlds = [World(**json.loads(line)) for line in lines]
    for number in sorted(set(range(options.worlds)) - {world.number for world in worlds}):
        with TemporaryDirectory(prefix="hpo-coverage-") as folder:
            worlds.append(_world(number, options, Path(folder)))
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(worlds[-1])) + "\n")
    print("\n".join(_told(worlds)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=Path("coverage.jsonl"))
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--top", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--confirm-on", choices=("new", "same"), default="new")
    parser.add_argument("--train", type=int, default=100, help="training texts of a world")
    parser.add_argument("--validation", type=int, default=100)
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--truth", type=int, default=12_000, help="texts that say what is true")
    return parser.parse_args()


def _world(number: int, options: argparse.Namespace, folder: Path) -> World:
    prepared, test, truth = _prepared(number, options, folder)
    random = np.random.default_rng(number)
    points = [{"learning_rate": float(10 ** random.uniform(-4, -2))} for _ in range(options.trials)]
    trials = [
        _trained(TrialTraining(prepared.context, trial_params(prepared.spec, point), seed=seed))
        for seed, point in enumerate(points)
    ]
    values = [result.value for result, _ in trials]
    best = sorted(range(options.trials), key=lambda each: -values[each])[: options.top]
    on = confirmed_on(prepared.spec, prepared.data.split_off)
    confirming = Confirming(prepared, search_space(prepared.spec), MicroBatches())
    again = {
        (each, repetition): _trained(
            confirming.training(
                trial_params(prepared.spec, points[each]),
                repetition,
                on=on,
                scored_at=(trials[each][0].best.index,),
            )
        )
        for each in best
        for repetition in range(options.seeds)
    }
    tried = [
        Confirmed(each, values[each], tuple(again[each, k][0].value for k in range(options.seeds)))
        for each in best
    ]
    confirmation = ranking(tried, DIRECTION, on)
    champion, expected = confirmation.champion, confirmation.expected
    assert champion is not None
    assert expected is not None
    classifier = trials[champion.number][1]
    score = final_test(classifier, Sealed(test), metric=METRIC, seed=number)
    low, high = score.intervals[METRIC]
    chosen = [again[pick.number, pick.repetition][1] for pick in expected.picks]
    return World(
        number=number,
        found=values[best[0]],
        found_truth=_accuracy(trials[best[0]][1], truth),
        confirmed=expected.mean,
        confirmed_truth=fmean(_accuracy(each, truth) for each in chosen),
        test=score.metrics[METRIC],
        low=low,
        high=high,
        test_truth=_accuracy(classifier, truth),
    )


def _prepared(
    number: int, options: argparse.Namespace, folder: Path
) -> tuple[Prepared, TokenizedSplit, TokenizedSplit]:
    """A study of texts that no other world has, its test texts, and those that say what is true."""
    sizes = (options.train, options.validation, options.test + options.truth)
    reviews = iter(labelled_reviews(sum(sizes), seed=_FIRST_SEED + number))
    for name, size in zip(("train", "validation", "test"), sizes, strict=True):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(("text", "label"))
            rows.writerows((review.text, review.label) for review in islice(reviews, size))
    confirm = {"confirm.validation": options.confirm_on}
    keys = {**_KEYS, **confirm, "data.source": str(folder), "study.seed": number}
    spec = read_study(find_study_file("quickstart"), keys)
    prepared = prepare(spec, replace(Locations.of(), cache=folder / "cache"))
    held_out = prepared.context.data.test.unsealed()
    return prepared, _part(held_out, 0, options.test), _part(held_out, options.test, sum(sizes[2:]))


def _part(split: TokenizedSplit, start: int, stop: int) -> TokenizedSplit:
    offsets = split.offsets[start : stop + 1]
    tokens = split.tokens[offsets[0] : offsets[-1]]
    return TokenizedSplit(tokens, offsets - offsets[0], split.labels[start:stop])


def _trained(trial: TrialTraining) -> Trained:
    result, context = trial.run(lambda _evaluation: Verdict.GO_ON), trial.context
    names, longest = context.data.label_names, context.data.max_length
    task = trial.tuned_task
    return result, TextClassifier.of(trial.classifier, context.features, task, names, longest)


def _accuracy(classifier: TextClassifier, split: TokenizedSplit) -> float:
    found = classifier.probabilities(split, "truth")
    return classifier.task.metrics(found, split.labels, [METRIC])[METRIC]


def _told(worlds: list[World]) -> list[str]:
    held = sum(world.is_held for world in worlds)
    return [
        f"worlds: {len(worlds)}",
        f"the 95 % interval of the test holds the truth in {held} ({100 * held / len(worlds):.1f} %)",
        _off("the search's best value", [world.found - world.found_truth for world in worlds]),
        _off("the confirmed mean", [world.confirmed - world.confirmed_truth for world in worlds]),
        _off("the test score", [world.test - world.test_truth for world in worlds]),
    ]


def _off(what: str, gaps: list[float]) -> str:
    mean, error = 100 * fmean(gaps), 100 * stdev(gaps) / math.sqrt(len(gaps))
    return (
        f"{what} is off by {mean:+.2f} ± {error:.2f} points (mean and standard error over worlds)"
    )


if __name__ == "__main__":
    main()
