"""Real studies to look at, made by the command that people type: small, on one core, in some seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STUDY = """
[study]
description = "A first search on embedded data."
name = "first"
metric = "accuracy"
trials = {trials}

[data]
source = "demo"
max_train_examples = 400

[model]
name = "demo"

[search.space]
learning_rate = {{ low = 1e-4, high = 1e-2, log = true }}
batch_size = [16, 32]
epochs = {{ low = 1, high = 2 }}

[training]
freeze_depth = 4

[confirm]
seeds = 0
"""


def environment(cache: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without what would lead a command elsewhere."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HPO_", "MLFLOW_"))}
    return {
        **clean,
        "PYTHONPATH": str(ROOT),
        "HPO_CACHE": str(cache),
        "OMP_NUM_THREADS": "1",
        **(more or {}),
    }


def run_study(
    folder: Path,
    cache: Path,
    *arguments: str,
    trials: int = 6,
    more: Mapping[str, str] | None = None,
) -> str:
    """`python -m hpo.run` of a small study in a folder. Returns what it said."""
    (folder / "study.toml").write_text(STUDY.format(trials=trials))
    ended = subprocess.run(
        [sys.executable, "-m", "hpo.run", "study.toml", "--workers", "1", *arguments],
        cwd=folder,
        env=environment(cache, more),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr
