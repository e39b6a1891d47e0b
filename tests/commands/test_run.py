"""The main job from end to end: real processes, real SQLite, a real MLflow server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hpo.outbox.outbox import waiting_in
from tests.commands.shell import TINY_STUDY, Answer, Shell
from tests.commands.stores import (
    STATUS_OF_STATE,
    Facts,
    assert_whole,
    embedded_uri,
    facts,
)
from tests.model.tiny_gpt2 import save_tiny
from tests.tracking.conftest import MlflowServer
from tests.tracking.reading import all_points, client, points, runs, statuses

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Story:
    """One study through several commands. after: what the stores held after each."""

    shell: Shell
    uri: str
    first: Answer
    again: Answer
    more: Answer
    after: dict[str, Facts]


@pytest.fixture(scope="module", params=["embedded", "server"])
def story(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> Story:
    """Four trials; the same command again; two more. With the default stores, and with a server."""
    shell = Shell(tmp_path_factory.mktemp(request.param), {"HPO_CACHE": str(cache)})
    shell.write("tiny.toml", TINY_STUDY)
    uri = f"sqlite:///{shell.folder}/mlflow.db"
    workers = "1"
    if request.param == "server":
        uri = request.getfixturevalue("mlflow_server").uri
        shell = replace(shell, environment={**shell.environment, "MLFLOW_TRACKING_URI": uri})
        workers = "2"
    after = {}
    first = shell.hpo("run", "tiny.toml", "--workers", workers)
    after["first"] = facts(shell, uri)
    again = shell.hpo("run", "tiny.toml", "--workers", workers, "--json")
    after["again"] = facts(shell, uri)
    more = shell.hpo("run", "tiny.toml", "--workers", workers, "--trials", "6", "--quiet")
    after["more"] = facts(shell, uri)
    return Story(shell, uri, first, again, more, after)


def test_a_study_ends_with_exactly_its_trials(story: Story) -> None:
    story.first.done()
    assert_whole(story.after["first"], trials=4)


def test_the_trials_are_told_as_they_end_and_the_leaderboard_after(story: Story) -> None:
    lines = [line for line in story.first.err.splitlines() if line.startswith("trial ")]
    assert len(lines) == 4
    assert all(re.match(r"trial \d complete 0\.\d{4} in .* \| \d/4 trials, best", x) for x in lines)
    assert "Study tiny: 4 finished trials (4 complete, 0 pruned)" in story.first.out
    assert "Best parameters: learning_rate" in story.first.out
    assert "Importances: not shown, for 4 complete trials are too few" in story.first.out
    assert "Always answering 'positive', the largest class, would give" in story.first.out
    assert re.search(r"Test f1_macro of trial \d: 0\.\d{4} \(95 % interval", story.first.out)
    assert re.search(r"Test accuracy of trial \d: 0\.\d{4} \(95 % interval", story.first.out)
    assert "Champion: models:/tiny@champion" in story.first.out
    assert "optuna-dashboard sqlite:///optuna.db" in story.first.out
    assert ("mlflow ui" in story.first.out) == story.uri.startswith("sqlite")


def test_a_line_says_what_was_read(story: Story) -> None:
    assert story.first.err.startswith(
        "Read demo: columns text and label; 64 training, 500 validation and 2,000 test texts;"
        " 2 classes: "
    )
    data = json.loads(story.again.out)["data"]
    assert data["rows"] == {"train": 64, "validation": 500, "test": 2_000}
    assert (data["text_column"], data["classes"]) == ("text", ["negative", "positive"])
    assert data["texts_cut"] == data["tokens_cut"] == 0


def test_the_same_command_again_does_nothing_and_says_so(story: Story) -> None:
    story.again.done()
    assert "Study tiny has its 4 finished trials already" in story.again.err
    assert "trial " not in story.again.err
    assert story.after["again"].runs == story.after["first"].runs
    assert [t.datetime_complete for t in story.after["again"].trials] == [
        t.datetime_complete for t in story.after["first"].trials
    ]


def test_json_is_one_document_and_nothing_else_on_standard_output(story: Story) -> None:
    document = json.loads(story.again.out)
    assert document["study"] == "tiny"
    assert document["trials"]["finished"] == 4
    assert document["best"] == document["leaderboard"][0]
    values = [entry["value"] for entry in document["leaderboard"]]
    assert values == sorted(values, reverse=True)
    assert document["champion"]["number"] == document["best"]["number"]
    assert document["champion"]["times_tested"] == 1
    assert 0.5 < document["champion"]["test"]["metrics"]["accuracy"] < 1
    assert (document["waiting_for_mlflow"], document["blocked"]) == (0, [])


def test_more_trials_later_are_added_to_those_there_are(story: Story) -> None:
    story.more.done()
    assert_whole(story.after["more"], trials=6)
    before = {trial.number: trial.params for trial in story.after["first"].trials}
    now = {trial.number: trial.params for trial in story.after["more"].trials}
    assert before.items() <= now.items()


def test_quiet_says_nothing_on_the_way(story: Story) -> None:
    assert story.more.err == ""
    assert "Study tiny: 6 finished trials" in story.more.out


def test_mlflow_has_the_study_as_a_parent_and_its_trials_as_children(story: Story) -> None:
    found = {run.info.run_name: run for run in runs(story.uri, "tiny")}
    parent = found.pop("tiny")
    assert parent.data.tags["optuna.study_name"] == "tiny"
    (dataset,) = parent.inputs.dataset_inputs
    assert dataset.dataset.name == "demo"
    artifacts = {each.path for each in client(story.uri).list_artifacts(parent.info.run_id)}
    assert {"study.toml", "environment.json"} <= artifacts
    trials = {trial.number: trial for trial in story.after["more"].trials}
    assert sorted(found) == [f"trial-{number:04d}" for number in sorted(trials)]
    for name, run in found.items():
        trial = trials[int(name.removeprefix("trial-"))]
        tags = run.data.tags
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        assert tags["optuna.study_name"] == "tiny"
        assert tags["optuna.trial_number"] == str(trial.number)
        assert tags["optuna.trial_state"] == trial.state.name
        assert tags["hpo.attempt"] == "1"
        assert run.info.status == STATUS_OF_STATE[trial.state]
        assert float(run.data.params["learning_rate"]) == trial.params["learning_rate"]
        assert run.data.params["freeze_depth"] == str(trial.params["freeze_depth"])
        assert run.data.params["batch_size"] == "32"
        assert run.data.params["schedule"] == "linear"


def test_mlflow_has_the_metrics_by_step_in_examples_seen(story: Story) -> None:
    trials = {trial.number: trial for trial in story.after["more"].trials}
    for run in runs(story.uri, "tiny"):
        if run.info.run_name == "tiny":
            continue
        trial = trials[int(run.info.run_name.removeprefix("trial-"))]
        accuracy = points(story.uri, run.info.run_id, "val/accuracy")
        reported = trial.intermediate_values
        assert accuracy == {(32, reported[1]): 1, (64, reported[2]): 1}
        for name in ("train/loss", "val/loss", "val/f1_macro", "val/mcc", "val/log_loss"):
            steps = [step for step, _ in points(story.uri, run.info.run_id, name)]
            assert sorted(steps) == [32, 64], name
        assert run.data.metrics["val/best_accuracy"] == trial.value == max(reported.values())


def test_optuna_has_each_trials_mlflow_run(story: Story) -> None:
    ids = {run.info.run_id: run.info.run_name for run in runs(story.uri, "tiny")}
    for trial in story.after["more"].trials:
        run_id = trial.user_attrs["mlflow_run_id"]
        assert ids[run_id] == f"trial-{trial.number:04d}"
        assert trial.user_attrs["mlflow_url"].endswith(f"/runs/{run_id}")


def test_the_champion_loads_with_mlflow_and_with_transformers_alone(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    monkeypatch.setenv("MLFLOW_TRACKING_URI", story.uri)
    monkeypatch.chdir(tmp_path)
    version = client(story.uri).get_model_version_by_alias("tiny", "champion")
    best = max(story.after["more"].trials, key=lambda trial: trial.value or 0)
    assert version.tags["optuna.trial_number"] == str(best.number)
    texts = ["a wonderful film, I loved it", "dull, and far too long"]
    with tracking_uri(story.uri):
        folder = Path(mlflow.artifacts.download_artifacts("models:/tiny@champion"))
        by_mlflow = mlflow.pyfunc.load_model("models:/tiny@champion").predict(texts)
    model = AutoModelForSequenceClassification.from_pretrained(folder / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    with torch.no_grad():
        logits = [model(**tokenizer(text, return_tensors="pt")).logits[0] for text in texts]
    labels = [model.config.id2label[int(each.argmax())] for each in logits]
    assert set(model.config.id2label.values()) == {"negative", "positive"}
    assert labels_of(by_mlflow) == labels


def test_my_own_table_and_my_own_model_are_enough(shell: Shell) -> None:
    rows = [
        f'"{opening}, number {i}, it was {word}",{verdict}'
        for i in range(60)
        for opening, word, verdict in (("Well", "fine", "yes"), ("Alas", "poor", "no, never"))
    ]
    quoted = [re.sub(r",(no, never)$", r',"\1"', row) for row in rows]
    shell.write("my reviews.csv", "What they said,Verdict\n" + "\n".join(quoted) + "\n")
    save_tiny(shell.folder / "small gpt2", n_positions=64)
    answer = shell.hpo(
        "run",
        *("--data", "my reviews.csv", "--model", "small gpt2", "--trials", "2"),
        *("--text-column", "What they said", "--label-column", "verdict"),
        *("--workers", "1", "--set", "search.space.epochs=[1]", "--json"),
    ).done()
    document = json.loads(answer.out)
    assert document["study"] == "my-reviews-small-gpt2"
    assert document["trials"]["finished"] == 2
    runs = statuses(embedded_uri(shell), "my-reviews-small-gpt2")
    confirming = {f"confirmation-000{trial}-seed-{seed}" for trial in (0, 1) for seed in (1, 2, 3)}
    studies = {"my-reviews-small-gpt2", "my-reviews-small-gpt2/confirmation"}
    assert runs == dict.fromkeys(studies | {"trial-0000", "trial-0001"} | confirming, "FINISHED")


def test_an_edited_table_does_not_go_on_with_the_study_of_the_old_one(shell: Shell) -> None:
    rows = [
        f"{opening} number {i} it was {word},{verdict}"
        for i in range(60)
        for opening, word, verdict in (("Well", "fine", "yes"), ("Alas", "poor", "no"))
    ]
    table = "text,label\n" + "\n".join(rows) + "\n"
    shell.write("tiny.toml", TINY_STUDY)
    shell.write("reviews.csv", table)
    study = ("tiny.toml", "--name", "tiny", "--data", "reviews.csv")
    command = ("run", *study, "--workers", "1")
    shell.hpo(*command, "--trials", "1").done()
    shell.write("reviews.csv", table.replace(",yes", ",good"))
    for other in (command, ("submit", *study)):
        refused = shell.hpo(*other, "--trials", "2")
        assert refused.code == 2, refused.err
        assert "study tiny: found other data than its trials were trained on" in refused.err
        assert "Put the old data back, or use another --name." in refused.err
    assert facts(shell, embedded_uri(shell)).finished == 1
    (parent,) = [r for r in runs(embedded_uri(shell), "tiny") if r.info.run_name == "tiny"]
    assert len(parent.inputs.dataset_inputs) == 1
    shell.write("reviews.csv", table)
    shell.hpo(*command, "--trials", "2").done()
    assert_whole(facts(shell, embedded_uri(shell)), trials=2)


@pytest.mark.campaign  # for all who end wait a while for the server
def test_a_study_whose_server_is_away_says_what_waits_and_all_of_it_arrives_later(
    shell: Shell, tmp_path: Path
) -> None:
    server = MlflowServer(tmp_path)
    shell.write("tiny.toml", TINY_STUDY)
    shell = replace(shell, environment={**shell.environment, "MLFLOW_TRACKING_URI": server.uri})
    away = shell.hpo("run", "tiny.toml", "--workers", "2", "--json").done()
    waiting = waiting_in(shell.folder / ".hpo")
    assert json.loads(away.out)["waiting_for_mlflow"] == waiting
    assert f"{waiting} operations" in shell.hpo("doctor").out
    server.start()
    try:
        shell.hpo("doctor", "--flush").done()
        assert waiting_in(shell.folder / ".hpo") == 0
        found = facts(shell, server.uri)
        assert_whole(found, trials=4)
        reports = sum(len(trial.intermediate_values) for trial in found.trials)
        stored = all_points(tmp_path / "server.db", "val/accuracy")
        assert reports == len(stored) == stored.total() == 8
    finally:
        server.stop()


def test_one_worker_serves_all_studies_the_most_urgent_first(shell: Shell) -> None:
    shell.write("tiny.toml", TINY_STUDY)
    submit = ("submit", "tiny.toml", "--trials", "2")
    calm = shell.hpo(*submit, "--name", "calm").done()
    assert calm.err.startswith("Read demo: columns text and label; 64 training, ")
    assert calm.out == "Study calm: 0 of 2 trials finished, priority 0.\n"
    urgent = shell.hpo(*submit, "--name", "urgent", "--priority", "5", "--no-check").done()
    assert urgent.out == "Study urgent: 0 of 2 trials finished, priority 5.\n"
    worker = shell.hpo("worker", "--exit-when-done", HPO_LOG="INFO").done()
    assert worker.err.count("INFO hpo.runtime.service: Read demo: columns text and label;") == 2
    assert re.findall(r"working on study (\w+)", worker.err) == ["urgent", "calm"]
    assert worker.err.endswith("stopped cleanly\n")
    for name in ("urgent", "calm"):
        assert_whole(facts(shell, embedded_uri(shell), name), trials=2, name=name)
        assert client(embedded_uri(shell)).get_model_version_by_alias(name, "champion")
    again = shell.hpo("worker", "--exit-when-done").done()
    assert "working on" not in again.err


def labels_of(predictions: Any) -> list[str]:
    return list(predictions["label"]) if hasattr(predictions, "columns") else list(predictions)


@contextmanager
def tracking_uri(uri: str) -> Iterator[None]:
    """MLflow's own tracking URI for a while, as its users set it.

    Not with `mlflow.set_tracking_uri`, which cannot be undone: MLflow ignores the environment then.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", uri)
        yield
