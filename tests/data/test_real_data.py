from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("name", "classes", "splits"),
    [
        ("sst2", 2, (6_917, 872, 1_821)),
        ("trec", 6, (4_882, 546, 500)),
        ("chn_hotel", 2, (6_212, 776, 777)),
        ("banking77", 77, (8_993, 1_002, 3_080)),
    ],
)
def test_real_folders_load_whole_but_for_copies(
    shared_data: Path, load, name: str, classes: int, splits: tuple[int, int, int]
) -> None:
    data = load(shared_data / name)
    assert len(data.label_names) == classes
    assert (len(data.train), len(data.validation), len(data.test)) == splits
    assert all("left out of the" in warning for warning in data.warnings)


def test_imdb_gets_a_validation_split_off_its_training_split(shared_data: Path, load) -> None:
    data = load(shared_data / "imdb")
    assert (len(data.train), len(data.validation), len(data.test)) == (22_389, 2_488, 25_000)
    assert data.label_names == ("negative", "positive")
    shares = [np.bincount(s.labels) / len(s) for s in (data.train, data.validation, data.test)]
    assert np.abs(np.array(shares) - 0.5).max() < 0.01
    unused, shared = data.warnings
    assert "1 file is not used (unlabelled.parquet)" in unused
    assert "123 texts are also in the test split" in shared


@pytest.mark.parametrize(
    ("name", "fingerprint"),
    [
        ("sst2", "92e5f0691b01ef281b9add9b2d7460d2716b7bc8ec2a0c5c504dcc43d20206a7"),
        ("trec", "c1c907607fb1f7a923f920509a25bfe7e138697210c659dd1db66677f38ddfb4"),
    ],
)
def test_splits_and_samples_of_classes_stay_what_stored_studies_know_them_by(
    shared_data: Path, load, name: str, fingerprint: str
) -> None:
    assert load(shared_data / name, max_train_examples=500, seed=3).fingerprint == fingerprint
