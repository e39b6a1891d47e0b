"""A champion's parameters trained once more on more texts: what is remembered of it, and how it is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hpo.model.pretrained import PretrainedModel
from hpo.results.card import how_to_call
from hpo.results.champion import Champion
from hpo.results.champion_model import load_champion, save_champion
from hpo.results.champion_source import ChampionSource
from hpo.spec.study import Metric
from hpo.storage.storage import Storage
from hpo.studies.memory import recall
from hpo.tracking.keys import REFIT_ALIAS
from hpo.tracking.tracker import StudyTracker

REFIT_KEY: Final = "refit"
"""Under which a study remembers it."""


@dataclass(frozen=True)
class Refit:
    """What was trained once more.

    Attributes:
        on: Which splits, as the study file says it.
        number: The trial whose parameters these are.
        texts: How many there are in these splits.
        epochs: For how long.
        seconds: That it took to train; None of one by an earlier release.
    """

    on: str
    number: int
    texts: int
    epochs: float
    registered_name: str
    seconds: float | None = None

    @property
    def uri(self) -> str:
        """Where it loads from."""
        return f"models:/{self.registered_name}@{REFIT_ALIAS}"

    @property
    def key(self) -> str:
        """Tells it from every other model of the study."""
        return f"refit-{self.on.replace('+', '-')}"

    def as_json(self) -> dict[str, Any]:
        """Facts for programs."""
        return {**asdict(self), "uri": self.uri}

    def in_words(self) -> str:
        """A line for people."""
        return f"Refit: {self.made_in_words}"

    @property
    def made_in_words(self) -> str:
        """`models:/reviews@refit, trial 7 trained once more for 2.00 epochs on train+validation (1,700 texts)`."""
        splits = "all texts, those of the test split among them" if self.on == "all" else self.on
        return (
            f"{self.uri}, trial {self.number} trained once more for {self.epochs:.2f} epochs "
            f"on {splits} ({self.texts:,} texts)"
        )


def known_refit(storage: Storage, study_id: int) -> Refit | None:
    """What a study remembers of it; None where there is none."""
    told = recall(storage, study_id, REFIT_KEY)
    if not isinstance(told, dict):
        return None
    facts: Mapping[str, Any] = told
    return Refit(**{name: facts[name] for name in Refit.__dataclass_fields__ if name in facts})


def publish_refit(
    made: Refit,
    champion: Champion,
    trained: Path,
    *,
    model: PretrainedModel,
    tracker: StudyTracker,
    study_name: str,
    metric: Metric,
) -> None:
    """Register it beside the champion, as a version with an alias of its own.

    Args:
        made: What is told of it.
        champion: The champion, whose score is the estimate of its own.
        trained: The folder that it was written to.
        model: The pretrained model that it was trained from.
        tracker: Of the study.
        study_name: The study's.
        metric: The study's.

    Raises:
        TrackingError: The disk is full.
    """
    of_refit = load_champion(ChampionSource((made.number,)), [trained], model)
    # No text is left to fit one of its own to.
    predictor = of_refit.tempered(champion.test.temperature)
    calls = how_to_call(
        made.registered_name,
        predictor.max_length,
        predictor.model.tokenizer,
        predictor.preprocessing,
        problem_type=predictor.task.problem_type,
        alias=REFIT_ALIAS,
    )
    with TemporaryDirectory(prefix="hpo-refit-") as folder:
        whole = Path(folder) / "model"
        save_champion(whole, predictor, [trained])
        tracker.publish_champion(
            whole,
            f"{_card(made, champion, study_name, metric)}\n\n{calls}",
            {},
            made.number,
            times_tested=champion.times_tested,
            move=True,
            source_key=made.key,
            alias=REFIT_ALIAS,
        )


def _card(made: Refit, champion: Champion, study_name: str, metric: Metric) -> str:
    test, (low, high) = champion.test, champion.test.intervals[metric]
    none_left = (
        "No text is left that it was not trained on, so that nothing can ever be measured of it here."
        if made.on == "all"
        else "It was itself not tested, so that the test split is looked at no more often for it."
    )
    return "\n".join(
        [
            f"# {study_name}, trained once more",
            "",
            f"The parameters of the champion, trial {made.number}, trained on {made.on} "
            f"({made.texts:,} texts) for {made.epochs:.2f} epochs, after which "
            + (
                "it was best in its own training."
                if champion.confirmation is None
                else "its trainings with new seeds were best on average."
            ),
            "",
            f"{none_left} What is known of it is what the champion, trained on the training split "
            f"alone, had on the test split: {metric} {test.metrics[metric]:.4f} (95 % interval "
            f"{low:.4f} to {high:.4f}, {test.texts:,} texts). That is an estimate for these parameters "
            "trained on so many texts as the champion had; with more texts of the same kind this one "
            "is about as good or somewhat better, by how much nobody has measured.",
        ]
    )
