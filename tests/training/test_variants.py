"""Trials whose texts are varied: which epoch reads what, exact under resume, served by the feature cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo.data.tokens import TokenizedSplit
from hpo.spec.augment import RATES, AugmentOptions
from hpo.training.checkpoint import CheckpointFile
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.trial_context import TrialContext
from hpo.training.trial_data import StoredTexts, TrialData
from hpo.training.variants import TextVariants, class_shares
from tests.training.tiny_trial import N_LAYER, finish, scores, tiny_params
from tests.training.varied_context import TABLE, WordTokens, texts_of, varied_context

TRAIN = StoredTexts("train")


def params_of(**values: Any) -> Any:
    rates = values.pop("augment", {"delete": 0.3, "swap": 0.3})
    return tiny_params(**{"epochs": 4, **values}, augment=AugmentOptions(**rates))


def read_by_epochs(trial: TrialTraining) -> list[list[str]]:
    """The texts as each epoch reads them."""
    read = []
    for epoch in range(trial.params.epochs):
        trial.progress.step = epoch * trial.steps_per_epoch
        read.append(texts_of(trial.train_inputs.split))
    return read


@pytest.mark.parametrize(
    ("variants", "versions"), [(1, [0, 1, 0, 1]), (2, [0, 1, 2, 0]), (9, [0, 1, 2, 3])]
)
def test_epochs_read_the_texts_as_they_are_and_then_their_variants_in_turn(
    tmp_path: Path, variants: int, versions: list[int]
) -> None:
    context = varied_context(tmp_path)
    rates = {"delete": 0.5, "variants": variants}
    trial = TrialTraining(context, params_of(augment=rates), seed=0)
    read = read_by_epochs(trial)
    assert read[0] == texts_of(context.data.train)
    first = {version: read[versions.index(version)] for version in versions}
    assert read == [first[version] for version in versions]
    assert len({tuple(texts) for texts in first.values()}) == len(first)
    plain = TrialTraining(context, tiny_params(epochs=4), seed=0)
    assert (trial.steps, trial.steps_per_epoch) == (plain.steps, plain.steps_per_epoch)


def test_labels_and_validation_are_as_they_were(tmp_path: Path) -> None:
    context = varied_context(tmp_path)
    trial = TrialTraining(context, params_of(), seed=0)
    for inputs in trial.stage.train.values():
        np.testing.assert_array_equal(inputs.labels, context.data.train.labels)
    assert trial.validation_inputs.split is context.data.validation


def test_without_rates_nothing_is_made_and_nothing_changes(tmp_path: Path) -> None:
    tokens = WordTokens()
    context = varied_context(tmp_path, tokens=tokens)
    trial = TrialTraining(context, params_of(augment={"variants": 2}), seed=0)
    plain = TrialTraining(varied_context(tmp_path), tiny_params(epochs=4), seed=0)
    (found, told), (expected, as_told) = finish(trial), finish(plain)
    assert tokens.calls == 0
    assert list(map(scores, told)) == list(map(scores, as_told))
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("freeze_depth", range(N_LAYER + 1))
def test_a_trial_of_each_rate_stopped_and_resumed_ends_bit_for_bit_the_same(
    tmp_path: Path, rate: str, freeze_depth: int
) -> None:
    params = params_of(augment={rate: 0.3, "variants": 2}, freeze_depth=freeze_depth)
    path = tmp_path / "trial.safetensors"

    def context() -> TrialContext:  # as of another process
        return varied_context(tmp_path, table=TABLE, dropout=0.2, cache=tmp_path / "cache")

    whole, told = finish(TrialTraining(context(), params, seed=3))
    for stop in (5, 13):  # within the first variant, within the second
        stopped = TrialTraining(context(), params, seed=3)
        stopped.resume(CheckpointFile(path, "auto"))
        with pytest.raises(TrialInterrupted):
            finish(
                stopped,
                checkpoint=CheckpointFile(path, "auto"),
                should_stop=lambda stopped=stopped, stop=stop: stopped.progress.step == stop,
            )
    last = TrialTraining(context(), params, seed=3)
    assert last.resume(CheckpointFile(path, "auto"))
    resumed, _ = finish(last)
    assert list(map(scores, last.history)) == list(map(scores, told))
    np.testing.assert_array_equal(resumed.probabilities, whole.probabilities)


@pytest.mark.parametrize("changed", ["rate", "seed", "table"])
def test_a_checkpoint_of_other_variants_is_another_trials(tmp_path: Path, changed: str) -> None:
    context = varied_context(tmp_path)
    file = CheckpointFile(tmp_path / "trial.safetensors", "auto")
    trial = TrialTraining(context, params_of(), seed=0)
    with pytest.raises(TrialInterrupted):
        finish(trial, checkpoint=file, should_stop=lambda: trial.progress.step == 3)
    assert TrialTraining(context, params_of(), seed=0).resume(file)
    params = params_of(augment={"delete": 0.2, "swap": 0.3}) if changed == "rate" else params_of()
    other = context
    if changed != "rate":
        train = context.data.train
        table, seed = (TABLE, 7) if changed == "table" else (None, 8)
        variants = TextVariants(texts_of(train), train, WordTokens(), seed=seed, table=table)
        other = TrialContext(**{**vars(context), "variants": variants})
    assert not TrialTraining(other, params, seed=0).resume(file)


@pytest.mark.parametrize("freeze_depth", [1, N_LAYER])
def test_a_second_trial_of_the_same_rates_computes_nothing_anew(
    tmp_path: Path, freeze_depth: int
) -> None:
    tokens, built = WordTokens(), []
    context = varied_context(tmp_path, tokens=tokens, cache=tmp_path / "cache")
    context.features.on_progress = lambda *progress: built.append(progress)
    finish(TrialTraining(context, params_of(freeze_depth=freeze_depth), seed=0))
    assert (tokens.calls, len(built)) == (3, 5)  # three variants; with the texts and validation
    shorter = params_of(freeze_depth=freeze_depth, epochs=3, learning_rate=1e-3)
    finish(TrialTraining(context, shorter, seed=1))
    plain = tiny_params(freeze_depth=freeze_depth)
    finish(TrialTraining(context, plain, seed=2))
    assert (tokens.calls, len(built)) == (3, 5)
    others = params_of(freeze_depth=freeze_depth, epochs=2, augment={"delete": 0.1})
    finish(TrialTraining(context, others, seed=0))
    assert (tokens.calls, len(built)) == (4, 6)


def test_hidden_states_that_no_other_trial_will_ask_for_are_not_kept(tmp_path: Path) -> None:
    built: list[Any] = []
    params = params_of(freeze_depth=1)
    kept = varied_context(tmp_path, cache=tmp_path / "kept")
    passing = varied_context(tmp_path, cache=tmp_path / "passing", kept=False)
    passing.features.on_progress = lambda *progress: built.append(progress)
    (found, _), (expected, _) = (
        finish(TrialTraining(context, params, seed=0)) for context in (passing, kept)
    )
    assert len(built) == 2
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-4)


@pytest.mark.parametrize("rates", [{"delete": 0.3}, {"replace": 0.5}])
def test_of_a_fold_only_the_training_texts_are_read_and_shown(
    tmp_path: Path, rates: dict[str, float]
) -> None:
    context = varied_context(tmp_path, cache=tmp_path / "cache")
    train, held_out = np.arange(0, 30), np.arange(30, 42)
    texts = TrialData(StoredTexts("train", train), StoredTexts("train", held_out))
    trial = TrialTraining(context, params_of(augment=rates, freeze_depth=0), seed=0, texts=texts)
    assert trial.validation_inputs.split is context.data.train
    for inputs in trial.stage.train.values():
        np.testing.assert_array_equal(inputs.indices, train)
    result, _ = finish(trial)
    assert len(result.probabilities) == len(held_out)


def test_replacements_are_learnt_of_the_texts_that_are_trained_on_alone(tmp_path: Path) -> None:
    context = varied_context(tmp_path)
    assert context.variants is not None
    train, rates = context.data.train, AugmentOptions(replace=1.0)
    few = StoredTexts("train", np.arange(3))
    assert texts_of(context.variants.of(few, rates, 1).varied) == texts_of(
        train
    )  # nothing is often
    assert texts_of(context.variants.of(TRAIN, AugmentOptions(delete=0.3), 1).varied) == texts_of(
        context.variants.of(few, AugmentOptions(delete=0.3), 1).varied
    )


def test_texts_that_are_left_out_do_not_say_which_numbers_are_high(tmp_path: Path) -> None:
    train, few = varied_context(tmp_path).data.train, np.arange(12)
    numbers = np.full(len(train), -100, np.float32)
    numbers[few] = np.tile([1, 5], 6)
    texts = ["a bad film of last year" if n < 3 else "a good film of this year" for n in numbers]
    rates, varied = AugmentOptions(replace=1.0), []
    for those in (np.arange(len(train)), few):
        variants = TextVariants(
            [texts[at] for at in those], split_of(train, those, numbers), WordTokens(), seed=7
        )
        varied.append(variants.of(StoredTexts("train", few), rates, 1).varied)
    assert texts_of(varied[0])[: len(few)] == texts_of(varied[1])


def split_of(
    train: TokenizedSplit, texts: NDArray[np.int64], numbers: NDArray[np.float32]
) -> TokenizedSplit:
    lengths = train.lengths[texts]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return TokenizedSplit(train.tokens[train.rows(texts)], offsets, numbers[texts])


def test_variants_do_not_depend_on_the_order_of_the_texts(tmp_path: Path) -> None:
    context = varied_context(tmp_path)
    train, rates = context.data.train, AugmentOptions(delete=0.3, swap=0.5, replace=0.5)
    texts, order = texts_of(train), np.random.default_rng(0).permutation(42)
    shuffled = TextVariants(
        [texts[at] for at in order], train, WordTokens(), seed=7, table=TABLE
    ).of(TRAIN, rates, 1)
    sorted_ = TextVariants(texts, train, WordTokens(), seed=7, table=TABLE).of(TRAIN, rates, 1)
    assert texts_of(shuffled.varied) == [texts_of(sorted_.varied)[at] for at in order]


def test_no_more_variants_are_held_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.training.variants._MOST_TOKENS", 500)
    tokens = WordTokens()
    context = varied_context(tmp_path, tokens=tokens)
    assert context.variants is not None
    for number in (1, 2, 3, 3, 1):
        context.variants.of(TRAIN, AugmentOptions(swap=0.3), number)
    assert tokens.calls == 4


def test_all_weights_are_trained_where_nothing_is_frozen(tmp_path: Path) -> None:
    context = varied_context(tmp_path, table=TABLE)
    params = params_of(augment={"replace": 1.0}, freeze_depth=0)
    trial = TrialTraining(context, params, seed=0)
    rows = trial.classifier.embedding_rows
    assert rows is not None
    for inputs in trial.stage.train.values():
        assert set(np.unique(inputs.split.tokens)) <= set(rows.token_ids)
    finish(trial)


def test_labels_of_every_kind_are_classes_for_the_learning_of_replacements() -> None:
    np.testing.assert_array_equal(class_shares(np.array([1, 0, 2])), np.eye(3)[[1, 0, 2]])
    several = np.array([[1, 1], [0, 1]], dtype=np.float32)
    np.testing.assert_array_equal(class_shares(several), several)
    numbers = np.array([0.5, 2.0, 9.0, 1.0], dtype=np.float32)
    np.testing.assert_array_equal(class_shares(numbers)[:, 1], [0, 1, 1, 0])
