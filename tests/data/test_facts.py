"""What is counted of texts before any study: empty rows, copies, leaks, clashing labels, lengths."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.data.dataset import labelled_data, read_tables
from hpo.data.facts import FileFacts, TextFacts, file_facts, quantiles, sampled, text_facts
from hpo.spec.study import DataSection

ROWS = [(f"text {i}", "good" if i % 2 else "bad") for i in range(40)]


def csv_of(rows: list[tuple[str, str]], delimiter: str = ",") -> str:
    return "".join(f"{text}{delimiter}{label}\n" for text, label in [("text", "label"), *rows])


def facts_of(source: Path, **keys: object) -> tuple[dict[str, FileFacts], TextFacts]:
    section = DataSection.model_validate({"source": str(source), **keys})
    tables = read_tables(section)
    return file_facts(tables), text_facts(tables, labelled_data(tables, section, seed=0))


def written_by_pandas(path: Path) -> None:
    table = pd.DataFrame(ROWS, columns=["text", "label"])
    writers = {
        ".parquet": table.to_parquet,
        ".feather": table.to_feather,
        ".xlsx": lambda p: table.to_excel(p, index=False),
        ".json": lambda p: table.to_json(p, orient="records"),
    }
    writers[path.suffix](path)


@pytest.mark.parametrize(
    ("name", "content", "written"),
    [
        ("a.csv", csv_of(ROWS), "csv, commas, UTF-8"),
        ("a.csv", csv_of(ROWS, ";"), "csv, semicolons, UTF-8"),
        ("a.tsv", csv_of(ROWS, "\t"), "tsv, tabs, UTF-8"),
        ("a.csv", csv_of(ROWS).encode("utf-8-sig"), "csv, commas, UTF-8"),
        ("a.csv", csv_of(ROWS).replace("1", "é").encode("latin-1"), "csv, commas, cp1252"),
        ("a.csv", csv_of(ROWS).encode("utf-16"), "csv, commas, utf-16"),
        ("a.csv.gz", gzip.compress(csv_of(ROWS).encode()), "csv, commas, UTF-8, gz"),
        ("a", csv_of(ROWS, "\t"), "tsv, tabs, UTF-8"),
        (
            "a.jsonl",
            "".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in ROWS),
            "jsonl, UTF-8",
        ),
        ("a.json", None, "json, UTF-8"),
        ("a.parquet", None, "parquet"),
        ("a.feather", None, "feather"),
        ("a.xlsx", None, "xlsx"),
    ],
)
def test_how_a_file_is_written_is_told(
    tmp_path: Path, name: str, content: str | bytes | None, written: str
) -> None:
    path = tmp_path / name
    if content is None:
        written_by_pandas(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    files, _ = facts_of(path)
    assert files == {"train": FileFacts(str(path), written, 40, 0)}


def test_class_folders_and_shards_are_told_too(tmp_path: Path) -> None:
    for number, (text, label) in enumerate(ROWS):
        (tmp_path / "texts" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "texts" / label / f"{number}.txt").write_text(text)
    files, _ = facts_of(tmp_path / "texts")
    assert files["train"].written == "a folder of texts for each class"
    for shard in range(2):
        (tmp_path / "shards").mkdir(exist_ok=True)
        (tmp_path / "shards" / f"train-0000{shard}-of-00002.csv").write_text(csv_of(ROWS[shard::2]))
    files, _ = facts_of(tmp_path / "shards")
    assert files["train"].written == "csv, commas, UTF-8"
    assert files["train"].rows == 40


def test_leaks_copies_clashes_and_empty_rows_are_counted(tmp_path: Path) -> None:
    train = [*ROWS, ("text 0", "bad"), ("text 1", "bad"), ("", "bad"), ("leak", "good")]
    splits = {
        "train": [*train, ("leak", "bad"), ("both", "bad")],
        "validation": [("both", "bad"), ("mine", "good"), ("mine", "good")],
        "test": [("leak", "good"), ("both", "bad"), ("other", "bad"), ("  ", "bad")],
    }
    for name, rows in splits.items():
        (tmp_path / f"{name}.csv").write_text(csv_of(rows))
    files, facts = facts_of(tmp_path)
    assert [(each.rows, each.empty) for each in files.values()] == [(46, 1), (3, 0), (4, 1)]
    assert facts == TextFacts(
        shared={"train, validation": 1, "train, test": 3, "validation, test": 1},
        copies={"train": 2, "validation": 1, "test": 0},
        clashing=1,
    )


def test_a_test_split_without_labels_leaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(csv_of(ROWS))
    (tmp_path / "test.csv").write_text("text\n" + "".join(f"{text}\n" for text, _ in ROWS))
    files, facts = facts_of(tmp_path)
    assert set(files) == {"train", "test"}
    assert facts.shared == {}


def test_texts_of_several_columns_are_counted_as_they_are_joined(tmp_path: Path) -> None:
    rows = [f"{i % 2},title,{i % 10}\n" for i in range(40)]
    path = tmp_path / "a.csv"
    path.write_text("label,title,body\n" + "".join(rows))
    files, facts = facts_of(path, text=["title", "body"])
    assert files["train"].empty == 0
    assert sum(facts.copies.values()) == 30


@given(st.lists(st.integers(0, 10_000), min_size=1))
def test_quantiles_are_lengths_that_there_are(lengths: list[int]) -> None:
    found = quantiles(lengths)
    assert list(found) == ["shortest", "median", "percentile_95", "longest"]
    assert set(found.values()) <= set(lengths)
    assert sorted(found.values()) == list(found.values())
    assert np.mean(np.array(lengths) <= found["percentile_95"]) >= 0.95


@given(st.integers(0, 200), st.integers(1, 100))
def test_a_sample_is_the_same_each_time_and_in_order(texts: int, most: int) -> None:
    numbered = [f"{number:03d}" for number in range(texts)]
    found = sampled(numbered, most)
    assert found == sampled(numbered, most) == sorted(set(found))
    assert len(found) == min(texts, most)
