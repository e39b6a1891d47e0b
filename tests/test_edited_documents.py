"""Everything that we keep and read again, edited by hand: the same result, with a warning at most, or one line."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hpo.data.downloads import Downloads
from hpo.data.tokens import tokenize
from hpo.digests import DIGESTS_FILE
from hpo.errors import HpoError
from hpo.model.feature_cache import FeatureCache
from hpo.model.pretrained import load_pretrained
from hpo.model.saved import save_trained, save_transformers
from hpo.model.saved_ensemble import save_ensemble
from hpo.model.weights_file import write_weights
from hpo.outbox.ledger import Ledger
from hpo.outbox.outbox import Outbox, abandoned, waiting_in
from hpo.outbox.records import Operation, describe, from_json, to_json
from hpo.outbox.rejected import keep_rejected, read_lines
from hpo.outbox.requeue import requeue_rejected
from hpo.outbox.rows import RejectedOperation
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.tracking.loading import load_folder
from hpo.tracking.moved import uri_now
from hpo.training.checkpoint import CheckpointFile
from hpo.training.folds import FoldedTraining
from hpo.training.loop import TrialInterrupted, TrialTraining
from tests.data.test_tokens import data_of, word_tokenizer
from tests.data.web_server import web_server
from tests.edited import edited
from tests.model.ensembles import ensemble_of, member_of
from tests.model.tiny_gpt2 import save_tiny
from tests.outbox.operations import EVERY_KIND
from tests.training.test_folds import folded_context
from tests.training.tiny_trial import finish, tiny_context, tiny_params

LABELS = ("bad", "so-so", "good")
TEXTS = ["a dull film", "good"]


@dataclass(frozen=True)
class Document:
    """One that is kept.

    Attributes:
        file: Where it is, below the folder.
        read: What its reader has of the folder, to be compared; numbers as they are shown.
        vouched: Whether digests tell of an edit, so that no other result may come of one.
    """

    file: str
    read: Callable[[Path], object]
    vouched: bool = True


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of each."""
    folder = tmp_path_factory.mktemp("kept")
    model = load_pretrained(str(save_tiny(folder / "base", n_layer=2)))
    member = member_of(model, 1)
    save_trained(folder / "trained", member.classifier, SINGLE_LABEL, LABELS, 32, {"number": 7})
    save_transformers(folder / "exported", member.classifier, SINGLE_LABEL, LABELS, 32)
    save_ensemble(folder / "ensemble", ensemble_of(model, [1, 2]), [{}, {}])
    for kind in ("trained", "ensemble"):
        shutil.copytree(folder / kind, folder / f"{kind} of old")
        (folder / f"{kind} of old" / DIGESTS_FILE).unlink()
    tokens(folder / "cache")
    return folder


def classified(folder: Path) -> object:
    return load_folder(folder, "it").classify(TEXTS)[1].round(5).tolist()


def tokens(cache: Path) -> object:
    made = tokenize(
        data_of(),
        word_tokenizer(),
        tokenizer_fingerprint="t",
        max_length=4,
        cache_dir=cache,
    )
    return [
        made.train.tokens.tolist(),
        made.test.unsealed().cut.tolist(),
        made.validation.labels.tolist(),
    ]


DOCUMENTS = {
    "trained": [Document("trial.json", classified), Document(DIGESTS_FILE, classified)],
    "trained of old": [Document("trial.json", classified, vouched=False)],
    "exported": [Document(DIGESTS_FILE, classified)],
    "ensemble": [Document("ensemble.json", classified), Document(DIGESTS_FILE, classified)],
    "ensemble of old": [Document("ensemble.json", classified, vouched=False)],
    "cache": [Document("tokens/*/manifest.json", tokens)],
}


@pytest.mark.parametrize(
    ("kind", "document"), [(kind, each) for kind, all_ in DOCUMENTS.items() for each in all_]
)
def test_a_document_that_was_edited(
    base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, document: Document
) -> None:
    folder = tmp_path / "it"
    shutil.copytree(base / kind, folder)
    [path] = folder.glob(document.file)
    before = path.read_bytes()
    expected = document.read(folder)
    for edit, content in edited(before.decode()):
        path.write_bytes(content)
        caplog.clear()
        try:
            found = document.read(folder)
        except HpoError as refusal:
            lines = str(refusal).splitlines()
        else:
            lines = []
            assert found == expected or not document.vouched, edit
        assert len(lines) <= 1, edit
        assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) <= 1, edit
        path.write_bytes(before)
    assert document.read(folder) == expected


@pytest.mark.parametrize("folds", [0, 2])
def test_a_checkpoint_that_was_edited(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, folds: int
) -> None:
    """As release 0.1 wrote them, without a digest that tells of it."""
    kind: Any = TrialTraining
    context = tiny_context(tmp_path / "base", dropout=0.2)
    if folds:
        kind = partial(FoldedTraining, evaluations_a_fold=4)
        context = folded_context(tmp_path / "base", folds)
    file = CheckpointFile(tmp_path / "trial.safetensors", "always")
    asked = iter(range(1000))
    with pytest.raises(TrialInterrupted):
        finish(
            kind(context, tiny_params(), seed=0),
            checkpoint=file,
            should_stop=lambda: next(asked) == (8 if folds else 7),
        )
    saved = file.read()
    assert saved is not None
    for edit, content in edited(json.dumps(saved.facts)):
        caplog.clear()
        text = content.decode("utf-8", "replace")
        write_weights(file.path, saved.tensors, {"facts": text})
        again = kind(context, tiny_params(), seed=0)
        if again.resume(file):
            finish(again)
        assert len(caplog.records) <= 1, edit
    write_weights(file.path, saved.tensors, {"facts": json.dumps(saved.facts)})
    assert kind(context, tiny_params(), seed=0).resume(file)


@pytest.mark.parametrize("operation", EVERY_KIND, ids=lambda each: type(each).__name__)
def test_an_operation_that_was_edited(operation: Operation) -> None:
    kind, body = to_json(operation)
    assert from_json(kind, body) == operation
    for edit, content in edited(body):
        text = content.decode("utf-8", "surrogatepass")
        with suppress(ValueError):
            found = from_json(kind, text)
            # Without its digest a row of release 0.1 is believed, in its own shape.
            assert found == operation or "check" not in json.loads(text), edit
            assert to_json(found)[0] == kind
            describe(found)


def test_a_refused_operation_that_was_edited_stays_and_holds_no_other_up(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    folder.mkdir()
    kind, body = to_json(EVERY_KIND[2])
    row = RejectedOperation(EVERY_KIND[2].run.key, kind, body, "BAD_REQUEST")
    keep_rejected(folder, [row], folder / "none", "http://127.0.0.1:9")
    [whole] = read_lines(folder / "rejected.jsonl")
    edits = [content.replace(b"\n", b" ") for _, content in edited(whole)]
    lines = [line for line in edits if line.strip()]
    (folder / "rejected.jsonl").write_bytes(b"\n".join([*lines, whole.encode()]) + b"\n")
    keep_rejected(folder, [row], folder / "none", "http://127.0.0.1:9")
    requeue_rejected(tmp_path, uri_now)
    left = read_lines(folder / "rejected.jsonl")
    assert whole not in left
    requeued = waiting_in(tmp_path)
    assert requeued >= 2
    assert len(left) + requeued == len(lines) + 2


def test_facts_of_an_outbox_that_were_edited(tmp_path: Path) -> None:
    with Outbox.create(tmp_path, "http://127.0.0.1:9") as outbox:
        outbox.append(*EVERY_KIND)
    file, values = outbox.ledger.path, ("", "x", "-1", "1e999", "NaN", "[]", "null", "9" * 5000)
    names = ("tracking_uri", "state_dir", "abandoned_ms", "late", "blocked", "tracking_uri_digest")
    before = file.read_bytes()
    for name, value in itertools.product(names, values):
        with Ledger.open(file) as ledger:
            ledger.set_facts({name: value})
        for outbox in abandoned(tmp_path):
            assert outbox.waiting == len(EVERY_KIND)
            assert outbox.abandoned_ms is not None
            outbox.close()
        assert file.exists() or file.with_suffix(".damaged").exists()
        for leftover in file.parent.iterdir():
            leftover.unlink()
        file.write_bytes(before)


def test_a_download_that_was_edited(tmp_path: Path) -> None:
    with web_server() as server:
        address = server.put("/reviews.csv", b"text,label\nfine,good\n", ETag='"one"')
        downloads = Downloads(tmp_path, lambda line: None, {})
        content = downloads.get(address).path.read_bytes()
        [entry] = (tmp_path / "downloads").iterdir()
        for name in ("download.json", DIGESTS_FILE):
            for edit, edited_to in edited((entry / name).read_text()):
                (entry / name).write_bytes(edited_to)
                copy = downloads.get(address)
                assert copy.path.read_bytes() == content, edit
                assert len(copy.warnings) == 1, edit


def test_names_of_files_in_the_cache_of_hidden_states_that_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    for name in ("depth-x.bin", "depth-.bin", "depth-1-2.bin", "depth-02.bin"):
        (tmp_path / "key" / name).touch()
    assert [entry.depth for entry in FeatureCache(tmp_path, 100).entries()] == [2]
