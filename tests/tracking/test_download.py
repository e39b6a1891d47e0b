from __future__ import annotations

from pathlib import Path

import pytest

from hpo.tracking.tracker import StudyTracker


def open_tracker(folder: Path, state: str) -> StudyTracker:
    return StudyTracker.open(
        f"sqlite:///{folder}/mlflow.db",
        "a study",
        folder / state,
        study_uid="0123456789abcdef",
        study_file="",
        environment={},
    )


@pytest.mark.slow
def test_a_model_logged_by_one_machine_is_fetched_by_another(tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    trained.mkdir()
    (trained / "trained.safetensors").write_bytes(b"weights")
    (trained / "trial.json").write_text("{}")
    with open_tracker(tmp_path, "one") as tracker:
        run = tracker.start_trial(3, 1, {"epochs": 1})
        run.log_model(trained)
        run.finish("COMPLETE")
    with open_tracker(tmp_path, "other") as tracker:
        fetched = tracker.download_trial_model(3, tmp_path / "fetched")
        assert fetched is not None
        assert (fetched / "trained.safetensors").read_bytes() == b"weights"
        assert tracker.download_trial_model(4, tmp_path / "none") is None
