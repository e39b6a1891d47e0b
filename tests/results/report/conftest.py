"""A storage with a finished study, whose names and words are as bad as they may be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hpo.results.report.facts import StudyFacts, read_facts
from hpo.storage.storage import Storage, open_storage
from tests.results.report.studies import add_study

EVIL = "<script>alert(1)"
DESCRIPTION = "</script><img src=x onerror=alert(2)> <!-- & more"


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    path = tmp_path_factory.mktemp("report") / "optuna.db"
    with open_storage(f"sqlite:///{path}") as storage:
        add_study(storage, EVIL, 40, description=DESCRIPTION)
        add_study(storage, "by loss", 12, finished=False, metric="log_loss")
        add_study(storage, "nothing yet", 0, finished=False)
        yield storage


@pytest.fixture(scope="session")
def facts(studies: Storage) -> StudyFacts:
    return read_facts(studies, EVIL)
