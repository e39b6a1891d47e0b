"""Points put into a study: tried next, in order, each once, under any number of workers and repetitions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from optuna.trial import TrialState

from hpo.leases.budget import NoTrial, claim_trial
from hpo.leases.heartbeat import Worker
from hpo.storage.storage import Storage
from hpo.studies.registration import submit
from hpo.studies.studies import open_study
from tests.leases.claimed import FAIL, complete, take
from tests.storages import SpecFactory

FIRST = {"learning_rate": 1e-4}
SECOND = {"learning_rate": 1e-5, "batch_size": 16, "epochs": 2}


def test_points_are_tried_next_in_order_and_count_towards_the_budget(
    storage: Storage, make_spec: SpecFactory
) -> None:
    spec, said = make_spec(study__trials=3), list[str]()
    submit(storage, spec)
    study = open_study(storage, "study")
    with Worker(storage) as worker, Worker(storage) as other:
        complete(take(study, worker))
        submit(storage, spec, points=[FIRST, SECOND], say=said.append)
        first, second = take(study, worker), take(study, other)
        assert (first.number, second.number) == (1, 2)
        assert first.suggest().items() > FIRST.items()  # the rest is sampled
        assert second.suggest() == SECOND
        assert claim_trial(study, other) is NoTrial.WAIT
    assert said == [
        "Enqueued as trial 1: learning_rate = 0.0001.",
        "Enqueued as trial 2: batch_size = 16, epochs = 2, learning_rate = 1e-05.",
    ]


def test_a_command_that_is_repeated_puts_nothing_in_twice(
    storage: Storage, make_spec: SpecFactory
) -> None:
    spec, said = make_spec(study__trials=3), list[str]()

    def again() -> str:
        submit(storage, spec, points=[FIRST], say=said.append)
        return said[-1]

    assert again() == "Enqueued as trial 0: learning_rate = 0.0001."
    assert again() == "Enqueued already: learning_rate = 0.0001 (trial 0 waits)."
    study = open_study(storage, "study")
    with Worker(storage) as worker:
        claim = take(study, worker)
        assert again() == "Enqueued already: learning_rate = 0.0001 (trial 0 is RUNNING)."
        claim.suggest()
        claim.finish(FAIL, reason="the loss is not finite")
        assert again() == "Enqueued as trial 1: learning_rate = 0.0001."


def test_a_point_that_a_trial_has_had_is_told_and_tried_with_another_seed(
    storage: Storage, make_spec: SpecFactory
) -> None:
    spec, said = make_spec(study__trials=3), list[str]()
    submit(storage, spec)
    study = open_study(storage, "study")
    with Worker(storage) as worker:
        claim = take(study, worker)
        point = claim.suggest()
        claim.finish(TrialState.COMPLETE, 0.75)
    submit(storage, spec, points=[point], say=said.append)
    assert said[0].startswith("Enqueued as trial 1: ")
    assert said[1].startswith("Trial 0 has had ")
    assert said[1].endswith("already, with value 0.7500.")


def test_commands_at_the_same_time_put_a_point_in_once(
    storage: Storage, make_spec: SpecFactory
) -> None:
    spec = make_spec(study__trials=3)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(submit, storage, spec, points=[FIRST, SECOND]) for _ in range(4)]:
            done.result()
    trials = open_study(storage, "study").load().trials
    assert [trial.state for trial in trials] == [TrialState.WAITING] * 2
    assert [trial.number for trial in trials] == [0, 1]
