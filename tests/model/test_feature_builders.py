"""Two processes that build one file of hidden states, and one that is killed while it does."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hpo.model.feature_cache import FeatureCache
from hpo.model.frozen_features import FrozenFeatures
from tests.model.feature_files import PLENTY, depths_in, read
from tests.model.tiny_gpt2 import random_split, save_tiny

BUILDER = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from hpo.model.pretrained import load_pretrained
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.feature_cache import FeatureCache
from tests.model.tiny_gpt2 import random_split
from tests.model.test_frozen_features import PLENTY, depths_in, read
def progress(depth, done, texts):
    print(done, texts, flush=True)
    if done and done < texts:
        time.sleep(float(sys.argv[3]))
split = random_split([30] * 600)
model, cache = load_pretrained(sys.argv[1]), FeatureCache(Path(sys.argv[2]), 10**8)
features = FrozenFeatures(model, cache=cache, on_progress=progress)
print("ready", flush=True)
sys.stdin.readline()
features.states(split, "split", 2)
print("end", flush=True)
"""


def start_builder(model: Path, cache: Path, pause: float) -> subprocess.Popen[str]:
    builder = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(model), str(cache), str(pause)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert builder.stdout is not None
    assert builder.stdout.readline() == "ready\n"
    return builder


def go(builder: subprocess.Popen[str]) -> None:
    assert builder.stdin is not None
    builder.stdin.write("\n")
    builder.stdin.flush()


@pytest.mark.slow
def test_two_processes_make_a_file_once(tmp_path: Path) -> None:
    model, cache = save_tiny(tmp_path / "model", n_layer=3), tmp_path / "cache"
    builders = [start_builder(model, cache, 0.3) for _ in range(2)]
    for builder in builders:
        go(builder)
    told = [builder.communicate()[0].split("\n") for builder in builders]
    assert all(lines[-2] == "end" for lines in told)
    finished = [lines.count("600 600") for lines in told]
    assert sorted(finished) == [0, 1]
    assert depths_in(cache) == {1, 2}


@pytest.mark.slow
@pytest.mark.faults
def test_a_builder_killed_in_the_middle_leaves_nothing_that_is_used(tmp_path: Path) -> None:
    model, cache = save_tiny(tmp_path / "model", n_layer=3), tmp_path / "cache"
    with start_builder(model, cache, 60) as builder:
        go(builder)
        assert builder.stdout is not None
        assert builder.stdout.readline() != "600 600\n"
        builder.send_signal(signal.SIGKILL)
    assert depths_in(cache) == set()
    assert list(cache.glob("*/*.partial"))

    # Building something else sweeps up; building the same is done from the start.
    from hpo.model.pretrained import load_pretrained

    features = FrozenFeatures(load_pretrained(str(model)), cache=FeatureCache(cache, PLENTY))
    features.states(random_split([4, 5]), "other", 1)
    assert not list(cache.glob("*/*.partial"))
    split = random_split([30] * 600)
    found = read(features, split, 2, [0, 599, 7])
    expected = read(FrozenFeatures(features.model, cache=None), split, 2, [0, 599, 7])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
