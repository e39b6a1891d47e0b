"""The data of a study, from its source to cleaned splits with a fingerprint."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hpo.data import checks
from hpo.data.cleaning import cleaned_source
from hpo.data.columns import find_columns, listed_columns
from hpo.data.downloads import Downloads
from hpo.data.filters import trained_on, without_near_duplicates
from hpo.data.fold_splits import ready_for_folds, with_splits_for_folds
from hpo.data.folds import make_folds
from hpo.data.joined_texts import with_joined_texts
from hpo.data.label_names import with_label_names
from hpo.data.labelled import LabelledData, Labels, Split
from hpo.data.labelling import Labelling, find_labelling
from hpo.data.source_tables import SourceTables
from hpo.data.sources import read_source
from hpo.data.split_checks import check_split_off, not_split_as_asked
from hpo.data.splits import limited, split_off
from hpo.data.table import Table, shortened
from hpo.errors import DataError
from hpo.spec.addresses import shown
from hpo.spec.cleaning import CleaningSection
from hpo.spec.effects import refuse_idle
from hpo.spec.study import ValidationSection

if TYPE_CHECKING:
    from hpo.spec.study import DataSection

__all__ = ["LabelledData", "Split", "load_data"]

logger = logging.getLogger(__name__)

_AS_IT_IS: Final = CleaningSection()
_NO_FOLDS: Final = ValidationSection()


@dataclass(frozen=True, eq=False)
class TextTables:
    """The splits of a source, as cleaned tables with the columns that are read.

    Attributes:
        columns: Those that the training split has.
        text: The column of the texts; where several were joined, of the joined ones.
        labels: The columns of the labels.
        warnings: What was guessed and cleaned, one line each.
    """

    source: SourceTables
    columns: tuple[str, ...]
    text: str
    labels: tuple[str, ...]
    warnings: tuple[str, ...]


def load_data(
    section: DataSection,
    *,
    seed: int,
    cleaning: CleaningSection = _AS_IT_IS,
    validation: ValidationSection = _NO_FOLDS,
    downloads: Downloads | None = None,
) -> LabelledData:
    """Read, check and split a study's data; the same section, seed and files give the same result.

    Rows without a text or a label are left out. Texts that two splits share stay in the test split,
    else in validation: what is measured on them is honest. Splits that the source lacks are split
    off the training split by class; `max_train_examples` samples what then remains of it. Cleaning
    comes before all of it, so that texts which it makes equal count as copies, but for its bounds of
    length, which are those of what is trained on. All that is left out is counted in the warnings.
    With folds there is no validation split: a given one is joined to the training split, which is
    divided into the folds.

    Raises:
        DataError: The source cannot be read or cannot serve.
        StudyFileError: A key of the section would do nothing with it.
    """
    tables = read_tables(section, cleaning, downloads)
    return labelled_data(tables, section, seed=seed, cleaning=cleaning, validation=validation)


def read_tables(
    section: DataSection,
    cleaning: CleaningSection = _AS_IT_IS,
    downloads: Downloads | None = None,
) -> TextTables:
    """Read the splits of a study's data, find the columns, and clean the texts.

    Raises:
        DataError: The source cannot be read, or has no such columns.
        StudyFileError: A key of the section would do nothing with it.
    """
    source = read_source(section, downloads)
    columns = source.train.names
    source, named_text = with_joined_texts(source, section)
    text, labels = find_columns(source.train, named_text, section.label)
    source = with_label_names(source, labels, section)
    cleaned, notes = cleaned_source(source, text, cleaning)
    return TextTables(cleaned, columns, text, labels, (*source.warnings, *notes))


def labelled_data(
    tables: TextTables,
    section: DataSection,
    *,
    seed: int,
    cleaning: CleaningSection = _AS_IT_IS,
    validation: ValidationSection = _NO_FOLDS,
) -> LabelledData:
    """What `load_data` gives, of tables that are read already.

    Raises:
        DataError: They cannot serve.
        StudyFileError: A key of the section would do nothing with them.
    """
    source, text, labels = tables.source, tables.text, tables.labels
    warnings = list(tables.warnings)

    train, labelling, notes = _training_split(source.train, text, labels, section)
    warnings += notes
    given, notes = _held_out_splits(source, text, labels, labelling, section)
    warnings += notes
    train, given, notes = _without_shared_texts(train, given)
    warnings += notes
    train, given, notes = ready_for_folds(train, given, source, validation)
    warnings += notes
    names = labelling.names
    if cleaning.near_duplicates is not None:
        train, notes = without_near_duplicates(train, given, cleaning.near_duplicates)
        warnings += notes
    warnings += checks.check_classes(train, given, names)
    warnings += checks.clashing_labels(train)
    lacking = [role for role in ("validation", "test") if role not in given]
    train, given, notes = with_splits_for_folds(
        train, given, section.test_fraction, validation, seed
    )
    warnings += notes
    splits, notes = _with_all_splits(train, given, section=section, names=names, seed=seed)
    warnings += notes
    train, held_out, test = splits["train"], splits["validation"], splits["test"]
    limit = partial(limited, most=section.max_train_examples, names=names, seed=seed)
    train, wanted, notes = trained_on(
        train, cleaning, names, limit, in_folds=bool(validation.folds)
    )
    warnings += notes

    logger.info(
        "%s: %d training, %d validation and %d test examples, labels %d (%s)",
        shown(section.source),
        len(train),
        len(held_out),
        len(test),
        len(names),
        labelling.task,
    )
    return LabelledData(
        train=train,
        validation=held_out,
        test=test,
        label_names=names,
        fingerprint=_fingerprint(names, train, held_out, test),
        source=shown(section.source),
        warnings=tuple(warnings),
        text_column=text,
        label_column=", ".join(labels),
        split_off=tuple(role for role in lacking if len(splits[role])),
        folds=make_folds(train, validation, names, seed=seed, wanted=wanted),
        trained_on=wanted,
        task=labelling.task,
    )


def _training_split(
    table: Table, text: str, columns: tuple[str, ...], section: DataSection
) -> tuple[Split, Labelling, tuple[str, ...]]:
    texts, kept, notes = checks.usable_texts(table, text)
    labelling = find_labelling(section, table, columns, kept)
    labels, missing = labelling.encode(table, kept, published=False)
    notes += checks.left_out(table, kept[missing], "label", *columns)
    split = _split(table, texts, kept, labels, ~missing)
    if labelling.doubtful_names:
        notes += checks.doubtful_classes(split, labelling.names)
    return split, labelling, notes


def _held_out_splits(
    source: SourceTables,
    text: str,
    columns: tuple[str, ...],
    labelling: Labelling,
    section: DataSection,
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The validation and the test split, as far as the source has them."""
    splits: dict[str, Split] = {}
    warnings: tuple[str, ...] = ()
    for role, table, named in (
        ("validation", source.validation, section.validation_split),
        ("test", source.test, section.test_split),
    ):
        split, notes = _held_out_split(table, text, columns, labelling, role, required=bool(named))
        warnings += notes
        if split is not None:
            splits[role] = split
    return splits, warnings


def _without_shared_texts(
    train: Split, given: Mapping[str, Split]
) -> tuple[Split, dict[str, Split], tuple[str, ...]]:
    """The splits without the texts they share, which stay in the test split, else in validation."""
    held_out = dict(given)
    warnings: tuple[str, ...] = ()
    if len(held_out) > 1:
        held_out["validation"], warnings = checks.without_texts_of(
            held_out["validation"], held_out["test"], role="validation", other_role="test"
        )
    for role, split in held_out.items():
        train, notes = checks.without_texts_of(train, split, role="training", other_role=role)
        warnings += notes
    return train, held_out, warnings


def _held_out_split(
    table: Table | None,
    text: str,
    columns: tuple[str, ...],
    labelling: Labelling,
    role: str,
    *,
    required: bool,
) -> tuple[Split | None, tuple[str, ...]]:
    """The validation or test split with the labels of training, or None where the source has none.

    A split without labels, as competitions publish for their test, counts as none unless it was
    asked for.
    """
    if table is None:
        return None, ()
    if not len(table):
        if not required:
            return None, (f"{table.place}: has no rows; the {role} split is split off",)
        raise DataError(
            table.place, found="no rows", expected=f"a {role} split", hint="Name another split."
        )
    _check_column(table, text, "--text-column")
    unlabelled = f"{table.place}: has no labels and is left out; the {role} split is split off"
    if not required and not set(columns) <= set(table.names):
        return None, (unlabelled,)
    for column in columns:
        _check_column(table, column, "--label-column")
    texts, kept, notes = checks.usable_texts(table, text)
    labels, missing = labelling.encode(table, kept, published=not required)
    if not required and missing.all():
        return None, (unlabelled,)
    notes += checks.left_out(table, kept[missing], "label", *columns)
    return _split(table, texts, kept, labels, ~missing), notes


def _split(
    table: Table,
    texts: list[str],
    kept: NDArray[np.int64],
    labels: Labels,
    labelled: NDArray[np.bool_],
) -> Split:
    whole = Split(tuple(texts), labels, table.rows[kept], table.place, table.row_noun)
    return whole if labelled.all() else whole.take(np.flatnonzero(labelled))


def _check_column(table: Table, column: str, option: str) -> None:
    if column not in table.names:
        raise DataError(
            table.place,
            found=listed_columns(table),
            expected=f"a column {shortened(column)}, as in the training split",
            hint=f"Rename the column, or name one that all splits have with {option}.",
        )


def _with_all_splits(
    train: Split,
    given: Mapping[str, Split],
    *,
    section: DataSection,
    names: tuple[str, ...],
    seed: int,
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The three splits; those that are not given are split off the training split."""
    wanted = {"test": section.test_fraction, "validation": section.validation_fraction}
    fractions = {role: fraction for role, fraction in wanted.items() if role not in given}
    if "validation" in given:
        refuse_idle("data", section, "a validation split that is split off", "the source has one")
    if "test" in given:
        refuse_idle("data", section, "a source without a test split", "the source has one")
    if not fractions:
        return {"train": train, **given}, ()
    if sum(fractions.values()) >= 1:
        raise DataError(
            "data.validation_fraction",
            found=f"{section.validation_fraction} and a test_fraction of {section.test_fraction}",
            expected="a sum below 1, so that rows remain for training",
            hint="Lower one of them.",
        )
    separated = split_off(train, list(fractions.values()), seed=seed)
    check_split_off(train, separated, fractions, names)
    notes = not_split_as_asked(train, separated, fractions, names)
    parts = dict(zip(fractions, map(train.take, separated.parts), strict=True))
    return {"train": train.take(separated.remaining), **given, **parts}, notes


def _fingerprint(label_names: tuple[str, ...], *splits: Split) -> str:
    """SHA-256 over all that training reads; each text goes in after its length."""
    digest = hashlib.sha256()
    for texts, labels in [(label_names, None), *((split.texts, split.labels) for split in splits)]:
        encoded = [text.encode() for text in texts]
        digest.update(np.array([len(encoded), *map(len, encoded)], dtype="<i8").tobytes())
        digest.update(b"".join(encoded))
        if labels is not None:
            form = "<i8" if labels.dtype.kind == "i" else "<f4"
            digest.update(labels.astype(form).tobytes())
    return digest.hexdigest()
