"""What each key of a study file needs to make a difference; set without that, it is refused.

A key at its default is never refused, also where it is written out, as in the study file that MLflow
keeps. A new key has to be entered here, which a test holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel

from hpo.errors import StudyFileError
from hpo.spec.augment import RATES
from hpo.spec.options import option_fields, option_values
from hpo.spec.registry import MemberOf
from hpo.spec.space import Choice, IntRange, SearchSpace
from hpo.spec.study import DEMO, StudySpec
from hpo.spec.training import TrialParams

Need = Literal[
    "nothing",
    "a hub data set",
    "a source with several splits",
    "a validation split that is split off",
    "a source without a test split",
    "a hub model",
    "several labels in a cell of text",
    "text files",
    "several text columns",
    "tables of lines or cells",
    "a freeze_depth that leaves blocks to train",
    "an epoch after the first",
    "a rate of augmentation above 0",
    "augmentation by replaced or inserted words",
    "validation.folds of 2 or more",
    "one model a trial",
    "data with one label a text",
    "data with classes",
    "a method of an ensemble",
    "confirm.seeds of 1 or more",
    "a confirmation on texts that can be drawn anew",
]


@dataclass(frozen=True)
class OneOf:
    """The need that a training option is one of some names, or one that another package has added."""

    option: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        *most, last = self.names
        return f"the {self.option} {', '.join(most) + ' or ' if most else ''}{last}"

    def is_met_by(self, name: object) -> bool:
        """Whether a value of the option is one of them."""
        kinds = TrialParams.model_fields[self.option].metadata
        ours = [kind.registry.ours for kind in kinds if isinstance(kind, MemberOf)]
        return name in self.names or any(name not in names for names in ours)


_PLATEAU: Final = OneOf("schedule", ("plateau",))
_SGD: Final = OneOf("optimizer", ("sgd",))
_WITH_BETAS: Final = OneOf("optimizer", ("adamw", "adam", "lion", "muon", "schedule_free_adamw"))
_WITH_EPSILON: Final = OneOf(
    "optimizer", ("adamw", "adam", "adafactor", "muon", "schedule_free_adamw")
)

NEEDS: Final[Mapping[str, Need | OneOf]] = {
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
    "data.validation_fraction": "a validation split that is split off",
    "data.test_fraction": "a source without a test split",
    # Limits that are not reached are kept all the same.
    "data.max_length": "nothing",
    "data.max_train_examples": "nothing",
    "data.keep": "nothing",
    "data.task": "nothing",
    "data.label_delimiter": "several labels in a cell of text",
    "data.encoding": "text files",
    "data.header": "tables of lines or cells",
    "data.text_separator": "several text columns",
    "data.label_names": "data with classes",
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
    "training.momentum": _SGD,
    "training.dropout": "a freeze_depth that leaves blocks to train",
    "training.label_smoothing": "data with classes",
    "training.layer_decay": "a freeze_depth that leaves blocks to train",
    "training.max_grad_norm": "nothing",
    "training.nesterov": _SGD,
    "training.beta1": _WITH_BETAS,
    "training.beta2": _WITH_BETAS,
    "training.epsilon": _WITH_EPSILON,
    "training.head_learning_rate_factor": "nothing",
    "training.polynomial_power": OneOf("schedule", ("polynomial",)),
    "training.decay_ratio": OneOf("schedule", ("wsd",)),
    "training.plateau_patience": _PLATEAU,
    "training.plateau_factor": _PLATEAU,
    "training.augment.delete": "an epoch after the first",
    "training.augment.swap": "an epoch after the first",
    "training.augment.replace": "an epoch after the first",
    "training.augment.insert": "an epoch after the first",
    "training.augment.characters": "an epoch after the first",
    "training.augment.variants": "a rate of augmentation above 0",
    "training.augment.table": "augmentation by replaced or inserted words",
    "training.unfreeze": "a freeze_depth that leaves blocks to train",
    "training.unfreeze_epochs": OneOf("unfreeze", ("two_stage", "gradual")),
    "training.head": "data with one label a text",
    "training.head_dropout": "nothing",
    "training.class_weight": "data with classes",
    "training.focal_gamma": "data with classes",
    "training.early_stopping": "nothing",
    "training.evaluations_per_epoch": "nothing",
    "training.precision": "nothing",
    "training.checkpoint": "nothing",
    "tracking.keep": "one model a trial",
    "tracking.system_metrics": "nothing",
    "tracking.shown_texts": "nothing",
    "validation.folds": "nothing",
    "validation.group": "validation.folds of 2 or more",
    "validation.order": "validation.folds of 2 or more",
    "ensemble.method": "one model a trial",
    "ensemble.size": "a method of an ensemble",
    "confirm.top": "confirm.seeds of 1 or more",
    "confirm.seeds": "nothing",
    "confirm.validation": "a confirmation on texts that can be drawn anew",
    "confirm.refit": "one model a trial",
}


def idle_keys(
    section: str, values: BaseModel, lacking: Need | OneOf
) -> Iterator[tuple[str, object]]:
    """Keys of a section, with values that are not their defaults, that need what a study lacks."""
    fields = option_fields(type(values))
    for name, value in option_values(values):
        if NEEDS[f"{section}.{name}"] == lacking and value != fields[name].default:
            yield f"{section}.{name}", value


def idle_searched(space: SearchSpace, lacking: Need | OneOf) -> Iterator[str]:
    """Searched options that need what a study lacks."""
    for option in space:
        if NEEDS[f"training.{option}"] == lacking:
            yield f"search.space.{option}"


def lacking_by_itself(spec: StudySpec, space: SearchSpace) -> Iterator[tuple[Need | OneOf, str]]:
    """What a study lacks as its file stands, before data and model are looked at; and why."""
    if spec.data.source == DEMO:
        yield "a hub data set", "the data are the demo's"
    if spec.model.name == DEMO:
        yield "a hub model", "the model is the demo's"
    for need in dict.fromkeys(need for need in NEEDS.values() if isinstance(need, OneOf)):
        searched, fixed = space.get(need.option), getattr(spec.training, need.option)
        values = searched.values if isinstance(searched, Choice) else (fixed,)
        if not any(need.is_met_by(value) for value in values):
            yield need, f"the {need.option} is {' or '.join(map(str, values))}"
    if _most_epochs(spec, space) == 1:
        yield "an epoch after the first", "texts are varied when they are read once more"
    used = [rate for rate in RATES if _is_used(spec, space, rate)]
    if not used:
        yield "a rate of augmentation above 0", "all of them are 0"
    if not {"replace", "insert"} & set(used):
        yield "augmentation by replaced or inserted words", "augment.replace and .insert are 0"
    folds = spec.validation.folds
    if folds:
        yield "a validation split that is split off", f"validation.folds is {folds}"
        yield "one model a trial", f"validation.folds is {folds}"
        yield "a confirmation on texts that can be drawn anew", f"validation.folds is {folds}"
    else:
        yield "validation.folds of 2 or more", "validation.folds is 0"
    if spec.ensemble.method == "none":
        yield "a method of an ensemble", "ensemble.method is none"
    if not spec.confirm.seeds:
        yield "confirm.seeds of 1 or more", "confirm.seeds is 0"
        yield "a confirmation on texts that can be drawn anew", "confirm.seeds is 0"
    if spec.cleaning.bounds_lengths:
        why = "of the training texts only some lengths are left"
        yield "a confirmation on texts that can be drawn anew", why


def _most_epochs(spec: StudySpec, space: SearchSpace) -> int:
    dimension = space.get("epochs")
    if isinstance(dimension, Choice):
        return max(int(value) for value in dimension.values)
    if isinstance(dimension, IntRange):
        assert dimension.high is not None, "n_layer is of freeze_depth alone"
        return dimension.high
    return spec.training.epochs


def _is_used(spec: StudySpec, space: SearchSpace, rate: str) -> bool:
    return f"augment.{rate}" in space or getattr(spec.training.augment, rate) > 0


def refuse_idle(section: str, values: BaseModel, lacking: Need | OneOf, why: str) -> None:
    """Raise StudyFileError where a key of the section is set that does nothing without what is lacking."""
    for key, value in idle_keys(section, values, lacking):
        raise StudyFileError(key, **idle(repr(value), lacking, why))


def idle(found: str, lacking: Need | OneOf, why: str) -> dict[str, str]:
    """The words of the error for a setting that would do nothing."""
    return {
        "found": f"{found}, but {why}",
        "expected": f"{lacking}, without which it does nothing",
        "hint": "Remove it.",
    }
