"""Frozen features and their cache: the same numbers, made once, shared, whole or absent, within its limit."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from hpo.data.tokens import TokenizedSplit
from hpo.model.feature_cache import FeatureCache
from hpo.model.frozen_blocks import FrozenBlocks
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.pretrained import PretrainedModel
from tests.model.feature_files import PLENTY, depths_in, read
from tests.model.tiny_gpt2 import random_split, tiny

LENGTHS = [3, 30, 7, 7, 1, 12]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PretrainedModel:
    return tiny(tmp_path_factory.mktemp("model"), n_layer=3)


@pytest.fixture(scope="module")
def split() -> TokenizedSplit:
    return random_split(LENGTHS)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("texts", [[0, 1, 2, 3, 4, 5], [4], [5, 1, 3], [2, 3]])
def test_reading_from_the_cache_is_computing(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path, depth: int, texts: list[int]
) -> None:
    cached = read(FrozenFeatures(model, cache=FeatureCache(tmp_path, PLENTY)), split, depth, texts)
    computed = read(FrozenFeatures(model, cache=None), split, depth, texts)
    torch.testing.assert_close(cached, computed, rtol=1e-5, atol=1e-5)
    assert len(cached) == (len(texts) if depth == 3 else sum(LENGTHS[text] for text in texts))


def test_a_file_is_made_once(model: PretrainedModel, split: TokenizedSplit, tmp_path: Path) -> None:
    calls: list[tuple[int, int, int]] = []
    for _ in range(2):
        features = FrozenFeatures(
            model,
            cache=FeatureCache(tmp_path, PLENTY),
            on_progress=lambda *call: calls.append(call),
        )
        for _ in range(2):
            features.states(split, "split", 2)
    assert calls == [(2, len(split), len(split))]


def test_a_deeper_one_goes_on_from_a_shallower(
    model: PretrainedModel,
    split: TokenizedSplit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = FrozenFeatures(model, cache=FeatureCache(tmp_path, PLENTY))
    features.states(split, "split", 1)
    runs: list[tuple[int, int]] = []
    run = FrozenBlocks.run

    def note(self: FrozenBlocks, hidden, layout, first: int, end: int):  # type: ignore[no-untyped-def]
        runs.append((first, end))
        return run(self, hidden, layout, first, end)

    monkeypatch.setattr(FrozenBlocks, "run", note)
    features.states(split, "split", 3)
    assert [run for run in runs if run[0] < run[1]] == [(1, 2), (2, 3)]
    assert depths_in(tmp_path) == {1, 2, 3}


def test_with_everything_frozen_one_vector_a_text_is_kept(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path
) -> None:
    FrozenFeatures(model, cache=FeatureCache(tmp_path, PLENTY)).states(split, "split", 3)
    sizes = {entry.depth: entry.size for entry in FeatureCache(tmp_path, 0).entries()}
    assert sizes == {1: 60 * 32 * 4, 2: 60 * 32 * 4, 3: 6 * 32 * 4}


def test_bf16_takes_half(model: PretrainedModel, split: TokenizedSplit, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, PLENTY)
    hidden = read(FrozenFeatures(model, cache=cache, dtype=torch.bfloat16), split, 1, [0, 1])
    assert hidden.dtype == torch.float32
    assert [entry.size for entry in cache.entries()] == [60 * 32 * 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_depth_is_the_same_however_it_came_about(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path, dtype: torch.dtype
) -> None:
    at_once = FrozenFeatures(model, cache=FeatureCache(tmp_path / "at once", PLENTY), dtype=dtype)
    expected = read(at_once, split, 3, [0, 1, 5])
    by_steps = FeatureCache(tmp_path / "by steps", PLENTY)
    for depth in (1, 2, 3):
        found = read(FrozenFeatures(model, cache=by_steps, dtype=dtype), split, depth, [0, 1, 5])
    assert torch.equal(found, expected)
    computed = read(FrozenFeatures(model, cache=None, dtype=dtype), split, 3, [0, 1, 5])
    tolerance = 1e-5 if dtype == torch.float32 else 2**-7
    torch.testing.assert_close(computed, expected, rtol=tolerance, atol=tolerance)


def test_other_texts_weights_and_dtypes_have_other_files(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "cache", PLENTY)
    other = tiny(tmp_path / "model", n_layer=3, seed=1)
    FrozenFeatures(model, cache=cache).states(split, "split", 1)
    FrozenFeatures(model, cache=cache).states(split, "validation", 1)
    FrozenFeatures(other, cache=cache).states(split, "split", 1)
    FrozenFeatures(model, cache=cache, dtype=torch.bfloat16).states(split, "split", 1)
    assert len(cache.entries()) == 4


# -- The limit


def test_a_cache_too_small_for_anything_is_done_without(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path
) -> None:
    features = FrozenFeatures(model, cache=FeatureCache(tmp_path, 100))
    expected = read(FrozenFeatures(model, cache=None), split, 2, [0, 1])
    torch.testing.assert_close(read(features, split, 2, [0, 1]), expected)
    assert depths_in(tmp_path) == set()


def test_builders_at_the_same_time_keep_the_limit_together(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path
) -> None:
    one = 60 * 32 * 4
    begun = threading.Barrier(4, timeout=30)

    def build(name: str) -> None:
        features = FrozenFeatures(model, cache=FeatureCache(tmp_path, 2 * one))
        begun.wait()
        features.states(split, name, 1)

    builders = [threading.Thread(target=build, args=(f"split {n}",)) for n in range(4)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert 0 < sum(entry.size for entry in FeatureCache(tmp_path, 0).entries()) <= 2 * one


def test_where_not_all_depths_fit_the_deepest_is_kept(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path
) -> None:
    one = 60 * 32 * 4
    features = FrozenFeatures(model, cache=FeatureCache(tmp_path, one + 10))
    expected = read(FrozenFeatures(model, cache=None), split, 2, [0, 1])
    torch.testing.assert_close(read(features, split, 2, [0, 1]), expected, rtol=1e-5, atol=1e-5)
    assert depths_in(tmp_path) == {2}
    assert features.states(split, "split", 2).stored_depth == 2


def test_with_everything_frozen_and_no_room_a_lower_depth_serves(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path, PLENTY)
    FrozenFeatures(model, cache=cache).states(split, "split", 2)
    full = FeatureCache(tmp_path, 1)
    states = FrozenFeatures(model, cache=full).states(split, "split", 3)
    assert states.stored_depth == 2
    expected = read(FrozenFeatures(model, cache=None), split, 3, [1, 4])
    found = read(FrozenFeatures(model, cache=full), split, 3, [1, 4])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_least_valuable_is_dropped_first(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path
) -> None:
    one = 60 * 32 * 4
    cache = FeatureCache(tmp_path, 4 * one)
    for key, depth, days in (("a", 2, 0), ("b", 1, 0), ("old", 2, 30)):
        before = set(cache.entries())
        FrozenFeatures(model, cache=cache).states(split, key, depth)
        for entry in set(cache.entries()) - before:
            when = time.time() - days * 86_400
            os.utime(entry.path, (when, when))
            if entry.depth < depth:
                entry.path.unlink()
    old = min(cache.entries(), key=lambda entry: entry.last_used).path
    FrozenFeatures(model, cache=cache).states(split, "c", 2)
    assert not old.exists()
    assert sum(entry.size for entry in cache.entries()) <= cache.limit
    assert len(cache.entries()) == 4


def test_what_is_read_counts_as_used(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path, PLENTY)
    FrozenFeatures(model, cache=cache).states(split, "split", 1)
    (entry,) = cache.entries()
    os.utime(entry.path, (1, 1))
    FrozenFeatures(model, cache=cache).states(split, "split", 1)
    assert cache.entries()[0].last_used > 1e9


def test_a_dropped_file_can_still_be_read_by_who_has_it(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path, PLENTY)
    features = FrozenFeatures(model, cache=cache)
    before = read(features, split, 1, [1, 2]).clone()
    for entry in cache.entries():
        entry.path.unlink()
    assert torch.equal(read(features, split, 1, [1, 2]), before)


# -- Faults


def test_a_file_of_the_wrong_size_is_made_anew(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path, PLENTY)
    expected = read(FrozenFeatures(model, cache=cache), split, 1, [0, 1])
    (entry,) = cache.entries()
    os.truncate(entry.path, entry.size // 2)
    assert torch.equal(read(FrozenFeatures(model, cache=cache), split, 1, [0, 1]), expected)
    assert cache.entries()[0].size == entry.size


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("suffix", [".bin", ".xxh3"])
def test_a_file_with_a_flipped_byte_is_told_of_once_and_made_anew(
    model: PretrainedModel,
    split: TokenizedSplit,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    depth: int,
    suffix: str,
) -> None:
    cache = FeatureCache(tmp_path, PLENTY)
    expected = read(FrozenFeatures(model, cache=cache), split, 3, [0, 1])
    [path] = tmp_path.glob(f"*/depth-{depth:02d}{suffix}")
    whole = path.read_bytes()
    for at in (0, len(whole) // 2, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[at] ^= 0x40
        path.write_bytes(damaged)
        caplog.clear()
        assert torch.equal(
            read(FrozenFeatures(model, cache=cache), split, depth, [0, 1]),
            read(
                FrozenFeatures(model, cache=FeatureCache(tmp_path / "other", PLENTY)),
                split,
                depth,
                [0, 1],
            ),
        )
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert path.read_bytes() == whole
    assert torch.equal(read(FrozenFeatures(model, cache=cache), split, 3, [0, 1]), expected)


def test_a_full_disk_is_done_without(
    model: PretrainedModel,
    split: TokenizedSplit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    features = FrozenFeatures(model, cache=FeatureCache(tmp_path, PLENTY))
    expected = read(FrozenFeatures(model, cache=None), split, 2, [0, 1])
    torch.testing.assert_close(read(features, split, 2, [0, 1]), expected)
    assert "No space left" in caplog.text
    assert not list(tmp_path.glob("*/*"))


def test_a_build_that_is_stopped_leaves_nothing(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path
) -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    features = FrozenFeatures(model, cache=FeatureCache(tmp_path, PLENTY), on_progress=stop)
    with pytest.raises(KeyboardInterrupt):
        features.states(split, "split", 2)
    assert not list(tmp_path.glob("*/*"))


def test_whoever_waits_for_another_is_asked_whether_to_go_on(
    model: PretrainedModel, split: TokenizedSplit, tmp_path: Path
) -> None:
    class Stopped(Exception):  # noqa: N818
        pass

    def stop(depth: int, done: int, texts: int) -> None:
        assert (depth, done, texts) == (1, 0, len(split))
        raise Stopped

    features = FrozenFeatures(model, cache=FeatureCache(tmp_path, PLENTY), on_progress=stop)
    key = features._key("split")
    with FileLock(tmp_path / f"{key}.lock"), pytest.raises(Stopped):
        features.states(split, "split", 1)
