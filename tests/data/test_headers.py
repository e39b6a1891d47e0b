from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hpo.errors import DataError

SMS = "".join(
    f"{label}\tmessage number {n} says {label} or something\n"
    for n in range(20)
    for label in ("ham", "spam")
)


def test_a_first_line_that_looks_like_data_is_told_with_the_way_on(tmp_path: Path, load) -> None:
    path = tmp_path / "SMSSpamCollection"
    path.write_text(SMS)
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(caught.value).endswith(
        "The first line looks like data; if it is, add "
        "`--set data.header=false --text-column 2 --label-column 1`."
    )
    data = load(path, header=False, text="2", label="1")
    assert data.label_names == ("ham", "spam")
    assert "message number 0 says ham or something" in (
        data.train.texts + data.validation.texts + data.test.texts
    )


@pytest.mark.parametrize("named", [{"text": "2"}, {"text": "ham"}, {}])
def test_no_advice_loses_the_first_row(tmp_path: Path, load, named: dict[str, str]) -> None:
    path = tmp_path / "sms.tsv"
    path.write_text(SMS)
    with pytest.raises(DataError, match=r"data\.header=false --text-column 2 --label-column 1"):
        load(path, **named)


def test_columns_without_names_are_proposed_by_what_they_hold(tmp_path: Path, load) -> None:
    path = tmp_path / "news.csv"
    path.write_text(
        "".join(f'"{n % 4 + 1}","T {n}","what happened, part {n}"\n' for n in range(40))
    )
    with pytest.raises(DataError, match=r"Perhaps `--text-column 3 --label-column 1`"):
        load(path, header=False)


def test_real_names_of_columns_are_no_data(tmp_path: Path, load) -> None:
    path = tmp_path / "news.csv"
    path.write_text("v1,v2\n" + "".join(f"{'ab'[n % 2]},text {n}\n" for n in range(20)))
    with pytest.raises(DataError, match=r"Perhaps `--text-column v2 --label-column v1`\?$"):
        load(path)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "xlsx"])
def test_two_equal_cells_in_a_first_line_of_data_are_no_names_to_change(
    tmp_path: Path, load, suffix: str
) -> None:
    path = tmp_path / f"tweets.{suffix}"
    rows = [[n % 2 * 4, n, "NO_QUERY", f"what a film, number {n}"] for n in range(20)]
    if suffix == "xlsx":
        pd.DataFrame(rows).to_excel(path, header=False, index=False)
    else:
        sep = "\t" if suffix == "tsv" else ","
        pd.DataFrame(rows).to_csv(path, header=False, index=False, sep=sep)
    with pytest.raises(DataError) as caught:
        load(path)
    assert "1: found more than one column named '0'; " in str(caught.value)
    assert "`--set data.header=false --text-column 4 --label-column 1`" in str(caught.value)
    assert len(load(path, header=False, text="4", label="1").label_names) == 2


def test_two_columns_of_one_name_are_to_be_renamed(tmp_path: Path, load) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("text,text,label\n" + "fine,dull,a\n" * 5)
    with pytest.raises(DataError, match=r"named 'text'; .* once\. Rename one of them\.$"):
        load(path)
