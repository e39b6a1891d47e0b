"""HPO_LOG: how much of what the libraries and we log is shown, and how."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from hpo.errors import OptionError
from hpo.redaction import LogFormatter, RedactingFormatter

_IN_FULL = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def log_level(environment: Mapping[str, str]) -> str:
    """The level that HPO_LOG names; warnings and worse where it names none.

    Raises:
        OptionError: It names none of them.
    """
    given = environment.get("HPO_LOG", "")
    name = given.strip().upper() or "WARNING"
    if name not in _LEVELS:
        raise OptionError(
            "HPO_LOG",
            found=repr(given),
            expected="one of " + ", ".join(_LEVELS),
            hint="Set HPO_LOG=INFO, or leave it out.",
        )
    return name


def formatter_for(environment: Mapping[str, str]) -> logging.Formatter:
    """How a command shows log records: in full, with time and module, to whom has asked for a level of them."""
    in_full = environment.get("HPO_LOG", "").strip()
    return RedactingFormatter(_IN_FULL) if in_full else LogFormatter(_IN_FULL)
