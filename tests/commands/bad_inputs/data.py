"""Data that cannot be read, or not be learnt from."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import zipfile

from tests.commands.bad_inputs.case import Case, data

GOOD_CSV = "text,label\n" + "".join(
    f"film number {i} is {word},{word}\n" for i in range(20) for word in ("good", "bad")
)
_ROWS = [json.dumps({"text": f"text {i}", "label": i % 2}) for i in range(30)]
_FEW_LABELS = "text,label\n" + "".join(
    f"film {i},{'' if i % 10 else ('good', 'bad')[i % 20 // 10]}\n" for i in range(200)
)


def _zip(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


_STORED = (
    "…, which would be stored with the study; expected an address without one. Put it into an …"
)
_NO_SERVER = "http://127.0.0.1:1/reviews.csv"
_V1_V2 = "v1,v2\n" + "".join(f"{('ham', 'spam')[i % 2]},see you at {i}\n" for i in range(20))

DATA = (
    data(
        "an empty file",
        "my.csv",
        "",
        "my.csv: found an empty file; expected a table of texts and labels. Name a file …",
    ),
    data(
        "a header without rows",
        "my.csv",
        "text,label\n",
        "my.csv: found no rows; expected a table of texts and labels. Name a file that has rows.",
    ),
    data(
        "columns of other names",
        "my.csv",
        "a,b\n1,2\n",
        "my.csv: found the columns 'a', 'b'; expected a text column (text, …). "
        "Name it with --text-column.",
    ),
    data(
        "a column that there is not",
        "my.csv",
        GOOD_CSV,
        "my.csv: found no column 'txet', but the columns 'text', 'label'; expected a column of "
        "this table. Perhaps `--text-column text`?",
        "--text-column txet",
    ),
    data(
        "one class",
        "my.csv",
        GOOD_CSV.replace(",bad", ",good"),
        "my.csv: found one class ('good') in the label column 'label'; expected two classes or "
        "more. Add rows of other classes, …",
    ),
    data(
        "most labels missing",
        "my.csv",
        _FEW_LABELS,
        "my.csv, lines 3, 4, …: found no label in 180 of 200 rows (column 'label'); expected a "
        "label in most rows. Fill the column, …",
    ),
    data(
        "a class for each row",
        "my.csv",
        "text,label\n" + "".join(f"text {i},{i}\n" for i in range(50)),
        "my.csv: found 50 labels in 50 rows of the column 'label'; expected classes that have several "
        'rows each. Set data.task = "regression" for numbers, or name another column …',
    ),
    data(
        "too few rows",
        "my.csv",
        "text,label\none,x\ntwo,y\n",
        "my.csv: found class 'x' with 1 row, class 'y' with 1 row, too few to split off …; "
        "expected 3 or more different texts of each of at least two classes. Add rows of these, …",
    ),
    data(
        "a row too long",
        "my.csv",
        "text,label\na,b\none,two,three\n",
        "my.csv, line 3: found 3 fields; expected 2, as in the first line. Put fields …",
    ),
    data(
        "a quotation that does not end",
        "my.csv",
        'text,label\n"one,two\nthree,four\n',
        "my.csv, line 2: found a quotation mark that is never closed; expected fields in quotes, "
        "…. Correct that line, …",
    ),
    data(
        "a broken line 17",
        "my.jsonl",
        "\n".join([*_ROWS[:16], _ROWS[16][:-4], *_ROWS[17:]]),
        "my.jsonl, line 17: found broken JSON (…); expected one JSON object a line. "
        "Correct that line.",
    ),
    data(
        "a list in place of an object",
        "my.jsonl",
        "[1, 2]\n[3, 4]\n",
        "my.jsonl, line 1: found a list; expected one JSON object a line. Write each row as …",
    ),
    data(
        "a binary file",
        "my.csv",
        b"\x89PNG\r\n\x1a\x00\x00\x00\xff\xfe",
        "my.csv, line 2: found a NUL byte, …; expected UTF-8 text. Save the file as UTF-8.",
    ),
    data(
        "a wrong encoding",
        "my.csv",
        codecs.BOM_UTF8 + GOOD_CSV.encode() + "un café,good\n".encode("latin-1"),
        "my.csv, line 42: found bytes that are not UTF-8 (e9…); expected UTF-8 text. "
        "Save the file as UTF-8, or set data.encoding.",
    ),
    data(
        "a parquet file that is none",
        "my.parquet",
        "text,label\n",
        "my.parquet: found plain text; expected a parquet file, as its name says. Call it .csv, …",
    ),
    Case(
        "a data file of nobody",
        "--data ~no-such-user/mine.csv",
        "~no-such-user/mine.csv: found the home folder of a user that there is not; expected a "
        "file, a folder, a hub id …. Check the path.",
    ),
    Case(
        "a data file of a very long name",
        f"--data {'x' * 300}",
        "xxx…: found a path that cannot be looked up (File name too long); expected a file, …. "
        "Check the path.",
    ),
    data(
        "columns whose names are nearly usual",
        "my.csv",
        "Sentiment Label,Review Text\ngood,a fine film\n",
        "my.csv: found the columns 'Sentiment Label', 'Review Text'; expected a text column (…). "
        "Perhaps `--text-column 'Review Text' --label-column 'Sentiment Label'`?",
    ),
    data(
        "a file of another kind",
        "my.ods",
        "x",
        "my.ods: found a file with the suffix '.ods'; expected a csv, … file. "
        "Save it as xlsx or csv.",
    ),
    Case(
        "a data file that there is not",
        "--data ./mine.csv",
        "./mine.csv: found no such file or folder; expected a file, a folder, a hub id …. "
        "Check the path.",
    ),
    Case(
        "an empty folder",
        "--data folder",
        "folder: found an empty folder; expected a file for each split (csv, …), a folder of texts …. "
        "Call the training file train.csv, …",
        {"folder": None},
    ),
    Case(
        "a folder without a training split",
        "--data folder",
        "folder: found no file named 'train', but test; expected the file that "
        "data.train_split names. Set data.train_split.",
        {"folder/test.csv": GOOD_CSV},
    ),
    Case(
        "a test split that is not read",
        "--data folder",
        "folder: found test.csv.zst, which is not read; expected no data but …. "
        "Decompress it with `unzstd`, or move it …",
        {"folder/train.csv": GOOD_CSV, "folder/test.csv.zst": b"?"},
    ),
    data(
        "several labels in a cell",
        "my.csv",
        'text,label\na film,joy\na play,love\na book,"joy,love"\n',
        "my.csv: found what looks like several labels in one cell of the label column 'label': "
        "'joy,love' beside 'joy' and 'love'; expected one label for each text. Set "
        "data.label_delimiter to what parts the labels of a text, or …",
    ),
    data(
        "lists in the label column",
        "my.jsonl",
        '{"text": "a film", "label": ["joy"]}\n{"text": "a play", "label": ["joy", "love"]}\n',
        "my.jsonl, line 1: found a list in the label column 'label', which looks like several "
        "labels in one cell: \"['joy']\"; expected one label for each text. Set data.task = "
        '"multi_label", or …',
        "--set data.task=single_label",
    ),
    data(
        "labels that are a measure",
        "my.csv",
        "text,label\na film,3.5\na play,4\n",
        "my.csv, line 2: found the number 3.5 in the label column 'label'; expected a class: …. "
        'Set data.task = "regression" for numbers, or …',
    ),
    data(
        "text where a number is to be",
        "my.csv",
        "text,label\na film,3.5\na play,good\n",
        "my.csv, line 3: found 'good' in the label column 'label'; expected a number, as data.task "
        '= "regression" has it. Correct the row, …',
        "--set data.task=regression",
    ),
    data(
        "the same number everywhere",
        "my.csv",
        "text,label\na film,3\na play,3.0\n",
        "my.csv: found the number 3 in every row of the label column 'label'; expected numbers that "
        "differ. Name another column …",
        "--set data.task=regression",
    ),
    data(
        "classes where several labels are to be",
        "my.csv",
        "text,label\na film,joy;love\na play,joy\n",
        "my.csv, line 2: found the text 'joy;love' in the label column 'label'; expected lists of "
        'labels, or data.label_delimiter to say what parts them. Set data.label_delimiter = ";".',
        "--set data.task=multi_label",
    ),
    data(
        "another delimiter than the cells have",
        "my.csv",
        "text,label\na film,joy|love\na play,joy\n",
        "data.label_delimiter: found ';', which no cell of the label column 'label' holds; expected "
        'what parts the labels in a cell. Set it to "|".',
        "--set data.label_delimiter=;",
    ),
    data(
        "a delimiter for lists",
        "my.jsonl",
        '{"text": "a film", "label": ["joy"]}\n{"text": "a play", "label": ["love"]}\n',
        "data.label_delimiter: found ',', but the label column holds lists; expected several labels "
        "in a cell of text, without which it does nothing. Remove it.",
        "--set data.label_delimiter=,",
    ),
    data(
        "a delimiter for classes",
        "my.csv",
        GOOD_CSV,
        "data.label_delimiter: found ',', but the task is single_label; expected several labels in a "
        "cell of text, without which it does nothing. Remove it.",
        "--set data.task=single_label --set data.label_delimiter=,",
    ),
    data(
        "one label in all lists",
        "my.jsonl",
        '{"text": "a film", "label": ["joy"]}\n{"text": "a play", "label": []}\n',
        "my.jsonl: found 1 label in the label column 'label'; expected two labels or more. Name …",
    ),
    data(
        "numbers where labels are to be",
        "my.jsonl",
        '{"text": "a film", "label": 1}\n{"text": "a play", "label": 0}\n',
        "my.jsonl, line 1: found a whole number in the label column 'label'; expected lists of names "
        'or whole numbers, as data.task = "multi_label" has them. Correct the row, …',
        "--set data.task=multi_label",
    ),
    data(
        "a label column of other numbers",
        "my.csv",
        "text,joy,love\na film,0,1\na play,1,2\n",
        "my.csv, line 3: found '2' in the label column 'love'; expected 0 or 1, for data.label names "
        "a column for each label. Correct the row, …",
        '--set \'data.label=["joy","love"]\'',
    ),
    data(
        "a label column without a 1",
        "my.csv",
        "text,joy,love\na film,0,0\na play,1,0\n",
        "my.csv: found no row with 1 in the label column 'love'; expected each label in several "
        "rows. Leave it out of data.label.",
        '--set \'data.label=["joy","love"]\'',
    ),
    data(
        "several label columns for numbers",
        "my.csv",
        "text,joy,love\na film,0,0\na play,1,0\n",
        'data.label: found 2 columns with data.task = "regression"; expected one column. Name one, '
        "or leave data.task out.",
        '--set \'data.label=["joy","love"]\' --set data.task=regression',
    ),
    data(
        "a label column twice",
        "my.csv",
        "text,joy,love\na film,0,0\na play,1,0\n",
        "data.label: found more than one column named 'joy'; expected each column named once. Rename …",
        '--set \'data.label=["joy","Joy"]\'',
    ),
    Case(
        "a label that training does not have",
        "--data folder",
        "folder/validation.csv, line 3: found the label 'awful', which the training split does "
        "not have; expected 'bad', 'good'. Correct the label, …",
        {
            "folder/train.csv": GOOD_CSV,
            "folder/validation.csv": "text,label\na fine film,good\na film,awful\n",
        },
    ),
    data(
        "a sample smaller than the classes",
        "my.csv",
        GOOD_CSV,
        "data.max_train_examples: found 1 for 2 classes; expected 2 or more, …. Raise it, …",
        "--max-train-examples 1",
    ),
    data(
        "a training split of a single file",
        "my.csv",
        GOOD_CSV,
        "data.train_split: found 'all', but my.csv is one file; expected no split names …. "
        "Remove it, …",
        "--set data.train_split=all",
    ),
    data(
        "a revision of a file",
        "my.csv",
        GOOD_CSV,
        "data.revision: found 'v1', but my.csv is a file; expected a hub data set, without which "
        "it does nothing. Remove it.",
        "--set data.revision=v1",
    ),
    Case(
        "a share of a split that is there",
        "--set data.test_fraction=0.3",
        "data.test_fraction: found 0.3, but the source has one; expected a source without a test "
        "split, without which it does nothing. Remove it.",
    ),
    data(
        "a split of a single file",
        "my.csv",
        GOOD_CSV,
        "data.test_split: found 'test', but my.csv is one file; expected no split names …. "
        "Remove it, …",
        "--set data.test_split=test",
    ),
    Case(
        "a password in an address",
        "--data https://me:secret@example.org/reviews.csv",
        f"--data: found a login in an address{_STORED} https://me:${{PASSWORD}}@host/file …",
    ),
    Case(
        "a token for a user in an address",
        "--data https://secret@example.org/reviews.csv",
        f"--data: found a login in an address{_STORED}",
    ),
    Case(
        "a token in the query of an address",
        "--data https://example.org/reviews.csv?token=secret",
        f"--data: found token=… in an address{_STORED} token=${{NAME}} …",
    ),
    Case(
        "a signature in the query of an address",
        "--set 'data.source=https://example.org/reviews.csv?a=1&X-Amz-Signature=secret'",
        f"--data: found X-Amz-Signature=… in an address{_STORED}",
    ),
    Case(
        "a password in an address of a study file",
        "bad.toml",
        f"bad.toml: data.source: found a login in an address{_STORED}",
        {"bad.toml": '[data]\nsource = "https://me:secret@example.org/reviews.csv"\n'},
    ),
    Case(
        "a password that is not escaped in an address",
        "--data https://me:secret/or@example.org/reviews.csv",
        "--data: found an address that cannot be read; expected https://host/file. Correct it.",
    ),
    Case(
        "a variable that the environment lacks",
        "--data 'https://example.org/reviews.csv?token=${HPO_TEST_LACKING}'",
        "HPO_TEST_LACKING: found no such environment variable, which the address "
        "https://example.org/reviews.csv needs; expected …. Set it, here and for every worker.",
    ),
    Case(
        "a bucket",
        "--data s3://bucket/reviews.csv",
        "--data: found an address of s3://; expected one of http:// or https://, …. "
        "Download it with `aws s3 cp`, and name the file.",
    ),
    Case(
        "the address of a file",
        "--data file:///reviews.csv",
        "--data: found an address of file://; expected …. Name the path alone.",
    ),
    Case(
        "an address without a host",
        "--data https:///reviews.csv",
        "--data: found an address that cannot be read; expected https://host/file. Correct it.",
    ),
    Case(
        "a server that there is not",
        f"--data {_NO_SERVER}",
        f"{_NO_SERVER}: found connection refused; expected a file of texts and labels. "
        "Check the address and the network, …",
    ),
    Case(
        "a server that there is not, with a login",
        "--data 'http://me:${PW}@127.0.0.1:1/reviews.csv?key=${PW}'",
        f"{_NO_SERVER}: found connection refused; expected …",
        environment={"PW": "secret"},
    ),
    Case(
        "a revision of an address",
        f"--data {_NO_SERVER} --set data.revision=v1",
        f"{_NO_SERVER}: found connection refused; expected …",
    ),
    Case(
        "a time for downloads that is none",
        f"--data {_NO_SERVER}",
        "HPO_DOWNLOAD_TIMEOUT: found 'soon'; expected a duration …. Write …",
        environment={"HPO_DOWNLOAD_TIMEOUT": "soon"},
    ),
    Case(
        "a size of downloads that is none",
        f"--data {_NO_SERVER}",
        "HPO_DOWNLOAD_LIMIT: found '-1'; expected a size …. Write …",
        environment={"HPO_DOWNLOAD_LIMIT": "-1"},
    ),
    Case(
        "a refresh of downloads that is neither on nor off",
        f"--data {_NO_SERVER}",
        "HPO_DOWNLOAD_REFRESH: found 'maybe'; expected 1 …. Set it to 1, or leave it out.",
        environment={"HPO_DOWNLOAD_REFRESH": "maybe"},
    ),
    data(
        "a zip file of several tables",
        "my.zip",
        _zip(**{"a.csv": GOOD_CSV, "b.csv": GOOD_CSV, "README.txt": "notes"}),
        "my.zip: found a zip file of 2 tables (a.csv, b.csv); expected one table, or one called "
        "train …. Name one of them, as in my.zip::a.csv.",
    ),
    data(
        "a zip file without a table",
        "my.zip",
        _zip(**{"plot.png": "?", "README.md": "notes"}),
        "my.zip: found no table in it; expected …. Unpack it with `unzip`, …",
    ),
    Case(
        "a member that a zip file lacks",
        "--data my.zip::c.csv",
        "my.zip::c.csv: found no such member; expected one of a.csv, b.csv. Write my.zip::…",
        {"my.zip": _zip(**{"a.csv": GOOD_CSV, "b.csv": GOOD_CSV})},
    ),
    Case(
        "a member of a zip file that there is not",
        "--data my.zip::c.csv",
        "my.zip: found no such file or folder; expected …. Check the path.",
    ),
    data(
        "a broken table among the splits of a zip file",
        "my.zip",
        _zip(**{"d/train.csv": "text,label\na,b,c\n", "d/test.csv": GOOD_CSV}),
        "my.zip/d/train.csv, line 2: found 3 fields; expected 2, as in the first line. Put …",
    ),
    data(
        "a zip file cut short",
        "my.zip",
        _zip(**{"train.csv": GOOD_CSV, "test.csv": GOOD_CSV})[:-30],
        "my.zip: found …; expected …",
    ),
    data(
        "a gz file cut short",
        "my.csv.gz",
        gzip.compress(GOOD_CSV.encode())[:-9],
        "my.csv.gz: found a compressed file that cannot be read (…); expected a whole file. …",
    ),
    data(
        "rows of JSON of different lengths",
        "my.json",
        '[["a film", "good"], ["a play"]]',
        "my.json, row 2: found a list of 1; expected a list of 2, as the first row is. Write …",
    ),
    data(
        "rows of JSON without names",
        "my.json",
        json.dumps([[f"see you at {i}", i % 2] for i in range(20)]),
        "my.json: found the columns '1', '2'; expected a text column (…). "
        "Perhaps `--text-column 1 --label-column 2`?",
    ),
    data(
        "the columns of Kaggle's SMS collection",
        "spam.csv",
        _V1_V2,
        "spam.csv: found the columns 'v1', 'v2'; expected a text column (…). "
        "Perhaps `--text-column v2 --label-column v1`?",
    ),
    data(
        "the columns of Kaggle's Enron collection",
        "enron.csv",
        _V1_V2.replace("v1,v2", "Spam/Ham,Body"),
        "enron.csv: found the columns 'Spam/Ham', 'Body'; expected a label column (…). "
        "Perhaps `--label-column Spam/Ham`?",
    ),
    Case(
        "a study file without its suffix",
        "regularise",
        "regularise: found no study of this name, but a file regularise.toml; expected one of …. "
        "Write regularise.toml instead.",
        {"regularise.toml": ""},
    ),
    data(
        "a Git LFS pointer in place of the file",
        "my.parquet",
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n",
        "my.parquet: found a Git LFS pointer; expected a table of texts and labels. Get the file "
        "itself with `git lfs pull`.",
    ),
    data(
        "a gzip file without its suffix",
        "my.csv",
        gzip.compress(GOOD_CSV.encode()),
        "my.csv: found a gzip file; expected a csv file, as its name says. Rename it to my.csv.gz.",
    ),
    data(
        "two equal cells in a first line of data",
        "my.csv",
        "".join(f"{i % 2},{i % 2},what a film it is number {i}\n" for i in range(20)),
        "my.csv, line 1: found more than one column named '0'; expected each column named once. "
        "That line looks like data; if it is, add `--set data.header=false --text-column 3 "
        "--label-column 1`, and else rename one of them.",
    ),
    data(
        "a title above the header",
        "my.csv",
        f"My reviews\n\n{GOOD_CSV}",
        "my.csv, line 1: found 1 field; expected 2, as in the lines below it. Remove it, …",
    ),
)
