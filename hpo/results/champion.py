"""The champion: the best trial's classifier, tested once, registered, ready for transformers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hpo.data.tokens import TokenizedSplit
from hpo.model.pretrained import PretrainedModel
from hpo.model.saved import TextClassifier, load_trained, save_transformers
from hpo.results.appraisal import card_section
from hpo.results.card import how_to_call
from hpo.results.champion_source import ChampionSource
from hpo.results.final_test import TestScore, final_test
from hpo.results.leaderboard import Entry
from hpo.spec.study import Metric
from hpo.tracking.keys import registered_name
from hpo.tracking.tracker import StudyTracker

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Champion:
    """The winner of a study.

    Attributes:
        times_tested: Looks at the test split so far, this one included.
    """

    number: int
    value: float
    test: TestScore
    registered_name: str
    times_tested: int

    @property
    def source(self) -> ChampionSource:
        """What it is made of."""
        return ChampionSource((self.number,))

    def as_json(self) -> dict[str, Any]:
        """Facts for `from_json`, which other processes may read."""
        return asdict(self)

    @staticmethod
    def from_json(document: Mapping[str, object]) -> Champion:
        """The champion that `as_json` told of."""
        values = dict(document)
        test = values.pop("test")
        assert isinstance(test, dict)
        return Champion(test=TestScore.from_json(test), **values)  # type: ignore[arg-type]


def promote(
    source: ChampionSource,
    best: Entry,
    trained: Path,
    *,
    model: PretrainedModel,
    test: TokenizedSplit,
    tracker: StudyTracker,
    study_name: str,
    metric: Metric,
    seed: int,
    times_tested_before: int,
    before_publishing: Callable[[], None] = lambda: None,
) -> Champion:
    """Make the study's champion: test the classifier of the source's trials and publish it.

    Args:
        source: What the champion is made of.
        best: The first of its trials, as the leaderboard has it.
        trained: The folder that holds what was trained.
        model: The pretrained model that it was trained from.
        test: The test split.
        tracker: Where the classifier is published.
        study_name: What the registered model is named after.
        metric: The study's.
        seed: Of the bootstrap behind the intervals of the test score.
        times_tested_before: How often a champion of this study was tested on the split.
        before_publishing: Called when the test is done; what it raises leaves nothing published.

    Raises:
        ModelError: The folder is damaged.
    """
    classifier = load_trained(trained, load_base=lambda _name, _revision: model)
    score = final_test(classifier, test, metric=metric, seed=seed)
    before_publishing()
    champion = Champion(
        number=source.lead,
        value=best.value,
        test=score,
        registered_name=registered_name(study_name),
        times_tested=times_tested_before + 1,
    )
    tracker.log({f"test/{name}": value for name, value in score.metrics.items()})
    _publish(champion, best, classifier, tracker, study_name, metric)
    return champion


def publish_again(
    champion: Champion,
    best: Entry,
    trained: Path,
    *,
    model: PretrainedModel,
    tracker: StudyTracker,
    study_name: str,
    metric: Metric,
) -> None:
    """Publish a champion once more that MLflow has lost. The test split is not looked at: its score
    is known.

    Args:
        trained: As for `promote`, and what is raised.
    """
    classifier = load_trained(trained, load_base=lambda _name, _revision: model)
    _publish(champion, best, classifier, tracker, study_name, metric)


def _publish(
    champion: Champion,
    best: Entry,
    classifier: TextClassifier,
    tracker: StudyTracker,
    study_name: str,
    metric: Metric,
) -> None:
    model = classifier.classifier.model
    with TemporaryDirectory(prefix="hpo-champion-") as folder:
        whole = Path(folder) / "model"
        save_transformers(
            whole,
            classifier.classifier,
            classifier.task,
            classifier.label_names,
            classifier.max_length,
            classifier.preprocessing,
        )
        metrics = {f"test/{name}": value for name, value in champion.test.metrics.items()}
        card = _card(champion, best, model.name, study_name, metric, classifier.label_names)
        calls = how_to_call(
            champion.registered_name,
            classifier.max_length,
            model.tokenizer,
            classifier.preprocessing,
        )
        tracker.publish_champion(
            whole,
            f"{card}\n\n{calls}",
            {f"val/best_{metric}": champion.value, **metrics},
            champion.number,
            times_tested=champion.times_tested,
            move=True,
        )


def _card(
    champion: Champion,
    best: Entry,
    base_model: str,
    study_name: str,
    metric: Metric,
    label_names: tuple[str, ...],
) -> str:
    intervals = champion.test.intervals
    rows = [
        f"| {name} | {value:.4f} | {intervals[name][0]:.4f} – {intervals[name][1]:.4f} |"
        for name, value in champion.test.metrics.items()
    ]
    params = [f"| {name} | {value} |" for name, value in best.params.items()]
    return "\n".join(
        [
            f"# {study_name}",
            "",
            f"GPT-2 text classifier: `{base_model}` fine-tuned to {_purpose(champion, label_names)}.",
            f"The best of the study's trials by validation {metric}: trial {best.number}, "
            f"{best.value:.4f}.",
            "",
            f"On the test split ({champion.test.texts} texts, looked at "
            f"{champion.times_tested} time(s)):",
            "",
            "| metric | test | 95 % interval |",
            "|---|---|---|",
            *rows,
            *card_section(champion.test, metric, label_names),
            *_label_table(champion, label_names),
            "",
            "Parameters:",
            "",
            "| parameter | value |",
            "|---|---|",
            *params,
        ]
    )


def _purpose(champion: Champion, label_names: tuple[str, ...]) -> str:
    """What the model does, in words that follow `fine-tuned to`."""
    shown = ", ".join(label_names[:10]) + (" …" if len(label_names) > 10 else "")
    if champion.test.confusion:
        return f"tell {len(label_names)} classes apart ({shown})"
    if champion.test.label_counts:
        return f"find which of {len(label_names)} labels a text has ({shown})"
    return f"give a text a number ({shown})"


def _label_table(champion: Champion, label_names: tuple[str, ...]) -> list[str]:
    """Each label's precision, recall and F1, where a text may have several."""
    rows = [
        f"| {name.replace('|', chr(92) + '|')} | {texts} | {right / max(given, 1):.4f} "
        f"| {right / max(texts, 1):.4f} | {2 * right / max(texts + given, 1):.4f} |"
        for name, (texts, given, right) in zip(
            label_names, champion.test.label_counts, strict=False
        )
    ]
    head = ["", "| label | texts | precision | recall | F1 |", "|---|---|---|---|---|"]
    return [*head, *rows] if rows else []
