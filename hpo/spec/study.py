"""The study as typed values: what a study file says, validated, with every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from hpo.spec.cleaning import CleaningSection, Keep
from hpo.spec.confirm import ConfirmSection
from hpo.spec.encodings import is_encoding
from hpo.spec.ensemble import EnsembleSection
from hpo.spec.numbers import LARGEST_WHOLE, whole
from hpo.spec.registries import DATA_FORMATS, METRICS, PRUNERS, SAMPLERS
from hpo.spec.registry import MemberOf
from hpo.spec.training import TrainingSection

Metric = Annotated[str, MemberOf(METRICS)]
Direction = Literal["maximize", "minimize"]
TaskName = Literal["single_label", "multi_label", "regression"]
SamplerName = Annotated[str, MemberOf(SAMPLERS)]
PrunerName = Annotated[str, MemberOf(PRUNERS)]

DEMO = "demo"
MAX_NAME_CHARACTERS = 200
MOST_TRIALS = 1_000_000
MOST_FOLDS = 100


def direction_of(metric: Metric) -> Direction:
    """Whether more or less of the metric is better.

    Raises:
        KeyError: There is no such metric.
    """
    direction: Direction = METRICS[metric].direction
    return direction


def _column_or_columns(value: object) -> object:
    columns = value if isinstance(value, list) and len(value) > 1 else [value]
    if not all(isinstance(column, str) for column in columns):
        raise ValueError("a column, or a list of two columns or more")
    if not all(columns):
        raise PydanticCustomError("string_too_short", "some text")
    return value


Columns = Annotated[str | list[str], BeforeValidator(_column_or_columns)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class StudySection(_Section):
    """`[study]`: what is wanted, and how much may be spent on it."""

    name: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_NAME_CHARACTERS,
        pattern=r"^[^/\s:][^/:\n]*$",
        description="name of the study, its MLflow experiment and its registered model; "
        "left out, the file's name",
    )
    description: str = Field("", description="a sentence for the people who will read the results")
    metric: Metric = Field(
        "accuracy", description="what the best trial is best at, on the validation split"
    )
    trials: int = Field(
        50, ge=1, le=MOST_TRIALS, description="finished trials that the study should have"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="everything random follows from it")


class DataSection(_Section):
    """`[data]`: where the labelled text is and how it is read."""

    source: str = Field(
        DEMO,
        min_length=1,
        description=f"a file ({', '.join(DATA_FORMATS.ours)}), a folder of splits, an address "
        '(`https://…`), a hub id, or "demo"',
    )
    config: str | None = Field(None, min_length=1, description="configuration of a hub data set")
    revision: str | None = Field(
        None, min_length=1, description="branch, tag or commit of a hub data set"
    )
    text: Columns | None = Field(
        None,
        description="column of the texts; left out, found by convention; a list: joined to one text",
    )
    label: Columns | None = Field(
        None,
        description="column of the labels; left out, found by convention; "
        "a list: columns of 0 and 1, one for each label that a text may have",
    )
    train_split: str = Field("train", min_length=1, description="name of the training split")
    validation_split: str | None = Field(
        None,
        min_length=1,
        description="name of the validation split; left out, found, "
        "or split off the training split",
    )
    test_split: str | None = Field(
        None,
        min_length=1,
        description="name of the test split; left out, found, or split off the training split",
    )
    validation_fraction: float = Field(
        0.1,
        gt=0,
        lt=0.9,
        description="share of the training split that is split off for validation",
    )
    test_fraction: float = Field(
        0.1, gt=0, lt=0.9, description="share of the training split that is split off for the test"
    )
    max_length: int | None = Field(
        None,
        ge=1,
        le=LARGEST_WHOLE,
        description="tokens kept of each text; left out, 256, or the model's positions if fewer",
    )
    max_train_examples: int | None = Field(
        None,
        ge=1,
        le=LARGEST_WHOLE,
        description="a stratified sample of the training split of this size",
    )
    keep: Keep | None = Field(
        None,
        description="which tokens of a text of more than max_length are read; "
        "left out, as the model's tokenizer truncates, which is the head as a rule",
    )
    task: TaskName | Literal["auto"] = Field(
        "auto",
        description="one class for each text, any number of labels, or a number; "
        "`auto` takes lists, label_delimiter and several label columns for multi_label",
    )
    label_delimiter: str | None = Field(
        None,
        min_length=1,
        description="what parts the labels in a cell of text, for multi_label: `,`",
    )
    encoding: str | None = Field(
        None,
        min_length=1,
        description="of text files, as Python names it; left out, UTF-8, or found with a warning",
    )
    header: bool = Field(
        True,
        description="whether the first line of a table names its columns; "
        "without it they are called 1, 2, …",
    )

    text_separator: str = Field(
        " ", min_length=1, description="what stands between the texts of several columns"
    )
    label_names: list[str] | dict[str, str] | None = Field(
        None,
        min_length=2,
        description="names for the values of the label column: a list for 0, 1, … or 1, 2, …, "
        "or a table of value and name",
    )

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str | None) -> str | None:
        if encoding is not None and not is_encoding(encoding):
            raise ValueError("an encoding that Python knows, such as utf-8 or latin-1")
        return encoding


class ModelSection(_Section):
    """`[model]`: the pretrained model that every trial starts from."""

    name: str = Field(
        DEMO, min_length=1, description='hub id or local directory of a GPT-2 model, or "demo"'
    )
    revision: str | None = Field(
        None, min_length=1, description="branch, tag or commit of a hub model"
    )


class Plugin(BaseModel):
    """A sampler or pruner by name, with options that are passed on to its Optuna class."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @property
    def options(self) -> Mapping[str, Any]:
        return self.model_extra or {}


class SamplerChoice(Plugin):
    name: SamplerName


class PrunerChoice(Plugin):
    name: PrunerName


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class SearchSection(_Section):
    """`[search]`: how the next trial is chosen, and when a trial is given up."""

    sampler: Annotated[SamplerChoice, BeforeValidator(_named)] = Field(
        SamplerChoice(name="tpe"),
        description="a name, or a table with `name` and options of the Optuna class",
    )
    pruner: Annotated[PrunerChoice, BeforeValidator(_named)] = Field(
        PrunerChoice(name="hyperband"),
        description="a name, or a table with `name` and options of the Optuna class",
    )
    space: dict[str, Any] = Field(
        default_factory=lambda: dict(DEFAULT_SPACE),
        description="the searched options: a list of values, or a table with low, high, log, step",
    )


class TrackingSection(_Section):
    """`[tracking]`: what is kept of the trials."""

    keep: str = Field(
        "top:2",
        description="which trials' models stay in MLflow: `all`, `top:K` or `best`",
    )
    system_metrics: bool = Field(
        False, description="CPU, memory and GPU of the worker as metrics `system/…` of each trial"
    )
    shown_texts: int = Field(
        10, ge=0, le=100, description="validation texts of a kind in the report; 0: none is kept"
    )

    @field_validator("keep")
    @classmethod
    def _known_policy(cls, keep: str) -> str:
        head, _, count = keep.partition(":")
        if keep in ("all", "best"):
            return keep
        kept = whole(count) if head == "top" and count.isdecimal() else None
        if kept is None or kept < 1:
            raise ValueError("all, best or top:K with K of 1 or more")
        if kept > MOST_TRIALS:
            raise ValueError(f"all, best or top:K with K of {MOST_TRIALS} at most")
        return keep

    @property
    def kept_models(self) -> int | None:
        """How many trials' models stay; None means all of them."""
        if self.keep == "all":
            return None
        return 1 if self.keep == "best" else int(self.keep.partition(":")[2])


class ValidationSection(_Section):
    """`[validation]`: what a trial's score is measured on."""

    folds: int = Field(
        0,
        ge=0,
        le=MOST_FOLDS,
        description="0: on the validation split; 2 or more: on so many folds of the training split "
        "in turn, of which a trial's score is the mean",
    )
    group: str | None = Field(
        None,
        min_length=1,
        description="column of groups (authors, products), none of which is ever on both sides",
    )
    order: str | None = Field(
        None,
        min_length=1,
        description="column of times or numbers: each fold is validated on what comes after "
        "its training texts",
    )

    @field_validator("folds")
    @classmethod
    def _more_than_one(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("0 for the validation split, or 2 folds or more")
        return folds

    @field_validator("order")
    @classmethod
    def _one_column(cls, order: str | None, info: ValidationInfo) -> str | None:
        if order is not None and info.data.get("group") is not None:
            raise ValueError("nothing, for validation.group is set, and folds go by one column")
        return order

    @property
    def column(self) -> str | None:
        """The column that folds go by, if they go by one."""
        return self.group or self.order


DEFAULT_SPACE: Mapping[str, Any] = {
    "learning_rate": {"low": 1e-6, "high": 1e-3, "log": True},
    "batch_size": [8, 16, 32, 64],
    "epochs": {"low": 1, "high": 5},
    "freeze_depth": {"low": 0, "high": "n_layer"},
}


class StudySpec(_Section):
    """A whole study file, validated. `study.name` is set once it has come through `read_study`."""

    study: StudySection = StudySection()
    data: DataSection = DataSection()
    cleaning: CleaningSection = CleaningSection()
    model: ModelSection = ModelSection()
    search: SearchSection = SearchSection()
    training: TrainingSection = TrainingSection()
    tracking: TrackingSection = TrackingSection()
    validation: ValidationSection = ValidationSection()
    ensemble: EnsembleSection = EnsembleSection()
    confirm: ConfirmSection = ConfirmSection()

    @property
    def name(self) -> str:
        assert self.study.name is not None, "a spec gets its name when it is read"
        return self.study.name

    @property
    def direction(self) -> Direction:
        return direction_of(self.study.metric)

    @property
    def kept_models(self) -> int | None:
        """How many trials' models stay while the search goes on; None means all.

        A trial over folds has several and keeps none. Those that will be confirmed stay till then.
        """
        kept = self.tracking.kept_models
        if self.validation.folds or kept is None:
            return 0 if self.validation.folds else None
        return max(kept, self.confirm.top) if self.confirm.seeds else kept
