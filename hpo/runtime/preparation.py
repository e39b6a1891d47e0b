"""From a study file to a trial context: data read and tokenised, model loaded, both checked against each other."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version

import torch

from hpo.data.cleaning import cleaning_steps
from hpo.data.dataset import LabelledData, load_data
from hpo.data.downloads import Downloads, size_of_downloads
from hpo.data.folds import fingerprint_of
from hpo.data.preprocessing import Preprocessing
from hpo.data.reading import Reading, reading_of
from hpo.data.replacement_table import ReplacementTable, read_replacements
from hpo.data.tokens import TokenizedData, tokenize, tokenize_texts
from hpo.errors import StudyFileError
from hpo.model.family import Architecture
from hpo.model.feature_cache import FeatureCache
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.model_files import is_on_the_hub
from hpo.model.pretrained import PretrainedModel, load_pretrained
from hpo.runtime.task_checks import check_against_task, lacking_in
from hpo.search.distributions import count_of, is_continuous
from hpo.spec.augment import RATES
from hpo.spec.effects import NEEDS, Need, idle, idle_searched, refuse_idle
from hpo.spec.locations import Locations
from hpo.spec.options import OptionValue, nested, option_values, options_in_use
from hpo.spec.space import Choice, FloatRange, IntRange, SearchSpace
from hpo.spec.study import StudySpec
from hpo.spec.study_file import search_space
from hpo.spec.training import SEARCHABLE_OPTIONS, TrialParams
from hpo.studies.fingerprints import Fingerprints
from hpo.studies.studies import check_plan
from hpo.tasks import task_named
from hpo.tasks.constant import same_answer
from hpo.tasks.task import Labels
from hpo.tracking.opening import DatasetInfo
from hpo.training.precision import pick_device, pick_dtype
from hpo.training.trial_context import TrialContext
from hpo.training.trial_data import StoredTexts, TrialData
from hpo.training.variants import TextVariants
from hpo.waiting import BreakOff

logger = logging.getLogger(__name__)

USUAL_MAX_LENGTH = 256
_FEW_POINTS = 16
_PACKAGES = (
    "hpo",
    "torch",
    "transformers",
    "optuna",
    "mlflow",
    "datasets",
    "numpy",
    "pytorch-optimizer",
    "scikit-learn",
)


@dataclass(frozen=True)
class Prepared:
    """A study's data and model, ready for trials in this process."""

    spec: StudySpec
    data: LabelledData
    context: TrialContext
    table: ReplacementTable | None = None

    @property
    def n_layer(self) -> int:
        return self.context.model.architecture.n_layer

    @property
    def fingerprints(self) -> Fingerprints:
        """What all trials of the study must share."""
        data, table = fingerprint_of(self.data.folds, self.data.fingerprint), self.table
        if table is not None:
            data = hashlib.sha256(f"{data}:{table.fingerprint}".encode()).hexdigest()
        return Fingerprints(data, self.context.model.fingerprint)

    @cached_property
    def reading(self) -> Reading:
        """What was read, in numbers."""
        data, context = self.data, self.context

        def same(labels: Labels) -> dict[str, float]:
            return same_answer(context.task, labels, data.label_names, [context.metric])

        return reading_of(
            data,
            context.data,
            truncation_side=context.model.tokenizer.truncation_side,
            same_answer=None if data.task == "single_label" else same,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What people should know of the data before they believe a score."""
        misleading = self.reading.large_class() if self.spec.study.metric == "accuracy" else None
        return (*self.data.warnings, *([misleading] if misleading else []))

    def dataset_info(self) -> DatasetInfo:
        """The data as MLflow is told of them."""
        data = self.data
        return DatasetInfo(
            name=data.source,
            digest=data.fingerprint[:32],
            source=data.source,
            examples={
                "train": len(data.train),
                **({} if data.folds else {"validation": len(data.validation)}),
                "test": len(data.test),
            },
        )

    def environment(self) -> dict[str, str]:
        """What may make a difference to the numbers besides the study file."""
        features, model = self.context.features, self.context.model
        return {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "device": torch.cuda.get_device_name() if features.device.type == "cuda" else "cpu",
            "threads": str(torch.get_num_threads()),
            "precision": str(features.dtype).removeprefix("torch."),
            "model": model.name,
            "model_fingerprint": model.fingerprint,
            "data_fingerprint": self.data.fingerprint,
            **{name: version(name) for name in _PACKAGES},
        }


@BreakOff.allowed()
def prepare(
    spec: StudySpec, locations: Locations, say: Callable[[str], None] = logger.info
) -> Prepared:
    """Read, check and tokenise the data, load and check the model. Writes nothing but caches.

    Args:
        spec: The study.
        locations: Where the caches are.
        say: Is told of downloads, in lines for people.

    Raises:
        DataError: The data cannot be read, or cannot serve for training.
        ModelError: The model cannot be loaded.
        StudyFileError: The file asks for what the model does not have.
    """
    if not is_on_the_hub(spec.model.name):
        refuse_idle("model", spec.model, "a hub model", f"{spec.model.name} is a directory")
    # The data first: a fault in somebody's own file should be told before a model is fetched.
    name = spec.training.augment.table
    table = None if name is None else read_replacements(name)
    data = load_data(
        spec.data,
        seed=spec.study.seed,
        cleaning=spec.cleaning,
        validation=spec.validation,
        downloads=Downloads(locations.cache, say, os.environ),
    )
    check_against_task(spec, data.task, data.label_names)
    model = load_pretrained(spec.model.name, spec.model.revision)
    max_length = check_against_model(spec, model)
    check_plan(spec, model.architecture.n_layer)
    _check_cleaning(spec, model)
    tokens = tokenize(
        data,
        model.tokenizer,
        tokenizer_fingerprint=model.tokenizer_fingerprint,
        max_length=max_length,
        preprocessing=Preprocessing(spec.cleaning, spec.data.keep),
        cache_dir=locations.cache,
    )
    device = pick_device()
    cache = None
    if locations.cache_limit is not None:
        room = max(0, locations.cache_limit - size_of_downloads(locations.cache))
        cache = FeatureCache(locations.cache / "prefix", room)
    features = FrozenFeatures(
        model,
        cache=cache,
        dtype=pick_dtype(spec.training.precision, device, model.architecture.width),
        device=device,
    )
    metric, settings = spec.study.metric, spec.training
    variants = variants_of(spec, data.train.texts, tokens, model, table)
    folds = tuple(
        TrialData(StoredTexts("train", fold.train), StoredTexts("train", fold.validation))
        for fold in data.folds
    )
    task = task_named(data.task)
    whole = StoredTexts("train", data.trained_on)
    context = TrialContext(model, tokens, features, task, metric, settings, variants, folds, whole)
    return Prepared(spec, data, context, table)


def variants_of(
    spec: StudySpec,
    texts: Sequence[str],
    tokens: TokenizedData,
    model: PretrainedModel,
    table: ReplacementTable | None,
) -> TextVariants:
    """The variants of the training texts, of which none is made yet.

    Args:
        texts: Those of `tokens.train`, as they were read.
        table: What words are replaced by, where the study names such a table.
    """
    return TextVariants(
        texts,
        tokens.train,
        partial(
            tokenize_texts,
            tokenizer=model.tokenizer,
            max_length=tokens.max_length,
            preprocessing=tokens.preprocessing.again,
        ),
        seed=spec.study.seed,
        preprocessing=tokens.preprocessing.again,
        table=table,
        kept=_trials_share_variants(search_space(spec)),
    )


def check_against_model(spec: StudySpec, model: PretrainedModel) -> int:
    """The study's max_length.

    Raises:
        StudyFileError: Freeze depth or length exceed the model, or leave a setting nothing to do.
    """
    architecture = model.architecture
    depth, place = _deepest(spec)
    if depth > architecture.n_layer:
        raise StudyFileError(
            place,
            found=f"freeze depth {depth}",
            expected=f"at most {architecture.n_layer}, the layers of {model.name}",
            hint='Lower it, or write high = "n_layer".',
        )
    if _shallowest(spec) == architecture.n_layer:
        lacking: Need = "a freeze_depth that leaves blocks to train"
        why = f"all {architecture.n_layer} blocks are frozen"
        refuse_idle("training", spec.training, lacking, why)
        for key in idle_searched(search_space(spec), lacking):
            raise StudyFileError(key, **idle("a searched option", lacking, why))
    return max_length_of(spec, architecture, model.name)


def _check_cleaning(spec: StudySpec, model: PretrainedModel) -> None:
    """Raise StudyFileError where the exported tokenizer could not clean as the study does."""
    if cleaning_steps(spec.cleaning) and not hasattr(model.tokenizer, "backend_tokenizer"):
        raise StudyFileError(
            "cleaning",
            found=f"cleaning with the tokenizer of {model.name}, which cannot take the rules over",
            expected="a tokenizer with a tokenizer.json",
            hint="Leave [cleaning] out, or save the model's fast tokenizer beside it.",
        )


def trial_params(spec: StudySpec, sampled: Mapping[str, OptionValue]) -> TrialParams:
    """A point of the search space with the options that are not searched."""
    values = dict(option_values(spec.training))
    fixed = {option: values[option] for option in SEARCHABLE_OPTIONS}
    return TrialParams.model_validate(nested({**fixed, **sampled}))


def told_params(spec: StudySpec, params: TrialParams, task: str) -> dict[str, OptionValue | None]:
    """What people are told of a trial's options, by name.

    Nothing of tables that the study leaves off, nor of what does nothing in its task: several labels
    a text have sigmoids, whatever the head is.
    """
    idle = {*lacking_in(task)}
    told = options_in_use(params, spec.search.space)
    return {name: value for name, value in told.items() if NEEDS[f"training.{name}"] not in idle}


def _trials_share_variants(space: SearchSpace) -> bool:
    """Whether the rates that are searched are few enough for trials to have the same ones."""
    points = 1
    for rate in RATES:
        dimension = space.get(f"augment.{rate}")
        if isinstance(dimension, FloatRange) and is_continuous(dimension):
            return False
        points *= 1 if dimension is None else count_of(rate, dimension)
    return points <= _FEW_POINTS


def _deepest(spec: StudySpec) -> tuple[int, str]:
    dimension = search_space(spec).get("freeze_depth")
    if dimension is None:
        return spec.training.freeze_depth, "training.freeze_depth"
    place = "search.space.freeze_depth"
    if isinstance(dimension, Choice):
        return max(int(value) for value in dimension.values), place
    assert isinstance(dimension, IntRange), "freeze_depth is a whole number"
    return (dimension.low if dimension.high is None else dimension.high), place


def _shallowest(spec: StudySpec) -> int:
    dimension = search_space(spec).get("freeze_depth")
    if dimension is None:
        return spec.training.freeze_depth
    if isinstance(dimension, Choice):
        return min(int(value) for value in dimension.values)
    assert isinstance(dimension, IntRange), "freeze_depth is a whole number"
    return dimension.low


def max_length_of(spec: StudySpec, architecture: Architecture, model_name: str) -> int:
    """The tokens that a study keeps of each text.

    Raises:
        StudyFileError: It asks for more than the model has positions.
    """
    asked = spec.data.max_length
    if asked is None:
        return min(USUAL_MAX_LENGTH, architecture.n_positions)
    if asked > architecture.n_positions:
        raise StudyFileError(
            "data.max_length",
            found=str(asked),
            expected=f"at most {architecture.n_positions}, the positions of {model_name}",
            hint="Lower it, or leave it out.",
        )
    return asked
