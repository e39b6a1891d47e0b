"""A finished study of three trials, for the tests of what is made of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from hpo.runtime.course import StudyCourse
from hpo.runtime.finish import finish_study
from hpo.runtime.preparation import prepare
from hpo.runtime.session import Session, open_session
from hpo.spec.locations import Locations
from hpo.storage.storage import open_storage
from hpo.studies.registration import submit
from tests.storages import SpecFactory

NAME = "study"

FinishedStudy = Callable[..., AbstractContextManager[Session]]
"""Keys of the study file, `section__key`, besides its own, to the session."""


@pytest.fixture(scope="module")
def locations(tmp_path_factory: pytest.TempPathFactory) -> Locations:
    folder = tmp_path_factory.mktemp("studied")
    return Locations(
        f"sqlite:///{folder}/optuna.db",
        f"sqlite:///{folder}/mlflow.db",
        folder / ".hpo",
        folder / "cache",
        10**9,
    )


@pytest.fixture(scope="module")
def finished_study(locations: Locations, make_spec: SpecFactory) -> FinishedStudy:
    """Makes a study of three trials, of which two freeze something, and finishes it."""

    @contextmanager
    def finished(**keys: object) -> Iterator[Session]:
        spec = make_spec(
            NAME,
            space={"freeze_depth": [0, 2, 3], "learning_rate": {"low": 1e-4, "high": 1e-2}},
            search__sampler="random",
            study__trials=3,
            data__max_train_examples=64,
            training__batch_size=32,
            training__epochs=1,
            training__evaluations_per_epoch=1,
            **keys,
        )
        prepared = prepare(spec, locations)
        with open_storage(locations.storage_url) as storage:
            submit(storage, prepared.spec)
            with open_session(storage, NAME, locations, prepared=prepared) as opened:
                assert StudyCourse(opened).until_done()
                assert finish_study(opened) is not None
                yield opened

    return finished
