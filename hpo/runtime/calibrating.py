"""What a finished model answers its validation texts: the temperature comes of it, and what people are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from hpo.data.folds import validated_texts
from hpo.data.labelled import Split
from hpo.model.predictor import Predictor
from hpo.results.calibration import temperature_for
from hpo.results.champion_source import ChampionSource
from hpo.results.hard_texts import HARD_TEXTS_KEY, hard_texts
from hpo.runtime.member_models import validation_answers
from hpo.runtime.session import Session
from hpo.studies.memory import remember
from hpo.studies.trial_probabilities import kept_probabilities
from hpo.tasks.task import Probabilities, Task

_Model = TypeVar("_Model", bound=Predictor)


@dataclass(frozen=True, eq=False)
class Validated:
    """Texts that a model was validated on.

    Attributes:
        split: The texts and their labels.
        answers: What it gives them without a temperature, (texts, scores).
    """

    split: Split
    answers: Probabilities


def validated(session: Session, predictor: Predictor, number: int) -> Validated | None:
    """The answers of a model to texts that it was not trained on; None where they are not kept.

    Of a trial over folds, whose classifier was trained on all of them at the end, the answers count
    that its folds gave to the texts that each had left out.

    Args:
        session: Of the study.
        predictor: Without a temperature.
        number: The trial that it is made of, or the best of several.
    """
    data = session.prepared.data
    if not data.folds:
        return Validated(data.validation, validation_answers(session, predictor))
    positions = validated_texts(data.folds)
    kept = kept_probabilities(session.study).get(number)
    if kept is None or len(kept) != len(positions):
        return None
    return Validated(data.train.take(positions), kept)


def calibrated(predictor: _Model, known: Validated | None) -> _Model:
    """The model with the temperature at which the labels of some texts are the likeliest.

    Args:
        predictor: Without a temperature; an ensemble gets one as a whole.
        known: The texts, none of which it was trained on; None: it is as it was.
    """
    if known is None:
        return predictor
    temperature = temperature_for(predictor.task, known.answers, known.split.labels)
    return predictor.tempered(temperature)


def keep_hard_texts(
    session: Session, source: ChampionSource, task: Task, known: Validated | None
) -> None:
    """Keep with the study what its report shows of a champion's validation texts, or that it shows none.

    Args:
        session: Of the study.
        source: What the champion is made of.
        task: As it is answered, with its temperature.
        known: Its validation texts.
    """
    study, data = session.study, session.prepared.data
    count, kept = study.spec.tracking.shown_texts, None
    if known is not None and count:
        kept = hard_texts(
            task,
            known.answers,
            known.split,
            data.label_names,
            count=count,
            source=source.as_json(),
            folds=len(data.folds),
        ).as_json()
    remember(study.storage, study.study_id, HARD_TEXTS_KEY, kept)
