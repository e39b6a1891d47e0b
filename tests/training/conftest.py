from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tiny products gain nothing from a second thread and lose much where the cores are busy."""
    torch.set_num_threads(1)
