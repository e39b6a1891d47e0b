"""A study of three trials, and two workers that take them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hpo.leases.heartbeat import Worker
from hpo.leases.liveness import Observer
from hpo.storage.storage import Storage
from hpo.studies.registration import submit
from hpo.studies.studies import OpenStudy, open_study
from tests.leases.claimed import SpecFactory, StoppedClock


@pytest.fixture
def study(storage: Storage, make_spec: SpecFactory) -> OpenStudy:
    submit(storage, make_spec(study__trials=3))
    return open_study(storage, "study")


@pytest.fixture
def worker(storage: Storage) -> Iterator[Worker]:
    with Worker(storage, name="one") as opened:
        yield opened


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def other(storage: Storage, clock: StoppedClock) -> Iterator[Worker]:
    """A worker of another machine, which sees the first one's life by its beats alone."""
    observer = Observer(60, machine="elsewhere", clock=clock)
    with Worker(storage, name="two", observer=observer) as opened:
        yield opened
