"""A law: flip any byte of any file that a study keeps, and go on. The same result, or a refusal; never another.

A study is broken off in the middle, with all that it keeps on the way, and just before its champion. Each case
puts one of the two back, flips one byte of one file, and gives the same command again. `HPO_FAULTS=full` draws
many more bytes.
"""

from __future__ import annotations

import multiprocessing
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hpo.errors import HpoError
from hpo.results.leaderboard import leaderboard
from hpo.runtime.course import StudyCourse
from hpo.runtime.finish import finish_study, tidy
from hpo.runtime.session import open_session
from hpo.storage.storage import open_storage
from hpo.studies.registration import submit
from hpo.tracking.drain import Drainer
from hpo.tracking.local_store import make_local_store, prepare_environment
from tests.faults.conftest import FULL
from tests.faults.place import STUDY, Place, write_data

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(3600 if FULL else 600)]

_FORKSERVER = multiprocessing.get_context("forkserver")

TRIALS = 3
FLIPS_OF_A_KIND = 40 if FULL else 2
TEXTS = ["a wonderful film", "dull from beginning to end", "", "the best of the year"]

# What lies in the folder of a study: in the middle of it, and before its champion.
KINDS = {
    "middle": (
        "cache/prefix/*/depth-*.bin",
        "cache/prefix/*/depth-*.xxh3",
        "cache/tokens/*/*.npy",
        "cache/tokens/*/manifest.json",
        "state/studies/*/checkpoints/*.safetensors",
        "state/studies/*/models/*/trained.safetensors",
        "state/outbox/*.db",
        "state/outbox/*.spool/*/trained.safetensors",
        "state/outbox/*.spool/*/*.toml",
        "optuna.db",
    ),
    "end": (
        "state/studies/*/models/*/trained.safetensors",
        "state/studies/*/models/*/trial.json",
        "state/studies/*/models/*/digests.json",
        "mlruns/*/models/*/artifacts/data/trained.safetensors",
        "mlruns/*/models/*/artifacts/MLmodel",
        "mlflow.db",
        "optuna.db",
    ),
}
# Of these nothing else has a copy. All others are made again.
MAY_BE_REFUSED = ("mlflow.db", "optuna.db", "mlruns/*/models/*/artifacts/MLmodel")


@dataclass(frozen=True)
class Result:
    """All that a study is for."""

    leaderboard: list[tuple[int, float, dict[str, Any]]]
    champion: int
    test: dict[str, float]
    served: list[list[float]]


@dataclass(frozen=True)
class Kept:
    """A study in the folder `place.folder`, and copies of that folder by stage, for each case to begin with."""

    place: Place
    stages: Path
    expected: Result

    def put_back(self, stage: str) -> None:
        shutil.rmtree(self.place.folder)
        shutil.copytree(self.stages / stage, self.place.folder)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    base = tmp_path_factory.mktemp("kept")
    folder, stages = base / "study", base / "stages"
    folder.mkdir()
    prepare_environment()
    make_local_store(f"sqlite:///{folder}/mlflow.db")
    place = Place(
        folder,
        f"sqlite:///{folder}/optuna.db",
        f"sqlite:///{folder}/mlflow.db",
        write_data(base / "data"),
        folder / "cache",
        folder / "state",
    )
    with open_storage(place.storage_url) as storage:
        submit(storage, place.spec(TRIALS))
    in_a_process(until_the_middle, place)
    shutil.copytree(folder, stages / "middle")
    in_a_process(until_the_end, place)
    shutil.copytree(folder, stages / "end")
    expected = in_a_process(finish, place)
    assert isinstance(expected, Result)
    return Kept(place, stages, expected)


def work(place: Place, evaluations: int = 10**6) -> None:
    """Train until the budget is met, or until so many evaluations are done."""
    seen: list[object] = []
    with (
        open_storage(place.storage_url) as storage,
        open_session(
            storage,
            STUDY,
            place.locations,
            on_event=lambda event: seen.extend(
                [event] if type(event).__name__ == "TrialEvaluated" else []
            ),
            should_stop=lambda: len(seen) >= evaluations,
        ) as session,
    ):
        StudyCourse(session).until_done()


def in_a_process(stage: Callable[[Place], Result | None], place: Place) -> Result | str | None:
    """What a stage gives in a process of its own, for MLflow holds on to files; or its refusal, as text."""
    ours, theirs = _FORKSERVER.Pipe()
    process = _FORKSERVER.Process(target=_tell, args=(stage, place, theirs))
    process.start()
    theirs.close()
    try:
        told: Result | str | None = ours.recv()
    finally:
        process.join()
    return told


def _tell(stage: Callable[[Place], Result | None], place: Place, to: Connection) -> None:
    torch.set_num_threads(1)
    try:
        to.send(stage(place))
    except HpoError as refusal:
        to.send(str(refusal))


def until_the_middle(place: Place) -> None:
    """Work with MLflow away, and stop in the third trial."""
    setattr(Drainer, "start", lambda _: None)  # noqa: B010
    work(place, evaluations=5)


def until_the_end(place: Place) -> None:
    work(place)


def finish(place: Place) -> Result:
    """What `hpo.run` does, and what its user then has."""
    with open_storage(place.storage_url) as storage:
        with open_session(storage, STUDY, place.locations) as session:
            assert StudyCourse(session).until_done()
            champion = finish_study(session)
            session.tracker.flush(30.0)
        tidy(session)
        entries = session.study.read(leaderboard)
    assert champion is not None
    return Result(
        [(entry.number, entry.value, dict(entry.params)) for entry in entries],
        champion.number,
        dict(champion.test.metrics),
        served(place),
    )


def served(place: Place) -> list[list[float]]:
    """Probabilities of some texts by the registered model, as transformers reads it."""
    client = mlflow.MlflowClient(place.tracking_uri, place.tracking_uri)
    source = client.get_model_version_by_alias(STUDY, "champion").source
    folder = Path(str(source).removeprefix("file://")) / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return [
            model(**tokenizer(text or " ", return_tensors="pt")).logits.softmax(-1)[0].tolist()
            for text in TEXTS
        ]


def files_of(folder: Path, pattern: str) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and fnmatch(path.relative_to(folder).as_posix(), pattern)
    )


def positions(size: int, dice: random.Random) -> Iterator[int]:
    """Bytes to flip: at the beginning, at the end, and anywhere."""
    yield dice.randrange(min(size, 64))
    yield max(0, size - 1 - dice.randrange(64))
    while True:
        yield dice.randrange(size)


def flip(path: Path, at: int, mask: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        [byte] = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ mask]))


@pytest.mark.parametrize(
    ("stage", "pattern"),
    [(stage, pattern) for stage, patterns in KINDS.items() for pattern in patterns],
)
def test_a_flipped_byte_gives_the_same_result_or_where_it_cannot_be_a_refusal(
    kept: Kept, stage: str, pattern: str
) -> None:
    dice = random.Random(pattern)
    found = files_of(kept.stages / stage, pattern)
    assert found, "the study keeps such a file"
    for _ in range(FLIPS_OF_A_KIND):
        path = dice.choice(found)
        at = dice.choice(list(islice(positions(path.stat().st_size, dice), 3)))
        mask = dice.randrange(1, 256)
        kept.put_back(stage)
        flip(kept.place.folder / path.relative_to(kept.stages / stage), at, mask)
        case = f"{path.relative_to(kept.stages / stage)}, byte {at} ^ {mask:#04x}"
        told = in_a_process(finish, kept.place)
        if told != kept.expected:
            assert pattern in MAY_BE_REFUSED, f"{case}: {told}"
            assert isinstance(told, str), case
            assert "\n" not in told, case


def test_weights_that_are_damaged_here_and_in_mlflow_are_trained_again(kept: Kept) -> None:
    kept.put_back("end")
    copies = [pattern for pattern in KINDS["end"] if pattern.endswith("trained.safetensors")]
    for path in (file for pattern in copies for file in files_of(kept.place.folder, pattern)):
        flip(path, path.stat().st_size - 1, 0x40)
    assert in_a_process(finish, kept.place) == kept.expected


def test_weights_that_are_gone_here_and_in_mlflow_are_trained_again(kept: Kept) -> None:
    kept.put_back("end")
    shutil.rmtree(kept.place.state / "studies")
    for path in files_of(kept.place.folder, "mlruns/*/trained.safetensors"):
        path.unlink()
    assert in_a_process(finish, kept.place) == kept.expected
