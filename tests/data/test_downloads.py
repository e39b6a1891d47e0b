"""Data from a web server: a real one, on loopback, which answers as people's servers do."""

from __future__ import annotations

import base64
import gzip
import io
import json
import logging
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from hpo.data.downloads import size_of_downloads
from hpo.errors import DataError, HpoError, OptionError
from tests.data.conftest import Read
from tests.data.web_server import WebServer, web_server

CSV = b"text,label\nfine,good\nawful,bad\n"
OTHER = b"text,label\nfine,good\nawful,bad\nso-so,bad\n"
SECRET = "hunter2@/&x"


def packed(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def workbook() -> bytes:
    buffer = io.BytesIO()
    pd.read_csv(io.BytesIO(CSV)).to_excel(buffer, index=False)
    return buffer.getvalue()


def parquet() -> bytes:
    return pd.read_csv(io.BytesIO(CSV)).to_parquet(index=False)


JSON = pd.read_csv(io.BytesIO(CSV)).to_json(orient="records").encode()
LINES = pd.read_csv(io.BytesIO(CSV)).to_json(orient="records", lines=True).encode()


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/reviews.csv", CSV, {}),
        ("/reviews.csv.gz", gzip.compress(CSV, mtime=0), {"Content_Type": "application/gzip"}),
        ("/reviews.csv.gz", gzip.compress(CSV, mtime=0), {"Content_Encoding": "gzip"}),
        ("/reviews.csv", gzip.compress(CSV, mtime=0), {"Content_Encoding": "gzip"}),
        ("/reviews.csv", CSV, {"Content_Type": "text/html"}),
        ("/reviews.csv.zip", packed(**{"reviews.csv": CSV}), {}),
        ("/reviews.zip", packed(**{"reviews.csv": CSV}), {}),
        ("/reviews.zip", packed(**{"r__train.csv": CSV, "r__LICENSE": b"free"}), {}),
        ("/reviews.json", JSON, {}),
        ("/reviews.jsonl", LINES, {}),
        ("/reviews.parquet", parquet(), {}),
        ("/reviews.xlsx", workbook(), {}),
        ("/reviews%20of%20all.csv", CSV, {}),
        ("/download", CSV, {"Content_Type": "text/csv; charset=utf-8"}),
        ("/download", JSON, {"Content_Type": "application/json"}),
        ("/download.php", parquet(), {"Content_Type": "application/octet-stream"}),
        ("/download", workbook(), {}),
        ("/download", gzip.compress(CSV, mtime=0), {}),
        ("/download", packed(**{"reviews.csv": CSV}), {}),
        ("/download", CSV, {"Content_Disposition": 'attachment; filename="../../r.csv"'}),
        ("/download", CSV, {"Content_Disposition": "attachment; filename*=UTF-8''r%C3%A9.csv"}),
        ("/", CSV, {}),
    ],
)
def test_every_format_is_read_by_the_name_or_by_what_the_server_says(
    server: WebServer, read: Read, cache: Path, path: str, body: bytes, headers: dict[str, str]
) -> None:
    address = server.put(path, body, **headers)
    first = read(f"{address}?dl=1")
    assert first.train.column("text") == ["fine", "awful"]
    assert first.train.place.startswith(address)
    assert str(cache) not in f"{first}"
    assert len(server.asked) == 1
    again = read(f"{address}?dl=1")
    assert again.train.column("label") == first.train.column("label")
    assert len(server.asked) == 1


def test_a_zip_of_splits_and_one_member_of_it(server: WebServer, read: Read) -> None:
    address = server.put("/data.zip", packed(**{"train.csv": CSV, "test.csv": OTHER}))
    both = read(address)
    assert both.test is not None
    assert (len(both.train), len(both.test)) == (2, 3)
    assert both.test.where(0) == f"{address}/test.csv, line 2"
    one = read(f"{address}::test.csv")
    assert (len(one.train), one.test) == (3, None)
    assert len(server.asked) == 1


def test_a_copy_is_asked_for_again_only_where_the_user_says_so(
    server: WebServer, read: Read, said: list[str]
) -> None:
    address = server.put("/reviews.csv", CSV, ETag='"one"')
    read(address)
    server.put("/reviews.csv", OTHER, ETag='"two"')
    assert len(read(address).train) == 2
    assert "as fetched on" in said[-1]
    assert "HPO_DOWNLOAD_REFRESH=1" in said[-1]
    assert len(read(address, HPO_DOWNLOAD_REFRESH="1").train) == 3
    assert len(read(address, HPO_DOWNLOAD_REFRESH="1").train) == 3
    assert "as it was" in said[-1]
    tags = [headers.get("If-None-Match") for _, headers in server.asked]
    assert tags == [None, '"one"', '"two"']
    with pytest.raises(OptionError, match="HPO_DOWNLOAD_REFRESH: found 'yes'"):
        read(address, HPO_DOWNLOAD_REFRESH="yes")


def test_a_copy_is_read_without_the_server(read: Read) -> None:
    with web_server() as server:
        address = server.put("/reviews.csv", CSV)
        read(address)
    assert len(read(address).train) == 2
    with pytest.raises(DataError, match="connection refused"):
        read(address, HPO_DOWNLOAD_REFRESH="1")
    assert len(read(address).train) == 2


@pytest.mark.parametrize("damage", ["content", "facts", "digests", "no digests", "no content"])
def test_a_damaged_copy_is_never_believed(
    server: WebServer, read: Read, cache: Path, damage: str
) -> None:
    address = server.put("/reviews.csv", CSV)
    read(address)
    (entry,) = (cache / "downloads").iterdir()
    if damage == "content":
        (entry / "content/reviews.csv").write_bytes(CSV.replace(b"fine", b"dull"))
    elif damage == "facts":
        (entry / "download.json").write_text('{"name": "../../../etc/passwd"}')
    elif damage == "digests":
        (entry / "digests.json").write_text("[1, 2]")
    elif damage == "no digests":
        (entry / "digests.json").unlink()
    else:
        (entry / "content/reviews.csv").unlink()
    mended = read(address)
    assert mended.train.column("text") == ["fine", "awful"]
    assert "fetched again, for the copy was damaged" in mended.warnings[0]
    assert read(address).warnings == ()
    assert len(server.asked) == 2


def test_what_cannot_be_read_is_not_kept(server: WebServer, read: Read, cache: Path) -> None:
    address = server.put("/reviews.csv.gz", gzip.compress(CSV, mtime=0)[:-9])
    with pytest.raises(DataError, match=r"reviews\.csv\.gz: found a compressed file") as caught:
        read(address)
    assert str(cache) not in str(caught.value)
    assert not cache.exists()
    server.put("/reviews.csv.gz", gzip.compress(CSV, mtime=0))
    assert len(read(address).train) == 2


def test_redirects_are_followed_within_bounds(server: WebServer, read: Read, cache: Path) -> None:
    server.put("/file/reviews.csv", CSV)
    there = server.put("/there", status=307, Location="/file/reviews.csv")
    assert read(there).train.place == there
    round_and_round = server.put("/round", status=302, Location="/round")
    for location, message in (
        (round_and_round, "more than 10 redirects"),
        ("file:///etc/passwd", "a redirect to file://"),
        ("ftp://127.0.0.1/reviews.csv", "a redirect to ftp://"),
    ):
        with pytest.raises(DataError, match=message):
            read(server.put("/away", status=301, Location=location))
    assert len([*(cache / "downloads").iterdir()]) == 1


def test_secrets_come_from_the_environment_and_are_neither_kept_nor_shown(
    server: WebServer, read: Read, cache: Path, said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    server.put("/reviews.csv", CSV)
    address = f"{server.url.replace('//', '//me:${PW}@')}/reviews.csv?token=${{TOKEN}}"
    caplog.set_level(logging.DEBUG)
    table = read(address, PW=SECRET, TOKEN="hunter2").train
    asked, headers = server.asked[0]
    assert asked == "/reviews.csv?token=hunter2"
    assert base64.b64decode(headers["Authorization"].split()[1]).decode() == f"me:{SECRET}"
    kept = b"".join(path.read_bytes() for path in cache.rglob("*") if path.is_file())
    assert b"hunter2" not in kept
    shown = f"{said}{table.place}{caplog.text}"
    assert "hunter2" not in shown
    assert "127.0.0.1" in caplog.text
    assert len(read(address).train) == 2  # without the secrets, and without the server
    with pytest.raises(OptionError, match="PW: found no such environment variable"):
        read(address, HPO_DOWNLOAD_REFRESH="1")


def test_a_login_is_not_sent_to_another_host(server: WebServer, read: Read) -> None:
    with web_server() as other:
        target = other.put("/reviews.csv", CSV)
        server.put("/there", status=302, Location=target)
        read(f"{server.url.replace('//', '//me:${PW}@')}/there", PW="hunter2")
        assert "Authorization" in server.asked[0][1]
        assert "Authorization" not in other.asked[0][1]


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/reviews.csv?key=${K}",
        "http://no-such-host.invalid/reviews.csv?key=${K}",
        "http://me:${K}@127.0.0.1:1/reviews.csv",
    ],
)
def test_no_fault_of_the_network_shows_a_secret(read: Read, address: str) -> None:
    with pytest.raises(HpoError) as caught:
        read(address, K="hunter2")
    assert "hunter2" not in str(caught.value)
    assert "reviews.csv: found" in str(caught.value)


def test_long_downloads_say_how_far_they_are(
    server: WebServer, read: Read, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.data.downloads._FIRST_WORD_SECONDS", 0.0)
    address = server.put("/reviews.csv", b"text,label\n" + b"fine,good\nawful,bad\n" * 50_000)
    read(address)
    assert said[0].startswith(f"Downloading {address}: ")
    assert said[0].endswith("left.")
    assert "of 1.0 MB, about" in said[0]


def test_what_is_kept_says_where_it_is_from(server: WebServer, read: Read, cache: Path) -> None:
    address = server.put("/reviews.csv", CSV, ETag='"one"', Last_Modified="Mon, 01 Jan 2024")
    read(f"{address}?version=2#part")
    (facts,) = cache.glob("downloads/*/download.json")
    told = json.loads(facts.read_text())
    assert told.pop("fetched").endswith("UTC")
    assert told == {
        "address": address,
        "name": "reviews.csv",
        "length": len(CSV),
        "etag": '"one"',
        "last_modified": "Mon, 01 Jan 2024",
    }


def test_what_is_kept_is_counted(server: WebServer, read: Read, cache: Path) -> None:
    assert size_of_downloads(cache) == 0
    read(server.put("/reviews.csv", CSV))
    assert len(CSV) < size_of_downloads(cache) < len(CSV) + 1_000
