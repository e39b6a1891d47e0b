"""What waits on disk holds no password, not even what an earlier release left, and is its owner's alone to read."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.outbox.ledger import URI_DIGEST, Ledger, digest_of_uri
from hpo.outbox.origin import Origin
from hpo.outbox.outbox import Outbox, abandoned
from hpo.outbox.records import SetTags
from hpo.outbox.rejected import REJECTED_FILE, parse_line, read_lines
from hpo.outbox.requeue import requeue_rejected
from hpo.redaction import recall
from tests.outbox.operations import RUN
from tests.outbox.test_requeue import refuse_everything

SECRET = "marigold"
CLEAR = f"http://somebody:{SECRET}@tracking:5000/base"
REFERENCE = "http://somebody:***@tracking:5000/base"


@pytest.fixture(params=[0o000, 0o022, 0o077])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("_umask")
def test_what_waits_holds_no_password_and_is_private(tmp_path: Path) -> None:
    with Outbox.create(tmp_path, CLEAR) as outbox:
        outbox.append(SetTags(RUN, {"a": "b"}))
        assert outbox.tracking_uri == REFERENCE
        for path in files(tmp_path):
            assert SECRET.encode() not in path.read_bytes(), path
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert stat.S_IMODE(outbox.folder.stat().st_mode) == 0o700
    refuse_everything(tmp_path)
    kept = tmp_path / "outbox" / REJECTED_FILE
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_folder_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "outbox").mkdir(mode=0o755)
    with Outbox.create(tmp_path, CLEAR):
        assert stat.S_IMODE((tmp_path / "outbox").stat().st_mode) == 0o700


@pytest.mark.parametrize("has_digest", [True, False])
def test_what_an_earlier_release_left_in_clear_is_read_and_rewritten_without(
    tmp_path: Path, has_digest: bool
) -> None:
    outbox = Outbox.create(tmp_path, CLEAR, origin=Origin.LIVE)
    outbox.append(SetTags(RUN, {"a": "b"}))
    facts = {"tracking_uri": CLEAR, "state_dir": str(tmp_path)}
    if has_digest:
        facts[URI_DIGEST] = digest_of_uri(CLEAR, str(tmp_path))
    outbox.ledger.set_facts(facts)
    if not has_digest:
        with outbox.ledger.engine.begin() as connection:
            connection.exec_driver_sql(f"DELETE FROM facts WHERE name = '{URI_DIGEST}'")
    outbox.close()
    assert any(SECRET.encode() in path.read_bytes() for path in files(tmp_path))
    [left] = abandoned(tmp_path)
    with left:
        assert left.waiting == 1
        assert left.destination is not None
        assert left.destination.uri == REFERENCE
        assert recall(REFERENCE) == CLEAR
    for path in files(tmp_path):
        assert SECRET.encode() not in path.read_bytes(), path
    [again] = abandoned(tmp_path)  # and it is whole
    again.close(remove=True)


def test_refused_operations_keep_a_reference(tmp_path: Path) -> None:
    refuse_everything(tmp_path)
    file = tmp_path / "outbox" / REJECTED_FILE
    # As an earlier release wrote it, which had no check.
    old = [{**json.loads(line), "tracking_uri": CLEAR} for line in read_lines(file)]
    for row in old:
        del row["check"]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in old))
    refuse_everything(tmp_path)
    assert SECRET not in file.read_text()
    assert [parse_line(line).noted.uri for line in read_lines(file)][:2] == [REFERENCE] * 2
    file.write_text("".join(f"{json.dumps(row)}\n" for row in old))
    requeue_rejected(tmp_path, lambda noted, _: noted.uri)
    for path in files(tmp_path):
        assert SECRET.encode() not in path.read_bytes(), path
    for left in abandoned(tmp_path):
        left.close(remove=True)


def test_a_living_owners_outbox_is_read_by_others_as_it_is(tmp_path: Path) -> None:
    with Outbox.create(tmp_path, CLEAR) as outbox, Ledger.open(outbox.ledger.path) as seen:
        assert seen.fact("tracking_uri") == REFERENCE
