"""The errors that people see: each says where, what was found, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

from hpo.printable import printable
from hpo.redaction import redact_text


class HpoError(Exception):
    """A fault that a person can put right, told in one line.

    Attributes:
        place: The file, key, row, option or URL at fault.
        found: What stands there.
        expected: What should.
        hint: One short sentence in the imperative that says what to do about it.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, place: str, *, found: str, expected: str, hint: str) -> None:
        super().__init__(place, found, expected, hint)
        self.place = place
        self.found = found
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        return printable(f"{self.place}: found {self.found}; expected {self.expected}. {self.hint}")

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.place, self.found, self.expected, self.hint))


def _rebuild(kind: type[HpoError], place: str, found: str, expected: str, hint: str) -> HpoError:
    return kind(place, found=found, expected=expected, hint=hint)


class StudyFileError(HpoError):
    """The study file cannot be read, or a key or value in it is wrong."""


class OptionError(HpoError):
    """A command-line option or an environment variable is wrong."""


class DataError(HpoError):
    """The labelled text cannot be read or cannot serve for training."""


class ModelError(HpoError):
    """The model or its tokenizer cannot be loaded or does not fit the study."""


class StorageError(HpoError):
    """The Optuna storage cannot be reached, or holds something that clashes with this study."""


class StudyGoneError(StorageError):
    """A study is not, or no longer, in the storage."""


class DiskError(HpoError):
    """Checkpoints or kept models cannot be written."""


class TrackingError(HpoError):
    """The MLflow tracking server or store cannot be used."""


class ServerError(HpoError):
    """A server that we started does not serve."""

    exit_code = 1


class StudyFailedError(HpoError):
    """The study was stopped because its trials keep failing."""

    exit_code = 1


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name most like a mistyped one, or None where nothing is near."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def first_line(error: BaseException) -> str:
    """What another library's error says, short enough for a message."""
    return redact_text((str(error).strip().splitlines() or [type(error).__name__])[0])[:160]
