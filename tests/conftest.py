"""What tests of several rooms have in common: real storages, SQLite files and a PostgreSQL server."""

import pytest
from hypothesis import settings

from hpo import redaction

pytest_plugins = ["tests.storages"]

# A busy machine must not fail a test: speed is for benchmarks.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def forget_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test gave as a password is a common word in another."""
    monkeypatch.setattr(redaction, "_given", {})
