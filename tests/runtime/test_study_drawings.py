"""A report that cannot be made costs a warning, and neither the champion nor the command's end."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from hpo.runtime.study_drawings import log_report
from hpo.storage.storage import open_storage


def test_a_report_that_cannot_be_made_is_told_in_one_line(
    caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    with (
        open_storage(f"sqlite:///{tmp_path}/optuna.db") as storage,
        caplog.at_level(logging.WARNING),
    ):
        session: Any = SimpleNamespace(study=SimpleNamespace(storage=storage, name="gone"))
        log_report(session)
    (told,) = caplog.messages
    assert told.startswith("study gone: no report is logged to MLflow: StudyGoneError: ")
    assert len(told.splitlines()) == 1
