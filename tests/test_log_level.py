"""Log records as people read them: our warnings like every other, all else in full."""

from __future__ import annotations

import logging

import pytest

from hpo.log_level import formatter_for


@pytest.mark.parametrize(
    ("name", "level", "message", "given", "told"),
    [
        ("hpo.leases", "WARNING", "Trial %s is left", "A%", "warning: trial A% is left"),
        ("hpo.data", "WARNING", "%s is damaged", "Study 1", "warning: Study 1 is damaged"),
        ("hpo.data", "WARNING", "MLflow lacks %s", "it", "warning: MLflow lacks it"),
        ("hpo.runtime", "ERROR", "Trial %s failed", "7", "… ERROR hpo.runtime: Trial 7 failed"),
        ("hpoo", "WARNING", "Trial %s is left", "7", "… WARNING hpoo: Trial 7 is left"),
    ],
)
def test_our_warnings_are_told_as_every_other(
    name: str, level: str, message: str, given: str, told: str
) -> None:
    record = logging.LogRecord(name, getattr(logging, level), "", 0, message, (given,), None)
    said = formatter_for({}).format(record)
    assert said.endswith(told.removeprefix("…"))
    assert said.startswith("warning: ") == told.startswith("warning: ")
    in_full = formatter_for({"HPO_LOG": "WARNING"}).format(record)
    assert in_full.endswith(f" {level} {name}: {message % given}")
