"""A tracking server that is away, hangs, or fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from hpo.outbox.outbox import waiting_in
from tests.faults.conftest import FULL, Checked
from tests.faults.crew import Crew, register
from tests.faults.orders import Order, Peaceful
from tests.faults.place import EVALUATIONS, Place
from tests.tracking.conftest import FaultyLine, MlflowServer

pytestmark = [pytest.mark.slow, pytest.mark.campaign, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    started = MlflowServer(tmp_path_factory.mktemp("mlflow-server"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
def fresh_server(server: MlflowServer) -> MlflowServer:
    """The module's server without runs: experiments of earlier tests are renamed."""
    from mlflow.tracking import MlflowClient

    server.start()
    client = MlflowClient(tracking_uri=server.uri)
    for experiment in client.search_experiments():
        if experiment.name != "Default":
            client.rename_experiment(experiment.experiment_id, f"old-{experiment.experiment_id}")
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)
    return server


def test_a_server_that_is_gone_for_a_whole_study_gets_every_point_when_it_is_back(
    place: Place, workers: Crew, checked: Checked, fresh_server: MlflowServer
) -> None:
    trials, server = 20, fresh_server
    place = place.through(server.uri)
    server.stop()
    register(place, trials)
    workers.under_fire(Peaceful(Order(place)), size=2)
    workers.run_to_the_end(Order(place, finish=True, flush_seconds=3.0))
    assert waiting_in(place.state) > trials * EVALUATIONS  # the study is done; MLflow knows nothing
    server.start()
    workers.run_to_the_end(Order(place, finish=True, flush_seconds=120.0))
    checked(place, trials, fault="MLflow gone for the whole study", times=1)


@pytest.mark.parametrize("faults", [("500", "429"), ("away", "late reset")], ids=["500", "reset"])
def test_a_server_that_fails_every_third_request(
    place: Place,
    workers: Crew,
    checked: Checked,
    fresh_server: MlflowServer,
    faults: tuple[str, ...],
) -> None:
    trials = 12 if FULL else 6
    line = FaultyLine(fresh_server.port, seed=5)
    line.faults, line.chance = faults, 0.3
    register(place, trials)
    through = place.through(line.uri)
    workers.under_fire(Peaceful(Order(through)), size=2)
    line.chance = 0.0
    workers.run_to_the_end(Order(through, finish=True, flush_seconds=120.0))
    name = "MLflow answers 500 and 429" if "500" in faults else "MLflow resets connections"
    checked(place.through(fresh_server.uri), trials, fault=name, times=line.troubles)
    line.close()


def test_a_server_that_hangs(
    place: Place, workers: Crew, checked: Checked, fresh_server: MlflowServer
) -> None:
    trials, line = 6, FaultyLine(fresh_server.port)
    register(place, trials)
    through = place.through(line.uri)
    begun = time.monotonic()
    line.fault = "hang"
    relief = threading.Timer(60 if FULL else 12, lambda: setattr(line, "fault", None))
    relief.start()
    workers.under_fire(Peaceful(Order(through)), size=2)
    workers.run_to_the_end(Order(through, finish=True, flush_seconds=120.0))
    assert time.monotonic() - begun > 8.0
    checked(place.through(fresh_server.uri), trials, fault="MLflow hangs", times=line.troubles)
    line.close()
