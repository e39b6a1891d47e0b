"""A folder in which two studies were run, for all tests that look at them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.finished_studies import run_study


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tokens and hidden states."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def studied(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A folder with the studies `first` and `second`."""
    folder = tmp_path_factory.mktemp("studied")
    run_study(folder, cache)
    run_study(folder, cache, "--name", "second", "--set", "training.optimizer=sgd")
    return folder
