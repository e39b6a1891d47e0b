from __future__ import annotations

import json
import logging
import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hpo.data.labelled import LabelledData, Split
from hpo.data.tokens import TokenizedData, tokenize, tokenize_texts
from hpo.errors import DataError

WORDS = {word: number for number, word in enumerate(["?", "<pad>", *"abcdefghij"])}


def word_tokenizer() -> PreTrainedTokenizerFast:
    """One token for each letter between spaces; other words are token 0, full stops are none."""
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="?"))
    tokenizer.normalizer = normalizers.Replace(Regex(r"\."), "")
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?", pad_token="<pad>")


def data_of(
    train: Sequence[str] = ("a b c", "d"),
    validation: Sequence[str] = ("e f",),
    test: Sequence[str] = ("g", "h", "i j i j i j"),
    fingerprint: str = "f00d",
) -> LabelledData:
    splits = [
        Split(tuple(texts), np.arange(len(texts), dtype=np.int64) % 2)
        for texts in (train, validation, test)
    ]
    return LabelledData(*splits, ("bad", "good"), fingerprint, "here", ())


class Forbidden(PreTrainedTokenizerFast):
    """A tokenizer that must not be asked: what it would say is in the store."""

    def __call__(self, *args: object, **keys: object) -> object:
        raise AssertionError("tokenised again")


def forbidden() -> Forbidden:
    return Forbidden(tokenizer_object=word_tokenizer().backend_tokenizer)


def stored(
    cache: Path | None,
    tokenizer: PreTrainedTokenizerFast | None = None,
    data: LabelledData | None = None,
    max_length: int = 4,
    tokenizer_fingerprint: str = "t0",
) -> TokenizedData:
    return tokenize(
        data or data_of(),
        tokenizer or word_tokenizer(),
        tokenizer_fingerprint=tokenizer_fingerprint,
        max_length=max_length,
        cache_dir=cache,
    )


def plain(tokens: TokenizedData) -> list[list[list[int]]]:
    return [
        [
            split.tokens[start:end].tolist()
            for start, end in zip(split.offsets[:-1], split.offsets[1:], strict=True)
        ]
        for split in (tokens.train, tokens.validation, tokens.test.unsealed())
    ]


EXPECTED = [[[2, 3, 4], [5]], [[6, 7]], [[8], [9], [10, 11, 10, 11]]]


@pytest.mark.parametrize("cached", [False, True])
def test_splits_become_runs_of_tokens_with_offsets(tmp_path: Path, cached: bool) -> None:
    tokens = stored(tmp_path if cached else None)
    assert plain(tokens) == EXPECTED
    assert tokens.test.unsealed().tokens.dtype == np.int32
    assert tokens.test.unsealed().offsets.dtype == tokens.test.unsealed().labels.dtype == np.int64
    assert tokens.test.unsealed().offsets.tolist() == [0, 1, 2, 6]
    assert tokens.test.unsealed().lengths.tolist() == [1, 1, 4]
    assert tokens.test.unsealed().labels.tolist() == [0, 1, 0]
    assert len(tokens.test) == 3
    assert (tokens.label_names, tokens.max_length) == (("bad", "good"), 4)
    assert list(tmp_path.iterdir()) == ([tmp_path / "tokens"] if cached else [])


def test_the_store_is_read_instead_of_the_texts(tmp_path: Path) -> None:
    first = stored(tmp_path)
    again = stored(tmp_path, forbidden())
    assert plain(again) == EXPECTED
    assert again.fingerprint == first.fingerprint
    for tokens in (first, again):
        assert isinstance(tokens.train.tokens, np.memmap)
        assert not tokens.train.tokens.flags.writeable


def test_data_tokenizer_and_length_each_have_entries_of_their_own(tmp_path: Path) -> None:
    tokens = [
        stored(tmp_path),
        stored(tmp_path, max_length=2),
        stored(tmp_path, tokenizer_fingerprint="t1"),
        stored(tmp_path, data=data_of(fingerprint="beef")),
    ]
    assert len({some.fingerprint for some in tokens}) == 4
    assert len(list((tmp_path / "tokens").iterdir())) == 4
    assert tokens[1].test.unsealed().lengths.tolist() == [1, 1, 2]


def entry_of(cache: Path) -> Path:
    (entry,) = (cache / "tokens").iterdir()
    return entry


def truncate(entry: Path) -> None:
    path = entry / "train.tokens.npy"
    path.write_bytes(path.read_bytes()[:-4])


def flip(entry: Path) -> None:
    path = entry / "test.tokens.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def remove_array(entry: Path) -> None:
    (entry / "validation.labels.npy").unlink()


def remove_manifest(entry: Path) -> None:
    (entry / "manifest.json").unlink()


def empty_manifest(entry: Path) -> None:
    (entry / "manifest.json").write_text("")


def list_in_manifest(entry: Path) -> None:
    (entry / "manifest.json").write_text("[[]]")


def short_manifest(entry: Path) -> None:
    (entry / "manifest.json").write_text(json.dumps({}))


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        flip,
        remove_array,
        remove_manifest,
        empty_manifest,
        list_in_manifest,
        short_manifest,
    ],
)
def test_a_damaged_entry_is_made_anew(
    tmp_path: Path, damage, caplog: pytest.LogCaptureFixture
) -> None:
    stored(tmp_path)
    damage(entry_of(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert plain(stored(tmp_path)) == EXPECTED
    assert "damaged and are made anew" in caplog.text
    assert plain(stored(tmp_path, forbidden())) == EXPECTED
    entry_of(tmp_path)


def test_an_entry_that_goes_away_leaves_the_arrays_that_are_mapped(tmp_path: Path) -> None:
    tokens = stored(tmp_path)
    remove_manifest(entry_of(tmp_path))
    stored(tmp_path)
    assert plain(tokens) == EXPECTED


def test_a_store_that_cannot_be_written_is_gone_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tokens").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert plain(stored(tmp_path)) == EXPECTED
    assert "cannot be kept" in caplog.text


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with caplog.at_level(logging.WARNING):
        assert plain(stored(tmp_path)) == EXPECTED
    assert "No space left on device" in caplog.text
    assert list((tmp_path / "tokens").iterdir()) == []


def test_what_a_killed_writer_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, new = tmp_path / "tokens" / ".old.partial", tmp_path / "tokens" / ".young.partial"
    for path in (old, new):
        path.mkdir(parents=True)
    day_before = time.time() - 25 * 3600
    os.utime(old, (day_before, day_before))
    stored(tmp_path)
    assert not old.exists()
    assert new.exists()


def test_a_text_without_tokens_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        stored(tmp_path, data=data_of(validation=["a", "...", "b"]))
    assert str(caught.value).startswith(
        "the texts, row 2: found a validation text that gives no tokens ('...')"
    )
    assert not (tmp_path / "tokens").exists()


def test_more_texts_than_are_tokenised_at_once_keep_their_order(tmp_path: Path) -> None:
    texts = [" ".join("abcdefghij"[: 1 + index % 4]) for index in range(5_000)]
    tokens = stored(None, data=data_of(train=texts))
    assert plain(tokens)[0] == [[2, 3, 4, 5][: 1 + index % 4] for index in range(5_000)]


def test_texts_alone_can_be_tokenised() -> None:
    tokens = tokenize_texts(["a b", ".", "c"], word_tokenizer(), max_length=4)
    assert tokens.tokens.tolist() == [2, 3, WORDS["<pad>"], 4]
    assert tokens.offsets.tolist() == [0, 2, 3, 4]


def test_padding_tokens_at_the_end_of_a_text_are_not_kept() -> None:
    texts = ["a <pad> b <pad> <pad>", "<pad> <pad>", "<pad> a", "a b c <pad> <pad>"]
    pad = WORDS["<pad>"]
    expected = [[2, pad, 3], [pad], [pad, 2], [2, 3, 4]]
    assert plain(stored(None, data=data_of(train=texts), max_length=5))[0] == expected
    alone = tokenize_texts(texts, word_tokenizer(), max_length=5)
    assert alone.lengths.tolist() == [3, 1, 2, 3]
    assert alone.tokens.tolist() == [2, pad, 3, pad, pad, 2, 2, 3, 4]


@pytest.mark.parametrize("cached", [False, True])
def test_what_is_beyond_the_length_is_counted_and_kept_with_the_tokens(
    tmp_path: Path, cached: bool
) -> None:
    texts = ["a b c", "a b c d", "a b c d e", "a " * 5_000]
    for tokenizer in (word_tokenizer(), forbidden()) if cached else (word_tokenizer(),):
        tokens = stored(tmp_path if cached else None, tokenizer, data_of(train=texts))
        assert tokens.train.lengths.tolist() == [3, 4, 4, 4]
        assert tokens.train.cut.tolist() == [0, 0, 1, 4_996]
        assert tokens.test.unsealed().cut.tolist() == [0, 0, 2]
    assert tokenize_texts(texts, word_tokenizer(), max_length=3).cut.tolist() == [0, 1, 2, 4_997]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("added", [0, 2])
def test_the_count_leaves_out_what_the_tokenizer_adds(side: str, added: int) -> None:
    tokenizer = word_tokenizer()
    tokenizer.truncation_side = side
    if added:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="a $0 b", special_tokens=[("a", WORDS["a"]), ("b", WORDS["b"])]
        )
    text = "c d e f g h i j c d"
    assert tokenize_texts([text], tokenizer, max_length=5).cut.tolist() == [10 + added - 5]
    assert tokenize_texts([text], tokenizer, max_length=10 + added).cut.tolist() == [0]


def test_a_tokenizer_that_does_not_tell_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import BatchEncoding

    monkeypatch.setattr(BatchEncoding, "encodings", None)
    texts = ["a b c", "a b c d", "a b c d e"]
    assert tokenize_texts(texts, word_tokenizer(), max_length=4).cut.tolist() == [0, 0, 1]


def test_a_length_that_leaves_no_room_for_text_is_refused() -> None:
    tokenizer = word_tokenizer()
    ends = [("?", 0), ("<pad>", 1)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="? $A <pad>", special_tokens=ends
    )
    with pytest.raises(DataError, match=r"^data\.max_length: found 2; expected more than 2,"):
        stored(None, tokenizer, max_length=2)
    assert plain(stored(None, tokenizer, max_length=3))[1] == [[0, 6]]


def tokenize_in_a_loop(cache: Path, damaging: bool, results) -> None:
    good = True
    for _ in range(15):
        good &= plain(stored(cache)) == EXPECTED
        if damaging:
            for manifest in (cache / "tokens").glob("[0-9a-f]*/manifest.json"):
                manifest.unlink(missing_ok=True)
    results.put(good)


@pytest.mark.parametrize("damaging", [False, True])
def test_several_processes_at_once_all_get_the_tokens(tmp_path: Path, damaging: bool) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [
        context.Process(target=tokenize_in_a_loop, args=(tmp_path, damaging, results))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [True] * 4
    for process in processes:
        process.join()
    assert plain(stored(tmp_path)) == EXPECTED
    entry_of(tmp_path)


def test_the_real_gpt2_tokenizer_gives_its_known_tokens(shared_data: Path) -> None:
    from transformers import GPT2TokenizerFast

    folder = shared_data / "gpt2-tokenizer"
    tokenizer = GPT2TokenizerFast(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt")
    )
    tokens = stored(None, tokenizer, data_of(train=["Hello world", "千万别去"]), max_length=1_024)
    assert plain(tokens)[0][0] == [15496, 995]
    assert tokenizer.decode(plain(tokens)[0][1]) == "千万别去"
