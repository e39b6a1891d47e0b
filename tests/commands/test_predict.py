"""`hpo.predict`: texts and files in, labels out, as the model's own pyfunc says them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.data.row_stream import Rows
from hpo.errors import DataError, ModelError
from hpo.results.predictions import AnswerForm, Labeller, faults_in_words
from hpo.tracking.loading import load_folder
from tests.commands.bad_inputs.case import Case
from tests.commands.shell import Shell
from tests.commands.told import told_of
from tests.tracking.tiny import save_tiny_classifier

TABLE = 'id,text,label\n1,hello there,x\n2,"a, b\nc",y\n3\n4,hello there,z\n'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tiny_classifier(folder)
    return folder


@pytest.mark.slow
def test_a_table_comes_back_with_labels_beside_its_columns(shell: Shell, model: Path) -> None:
    shell.write("in.csv", TABLE)
    shell.write("out.csv", "an earlier file")
    done = shell.hpo(
        "predict", f"--model={model}", "--input=in.csv", "--output=out.csv", "--overwrite"
    ).done()
    assert "4 rows" in done.err
    why = "1 field where the first line has 3 (1 row)"
    assert f"1 row has no answer; the column error says why: {why}" in done.err
    with (shell.folder / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["label"] for row in rows] == ["x", "y", "", "z"]
    answers, probabilities = load_folder(model, "it").classify(["hello there", "a, b\nc"])
    assert [row["predicted_label"] for row in rows] == [*answers, "", answers[0]]
    assert float(rows[0]["probability_bad"]) == pytest.approx(probabilities[0, 0], abs=1e-5)
    assert [bool(row["error"]) for row in rows] == [False, False, True, False]


@pytest.mark.slow
def test_texts_are_labelled_a_line_each(shell: Shell, model: Path) -> None:
    answers, _ = load_folder(model, "it").classify(["A joy", "dull"])
    said = shell.hpo("predict", f"--model={model}", "A joy", "dull").done().out.splitlines()
    assert [line.split()[0] for line in said] == answers
    lines = shell.hpo("predict", f"--model={model}", "--json", "--top=1", "A joy").done().out
    (line,) = map(json.loads, lines.splitlines())
    assert line["label"] == line["label_1"] == answers[0]
    assert 0.5 <= line["probability_1"] <= 1


def labelled(model: Path, form: AnswerForm, *texts: object) -> dict[str, list[object]]:
    labeller = Labeller(load_folder(model, "it"), "text", form)
    columns = labeller.label(Rows({"text": list(texts)}, range(1, len(texts) + 1)))
    return {name: list(column) for name, column in columns.items()}


def test_below_the_threshold_no_label_is_given(model: Path) -> None:
    assert labelled(model, AnswerForm(threshold=0.0), "a")["label"] != [None]
    assert labelled(model, AnswerForm(threshold=1.0), "a")["label"] == [None]


def test_rows_without_a_text_are_marked(model: Path) -> None:
    columns = labelled(model, AnswerForm(), None, "a", "caf\udce9", 7)
    assert [label is None for label in columns["label"]] == [True, False, True, False]
    assert [error is None for error in columns["error"]] == [False, True, False, True]


def test_parts_come_in_their_order_and_a_fault_of_reading_after_them(model: Path) -> None:
    def parts() -> Iterator[Rows]:
        for number in range(3):
            yield Rows({"text": [f"text {number}", "again"]}, (1, 2))
        raise DataError("it", found="a fault", expected="none", hint="Mend it.")

    labeller = Labeller(load_folder(model, "it"), "text")
    found = []
    with pytest.raises(DataError, match="found a fault"):
        found.extend(columns["text"] for columns in labeller.label_each(parts()))
    assert found == [[f"text {number}", "again"] for number in range(3)]
    assert labeller.rows == 6


def test_answers_are_those_of_the_trial_however_the_file_is_divided(model: Path) -> None:
    texts = [f"text {number} " + "again " * (number % 7) for number in range(50)]
    expected = load_folder(model, "it").classify(texts)[1]
    for size in (50, 7):
        parts = (texts[at : at + size] for at in range(0, 50, size))
        rows = (Rows({"text": part}, range(1, len(part) + 1)) for part in parts)
        found = [
            probability
            for columns in Labeller(load_folder(model, "it"), "text").label_each(rows)
            for probability in columns["probability_bad"]
        ]
        assert found == pytest.approx(expected[:, 0].tolist(), abs=1e-6)


def test_the_share_that_has_its_answers_is_told_after_each_batch(model: Path) -> None:
    texts = [f"text {number} " + "again " * 30 for number in range(200)]  # of several batches
    parts = (
        Rows({"text": part}, range(len(part)), share_read=share)
        for part, share in ((texts, 0.5), ([None], 0.6), (texts[:150], 1.0))
    )
    told: list[tuple[int, float]] = []
    labeller = Labeller(
        load_folder(model, "it"),
        "text",
        on_batch=lambda share: told.append((labeller.rows, share)),
    )
    list(labeller.label_each(parts))
    first = [share for rows, share in told if rows == 0]
    later = [share for rows, share in told if rows == 201]
    assert 0 < first[0] < first[1] <= first[-1] == pytest.approx(0.5)
    assert 0.6 < later[0] < later[1] <= later[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"a": 1}, "1 row has no answer; the column error says why: a (1 row)"),
        (
            {"a": 1, "b": 1_200},
            "1,201 rows have no answer; the column error says why: b (1,200 rows); a (1 row)",
        ),
        (
            {"a": 5, "b": 4, "c": 3, "d": 2, "e": 1},
            "15 rows have no answer; the column error says why: "
            "a (5 rows); b (4 rows); c (3 rows); other reasons (3 rows)",
        ),
    ],
)
def test_rows_without_an_answer_are_summed_up(faults: dict[str, int], said: str) -> None:
    assert faults_in_words(faults) == said


def test_the_likeliest_labels_come_first(model: Path) -> None:
    columns = labelled(model, AnswerForm(top=5), "a", "b")
    assert list(columns) == [
        *("text", "label", "label_1", "probability_1", "label_2", "probability_2", "error")
    ]
    assert columns["label"] == columns["label_1"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--model gone hello", "gone: found no such folder; expected models:/NAME@ALIAS, …"),
        ("--model it.onnx hello", "it.onnx: found an ONNX export; …"),
        ("--model in.csv hello", "in.csv: found a file; expected models:/NAME@ALIAS, …"),
        ("--model . --input in.csv hello", "--input: found a file beside texts; expected one …"),
        ("--model . --input in.csv", "--input: found no --output with it; expected both. …"),
        ("--model . --output out.csv", "--output: found no --input with it; expected both. …"),
        ("--model . --input gone.csv --output out.csv", "--input: found no file gone.csv; …"),
        ("--model . --input in.csv --output in.csv", "--output: found in.csv, which exists; …"),
        ("--model . --input in.csv --output in.csv --overwrite", "--output: found the input itself; …"),
        ("--model . --input in.csv --output out.xlsx", "--output: found out.xlsx; expected a file …"),
        ("--model . --input in.csv --output no/out.csv", "--output: found no folder no; …"),
        ("--model . --threshold 2 hello", "--threshold: found '2'; expected a probability …"),
        ("--model . --input in.csv --output out.csv --encoding morse", "--encoding: found 'morse'; …"),
        ("--model . --top 0 hello", "--top: found …"),
    ],
)  # fmt: skip
def test_bad_input_is_told_before_anything_heavy_is_imported(
    shell: Shell, line: str, says: str, tmp_path: Path
) -> None:
    from tests.commands.shell import refusing

    case = Case(line, line, says, {"in.csv": TABLE, "it.onnx": ""}, command="predict")
    root = Path(__file__).resolve().parents[2]
    told_of(case, shell, PYTHONPATH=f"{refusing(tmp_path / 'light')}:{root}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("in.csv", "a,b\n1,2\n", "in.csv: found the columns 'a', 'b'; expected a text column …"),
        ("in.csv", "text,b\n", "in.csv: found no rows; expected a table of texts. …"),
        ("in.csv", "", "in.csv: found an empty file; expected a table of texts. …"),
        ("in.parquet", "PAR1", "in.parquet: found a file that cannot be read as parquet …"),
    ],
)
def test_an_input_without_texts_is_told_and_nothing_written(
    shell: Shell, model: Path, file: str, content: str, says: str
) -> None:
    line = f"--model {model} --input {file} --output out.csv"
    told_of(Case(says, line, says, {file: content}, command="predict"), shell)


@pytest.mark.parametrize("name", ["model.onnx", "model/model.onnx", "onnx/model_quantized.onnx"])
def test_an_export_for_onnx_is_told_as_such(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"")
    (tmp_path / name).with_name("config.json").write_text("{}")
    with pytest.raises(ModelError, match="it: found an ONNX export") as caught:
        load_folder(tmp_path, "it")
    assert "--format transformers" in caught.value.hint


@pytest.mark.slow
def test_a_model_that_mlflow_would_have_makes_no_store(shell: Shell) -> None:
    says = "models:/x@champion: found no MLflow store sqlite:///…"
    told_of(Case(says, "--model models:/x@champion hello", says, command="predict"), shell)
