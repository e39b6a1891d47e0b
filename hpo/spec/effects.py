"""What each key of a study file needs to make a difference; set without that, it is refused.

A key at its default is never refused, also where it is written out, as in the study file that MLflow
keeps. A new key has to be entered here, which a test holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from pydantic import BaseModel

from hpo.errors import StudyFileError
from hpo.spec.augment import RATES
from hpo.spec.options import option_fields, option_values
from hpo.spec.space import Choice, SearchSpace
from hpo.spec.study import DEMO, StudySpec

Need = Literal[
    "nothing",
    "a hub data set",
    "a source with several splits",
    "a source without a validation split",
    "a source without a test split",
    "a hub model",
    "text files",
    "tables of lines or cells",
    "the optimizer sgd",
    "a freeze_depth that leaves blocks to train",
    "a rate of augmentation above 0",
    "augmentation by replaced or inserted words",
]

NEEDS: Final[Mapping[str, Need]] = {
    "study.name": "nothing",
    "study.description": "nothing",
    "study.metric": "nothing",
    "study.trials": "nothing",
    "study.seed": "nothing",
    "data.source": "nothing",
    "data.config": "a hub data set",
    "data.revision": "a hub data set",
    "data.text": "nothing",
    "data.label": "nothing",
    "data.train_split": "a source with several splits",
    "data.validation_split": "a source with several splits",
    "data.test_split": "a source with several splits",
    "data.validation_fraction": "a source without a validation split",
    "data.test_fraction": "a source without a test split",
    # Limits that are not reached are kept all the same.
    "data.max_length": "nothing",
    "data.max_train_examples": "nothing",
    "data.keep": "nothing",
    "data.encoding": "text files",
    "data.header": "tables of lines or cells",
    "cleaning.html": "nothing",
    "cleaning.urls": "nothing",
    "cleaning.unicode": "nothing",
    "cleaning.lowercase": "nothing",
    "cleaning.whitespace": "nothing",
    "cleaning.min_words": "nothing",
    "cleaning.max_words": "nothing",
    "cleaning.near_duplicates": "nothing",
    "model.name": "nothing",
    "model.revision": "a hub model",
    # Options that sampler or pruner would not take are refused by them.
    "search.sampler": "nothing",
    "search.pruner": "nothing",
    "search.space": "nothing",
    "training.learning_rate": "nothing",
    "training.batch_size": "nothing",
    "training.epochs": "nothing",
    "training.freeze_depth": "nothing",
    "training.weight_decay": "nothing",
    "training.warmup_ratio": "nothing",  # a constant rate is warmed up too
    "training.schedule": "nothing",
    "training.optimizer": "nothing",
    "training.momentum": "the optimizer sgd",
    "training.dropout": "a freeze_depth that leaves blocks to train",
    "training.label_smoothing": "nothing",
    "training.layer_decay": "a freeze_depth that leaves blocks to train",
    "training.max_grad_norm": "nothing",
    "training.augment.delete": "nothing",
    "training.augment.swap": "nothing",
    "training.augment.replace": "nothing",
    "training.augment.insert": "nothing",
    "training.augment.characters": "nothing",
    "training.augment.variants": "a rate of augmentation above 0",
    "training.augment.table": "augmentation by replaced or inserted words",
    "training.early_stopping": "nothing",
    "training.evaluations_per_epoch": "nothing",
    "training.precision": "nothing",
    "training.checkpoint": "nothing",
    "tracking.keep": "nothing",
    "tracking.system_metrics": "nothing",
}


def idle_keys(section: str, values: BaseModel, lacking: Need) -> Iterator[tuple[str, object]]:
    """Keys of a section, with values that are not their defaults, that need what a study lacks."""
    fields = option_fields(type(values))
    for name, value in option_values(values):
        if NEEDS[f"{section}.{name}"] == lacking and value != fields[name].default:
            yield f"{section}.{name}", value


def idle_searched(space: SearchSpace, lacking: Need) -> Iterator[str]:
    """Searched options that need what a study lacks."""
    for option in space:
        if NEEDS[f"training.{option}"] == lacking:
            yield f"search.space.{option}"


def lacking_by_itself(spec: StudySpec, space: SearchSpace) -> Iterator[tuple[Need, str]]:
    """What a study lacks as its file stands, before data and model are looked at; and why."""
    if spec.data.source == DEMO:
        yield "a hub data set", "the data are the demo's"
    if spec.model.name == DEMO:
        yield "a hub model", "the model is the demo's"
    searched = space.get("optimizer")
    optimizers = searched.values if isinstance(searched, Choice) else (spec.training.optimizer,)
    if "sgd" not in optimizers:
        yield "the optimizer sgd", f"the optimizer is {optimizers[0]}"
    used = [rate for rate in RATES if _is_used(spec, space, rate)]
    if not used:
        yield "a rate of augmentation above 0", "all of them are 0"
    if not {"replace", "insert"} & set(used):
        yield "augmentation by replaced or inserted words", "augment.replace and .insert are 0"


def _is_used(spec: StudySpec, space: SearchSpace, rate: str) -> bool:
    return f"augment.{rate}" in space or getattr(spec.training.augment, rate) > 0


def refuse_idle(section: str, values: BaseModel, lacking: Need, why: str) -> None:
    """Raise StudyFileError where a key of the section is set that does nothing without what is lacking."""
    for key, value in idle_keys(section, values, lacking):
        raise StudyFileError(key, **idle(repr(value), lacking, why))


def idle(found: str, lacking: Need, why: str) -> dict[str, str]:
    """The words of the error for a setting that would do nothing."""
    return {
        "found": f"{found}, but {why}",
        "expected": f"{lacking}, without which it does nothing",
        "hint": "Remove it.",
    }
