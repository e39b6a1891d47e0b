"""The champion: the best trial's classifier, tested once, registered, ready for transformers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hpo.data.sealed import Sealed
from hpo.data.tokens import TokenizedSplit
from hpo.model.predictor import Predictor
from hpo.model.pretrained import PretrainedModel
from hpo.results.appraisal import card_section
from hpo.results.card import how_to_call, members_section, purpose
from hpo.results.champion_model import load_champion, save_champion
from hpo.results.champion_source import ChampionSource
from hpo.results.confirmed import Confirmation
from hpo.results.final_test import TestScore, final_test
from hpo.results.leaderboard import Entry
from hpo.results.markdown_table import markdown_table, rounded
from hpo.results.score_card import score_sections
from hpo.spec.study import Metric
from hpo.tracking.keys import CHAMPION_ALIAS
from hpo.tracking.tracker import StudyTracker

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Champion:
    """The winner of a study.

    Attributes:
        number: The best of its trials.
        value: The study's metric on validation; of an ensemble the estimate that was handed in.
        times_tested: Looks at the test split so far, this one included.
        made_of: What it is made of, unless that is the trial alone.
        confirmation: What came of training the best trials again, unless that was not done.
    """

    number: int
    value: float
    test: TestScore
    registered_name: str
    times_tested: int
    made_of: ChampionSource | None = None
    confirmation: Confirmation | None = None

    @property
    def source(self) -> ChampionSource:
        """What it is made of."""
        return self.made_of or ChampionSource((self.number,))

    @property
    def looks_in_words(self) -> str:
        """`looked at once`, how often the test split was."""
        return f"looked at {'once' if self.times_tested == 1 else f'{self.times_tested} times'}"

    @property
    def uri(self) -> str:
        """Where it loads from, unless MLflow has lost it or somebody moved the alias."""
        return f"models:/{self.registered_name}@{CHAMPION_ALIAS}"

    def test_in_words(self, metric: str) -> str:
        """`0.9045 (95 % interval 0.8930 to 0.9165, 2000 texts, looked at once)`."""
        low, high = self.test.intervals[metric]
        return (
            f"{self.test.metrics[metric]:.4f} (95 % interval {low:.4f} to {high:.4f}, "
            f"{self.test.texts} texts, {self.looks_in_words})"
        )

    @property
    def confirmed_metrics(self) -> dict[str, float]:
        """What the confirmation came to, as MLflow is told."""
        found = {} if self.confirmation is None else self.confirmation.metrics
        return {f"val/{name}": value for name, value in found.items()}

    def as_json(self) -> dict[str, Any]:
        """Facts for `from_json`, which other processes may read."""
        document = asdict(self)
        for name in ("made_of", "confirmation"):
            document.pop(name)
        if self.made_of is not None:
            document["source"] = self.made_of.as_json()
        if self.confirmation is not None:
            document["confirmation"] = self.confirmation.as_json()
        return document

    @staticmethod
    def from_json(document: Mapping[str, object]) -> Champion:
        """The champion that `as_json` told of."""
        values = dict(document)
        test = values.pop("test")
        assert isinstance(test, dict)
        told = values.pop("source", None)  # earlier releases knew of one trial alone
        made_of = None if told is None else ChampionSource.from_json(told)  # type: ignore[arg-type]
        told = values.pop("confirmation", None)
        confirmation = None if told is None else Confirmation.from_json(told)  # type: ignore[arg-type]
        values |= {"made_of": made_of, "confirmation": confirmation}
        return Champion(test=TestScore.from_json(test), **values)  # type: ignore[arg-type]


def promote(
    source: ChampionSource,
    best: Entry,
    trained: Sequence[Path],
    *,
    predictor: Predictor,
    test: Sealed[TokenizedSplit],
    tracker: StudyTracker,
    study_name: str,
    registered_name: str,
    metric: Metric,
    seed: int,
    times_tested_before: int,
    value: float | None = None,
    confirmation: Confirmation | None = None,
    before_publishing: Callable[[], None] = lambda: None,
) -> Champion:
    """Make the study's champion: test the classifier of the source's trials and publish it.

    Args:
        source: What the champion is made of.
        best: The first of its trials, as the leaderboard has it.
        trained: The folder that holds what was trained; of an ensemble one a member, in the order of
            its combination.
        predictor: Loaded from there, as it is to be tested and published.
        test: The test split.
        tracker: Where the classifier is published.
        study_name: What the model's card is titled with.
        registered_name: The registered model's.
        metric: The study's.
        seed: Of the bootstrap behind the intervals of the test score.
        times_tested_before: How often a champion of this study was tested on the split.
        value: The metric on validation, of an ensemble an estimate on texts that it was not chosen by;
            None: the best trial's.
        confirmation: How the trial was chosen, where it was confirmed.
        before_publishing: Called when the test is done; what it raises leaves nothing published.
    """
    score = final_test(predictor, test, metric=metric, seed=seed)
    before_publishing()
    champion = Champion(
        number=source.lead,
        value=best.value if value is None else value,
        test=score,
        registered_name=registered_name,
        times_tested=times_tested_before + 1,
        made_of=None if source.how == "single" else source,
        confirmation=confirmation,
    )
    tracker.log({f"test/{name}": value for name, value in score.metrics.items()})
    tracker.log(champion.confirmed_metrics)
    _publish(champion, best, predictor, trained, tracker, study_name, metric)
    return champion


def publish_again(
    champion: Champion,
    best: Entry,
    trained: Sequence[Path],
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
    predictor = load_champion(champion.source, trained, model).tempered(champion.test.temperature)
    _publish(champion, best, predictor, trained, tracker, study_name, metric)


def _publish(
    champion: Champion,
    best: Entry,
    predictor: Predictor,
    trained: Sequence[Path],
    tracker: StudyTracker,
    study_name: str,
    metric: Metric,
) -> None:
    source = champion.source
    with TemporaryDirectory(prefix="hpo-champion-") as folder:
        whole = Path(folder) / "model"
        save_champion(whole, predictor, trained)
        metrics = {f"test/{name}": value for name, value in champion.test.metrics.items()}
        card = _card(champion, best, predictor, study_name, metric)
        calls = how_to_call(
            champion.registered_name,
            predictor.max_length,
            predictor.model.tokenizer,
            predictor.preprocessing,
            problem_type=predictor.task.problem_type,
            ensemble=source.how == "ensemble",
        )
        tracker.publish_champion(
            whole,
            f"{card}\n\n{calls}",
            {f"val/best_{metric}": champion.value, **champion.confirmed_metrics, **metrics},
            champion.number,
            times_tested=champion.times_tested,
            move=True,
            source_key=source.key,
        )


def _card(
    champion: Champion,
    best: Entry,
    predictor: Predictor,
    study_name: str,
    metric: Metric,
) -> str:
    label_names = predictor.label_names
    intervals = champion.test.intervals
    scores = [
        (name, f"{value:.4f}", f"{intervals[name][0]:.4f} – {intervals[name][1]:.4f}")
        for name, value in champion.test.metrics.items()
    ]
    params = [(name, rounded(value)) for name, value in best.params.items()]
    return "\n".join(
        [
            f"# {study_name}",
            "",
            f"GPT-2 text classifier: `{predictor.model.name}` fine-tuned to "
            f"{purpose(champion.test, label_names)}.",
            *_what_it_is(champion, best, metric),
            "",
            f"On the test split ({champion.test.texts} texts, {champion.looks_in_words}):",
            "",
            *markdown_table(("metric", "test", "95 % interval"), scores),
            *card_section(champion.test, metric, label_names),
            *score_sections(champion.test, label_names),
            "",
            "Parameters:" if champion.made_of is None else f"Parameters of trial {best.number}:",
            "",
            *markdown_table(("parameter", "value"), params),
        ]
    )


def _over_folds(best: Entry) -> str:
    """What the score is of and how the classifier came about, of a trial over folds."""
    if not best.folds:
        return ""
    epochs = "" if best.best_epoch is None else f" for {best.best_epoch:.2f} epochs"
    return (
        f" (mean and standard deviation over {best.folds} folds); "
        f"trained anew on the training texts of all folds together{epochs}"
    )


def _what_it_is(champion: Champion, best: Entry, metric: Metric) -> list[str]:
    source = champion.source
    if source.combination is not None:
        return members_section(source, champion.value, metric)
    chosen = champion.confirmation
    if chosen is None or chosen.champion is None:
        return [
            f"The best of the study's trials by validation {metric}: trial {best.number}, "
            f"{best.score_in_words()}{_over_folds(best)}.",
            *([] if chosen is None else ["", " ".join(chosen.in_words(metric))]),
        ]
    return [
        f"Trial {best.number} of the study, validation {metric} {best.score_in_words()}"
        f"{_over_folds(best)}, chosen among the best by trainings with new seeds. "
        "The weights are the trial's, not those of such a training.",
        "",
        " ".join(chosen.in_words(metric)),
    ]
