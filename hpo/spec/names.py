"""What a study's name becomes where not every text is allowed: files, registered models, keys.

Two names never become one: where characters have to change, or a name is too long in bytes, `~` and a digest
of the whole name are appended. A name that needs no change stays as it is, and never holds a `~`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from hpo.printable import why_unprintable

# Bytes, not characters: a file system takes 255 of them. What is put behind a name (a uid, `.lock`, the
# mark of a file that is being written) needs room too.
_LONGEST_FILE_BYTES = 100
# MLflow takes 256 characters; a study that has to give way to another of its name gets 33 more.
_LONGEST_MODEL_BYTES = 200
_LONGEST_KEY = 80
_DIGEST = 8  # hexadecimal digits
# With a character that no study's own name may have.
_CONFIRMATION = "/confirmation"


def why_no_name(name: str) -> str | None:
    """Why a text is no name for a study, in words; None where it is one."""
    for character in name:
        why = why_unprintable(character)
        if why is not None:
            return f"{why} in it"
    if not name.strip(" ."):
        return "only dots and spaces"
    if not any(character.isalnum() for character in name):
        return "without letter or digit"
    return None


def confirmation_name(study_name: str) -> str:
    """The name in the storage of what confirms a study, whose trials are trainings with new seeds."""
    return study_name + _CONFIRMATION


def confirmed_study(name: str) -> str | None:
    """The study that what has this name in the storage confirms; None where it is a study itself."""
    return name.removesuffix(_CONFIRMATION) if name.endswith(_CONFIRMATION) else None


def file_name(study_name: str) -> str:
    """The name of a study's folder, unlike any other study's where case does not count either."""
    unchanged = study_name == study_name.casefold() and study_name.strip(". ") == study_name
    return _fit(study_name, r"[^\w.-]+", _LONGEST_FILE_BYTES, unchanged=unchanged)


def model_name(study_name: str) -> str:
    """The name of a study's registered model."""
    unchanged = study_name.strip(" .") == study_name
    return _fit(study_name, r"[^\w .-]+", _LONGEST_MODEL_BYTES, unchanged=unchanged)


def logged_name(registered: str) -> str:
    """The name of a logged model: MLflow takes fewer characters there than in a registered model's."""
    return _fit(registered, r"[/:.%\"']", 2 * _LONGEST_MODEL_BYTES, substitute="-")


def key_part(text: str) -> str:
    """A study's name or uid inside the key of a run. The uid tells keys apart, the name is for people."""
    return re.sub(r"[^\w.+-]+", "_", text, flags=re.ASCII)[:_LONGEST_KEY]


def former_model_name(study_name: str) -> str:
    """The registered model of a study that was begun before names had digests: another's, perhaps."""
    return re.sub(r"[^\w .-]+", "_", study_name).strip(" .") or "study"


def former_file_name(study_name: str) -> str:
    """What a study's folder in `mlruns` was called then."""
    return re.sub(r"[^\w.-]+", "_", study_name)


def _fit(
    name: str, refused: str, longest: int, *, unchanged: bool = True, substitute: str = "_"
) -> str:
    """The name without what is refused, within so many bytes; unchanged: False where more is wrong with it."""
    clean = re.sub(refused, substitute, name)
    composed = unicodedata.normalize("NFC", name) == name  # some file systems take the two for one
    if unchanged and composed and clean == name and len(name.encode()) <= longest:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    start = clean.encode("utf-8", "replace")[: longest - _DIGEST - 1].decode("utf-8", "ignore")
    return f"{start.strip(' .') or 'study'}~{digest}"
