"""Where a campaign's study lives: its data, storage, tracking store, state and the log of what was acknowledged."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpo.demo.grammar import SPLIT_SIZES, demo_splits
from hpo.spec.locations import Locations
from hpo.spec.study import StudySpec
from hpo.spec.study_file import study_toml

STUDY = "campaign"
LAYERS = 4  # of the demo model
EVALUATIONS = 2  # of a trial that nothing cuts short
_EXAMPLES = {"train": 64, "validation": 60, "test": 60}


@dataclass(frozen=True)
class Place:
    """Paths and addresses of one scenario.

    log: what workers were told, one JSON object a line; own_state: another than the scenario's usual
    state folder, as a machine of its own has it, or a disk.
    """

    folder: Path
    storage_url: str
    tracking_uri: str
    data: Path
    cache: Path
    own_state: Path | None = None

    @property
    def state(self) -> Path:
        return self.own_state or self.folder / ".hpo"

    @property
    def log(self) -> Path:
        return self.folder / "acknowledged.jsonl"

    @property
    def locations(self) -> Locations:
        return Locations(self.storage_url, self.tracking_uri, self.state, self.cache, 10**9)

    def spec(self, trials: int, *, pruner: Any = "none", seed: int = 0) -> StudySpec:
        """A study of trials that take a fraction of a second and write a checkpoint."""
        return StudySpec.model_validate(
            {
                "study": {"name": STUDY, "trials": trials, "seed": seed},
                "data": {"source": str(self.data)},
                "search": {
                    "sampler": "random",
                    "pruner": pruner,
                    "space": {
                        "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
                        "freeze_depth": {"low": 3, "high": "n_layer"},
                    },
                },
                "training": {
                    "epochs": 1,
                    "batch_size": 16,
                    "evaluations_per_epoch": EVALUATIONS,
                    "early_stopping": 0,
                    "checkpoint": "always",
                    "precision": "fp32",
                },
                "confirm": {"seeds": 0},
                # Enough for models to be logged and dropped all along.
                "tracking": {"keep": "top:6"},
            }
        )

    def study_file(self, trials: int, **more: Any) -> Path:
        """The same study as a file, for the commands."""
        path = self.folder / f"{STUDY}.toml"
        path.write_text(study_toml(self.spec(trials, **more)), encoding="utf-8")
        return path

    def environment(self) -> dict[str, str]:
        """Variables for a command that works here."""
        return {
            "HPO_STORAGE": self.storage_url,
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "HPO_STATE": str(self.state),
            "HPO_CACHE": str(self.cache),
        }

    def through(self, tracking_uri: str) -> Place:
        """The same place with another way to the tracking server."""
        return replace(self, tracking_uri=tracking_uri)

    def acknowledged(self) -> list[dict[str, Any]]:
        """What workers were told, each line whole: appended with one write."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def write_data(folder: Path) -> Path:
    """A folder of small splits, taken from the embedded data."""
    folder.mkdir(parents=True)
    for name, reviews in demo_splits().items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(("text", "label"))
            rows.writerows((r.text, r.label) for r in reviews[: _EXAMPLES[name]])
    assert set(SPLIT_SIZES) == set(_EXAMPLES)
    return folder
