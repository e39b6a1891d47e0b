"""HPO_LOG: how much of what the libraries and we log is shown."""

from __future__ import annotations

from collections.abc import Mapping

from hpo.errors import OptionError

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
