from __future__ import annotations

from pathlib import Path

from hpo.outbox.outbox import Outbox, abandoned
from hpo.outbox.records import LogArtifact, SetTags, from_json
from hpo.outbox.rejected import REJECTED_FILE, parse_line, read_lines, rejected_in
from hpo.outbox.requeue import requeue_rejected
from hpo.outbox.rows import Destination
from tests.outbox.operations import RUN, URI


def refuse_everything(state_dir: Path) -> None:
    """Leave behind what a process leaves whose every operation was refused."""
    outbox = Outbox.create(state_dir, URI)
    spooled = outbox.spool.add_file(b"notes", "notes.txt")
    outbox.append(SetTags(RUN, {"a": "b"}))
    outbox.append(LogArtifact(RUN, spooled.path, None, spooled.digest), spooled=spooled)
    for row in outbox.ledger.head(10):
        outbox.arrived(1, outbox.ledger.reject(row, "no"))
    outbox.close(remove=True)


def test_what_was_refused_is_kept_with_its_server_and_state_folder(tmp_path: Path) -> None:
    refuse_everything(tmp_path)
    assert rejected_in(tmp_path) == 2
    lines = read_lines(tmp_path / "outbox" / REJECTED_FILE)
    assert [parse_line(line).noted for line in lines] == [Destination(URI, str(tmp_path))] * 2


def test_what_is_put_back_waits_in_order_with_its_files_for_where_the_server_is_now(
    tmp_path: Path,
) -> None:
    refuse_everything(tmp_path)
    requeue_rejected(tmp_path, lambda noted, state_dir: f"{noted.uri}/now")
    assert rejected_in(tmp_path) == 0
    [again] = abandoned(tmp_path)
    with again:
        assert again.tracking_uri == f"{URI}/now"
        tags, file = (from_json(row.kind, row.body) for row in again.ledger.head(10))
        assert tags == SetTags(RUN, {"a": "b"})
        assert isinstance(file, LogArtifact)
        assert (again.spool.path / file.spooled).read_text() == "notes"
        assert again.spool.damage_of(file) is None


def test_a_line_that_cannot_be_read_stays_as_it_is(tmp_path: Path) -> None:
    refuse_everything(tmp_path)
    file = tmp_path / "outbox" / REJECTED_FILE
    first, second = read_lines(file)
    damaged = first.replace('"reason": "no"', '"reason": "yes"')
    file.write_text(f"{damaged}\n{second}\n")
    requeue_rejected(tmp_path, lambda noted, state_dir: noted.uri)
    assert read_lines(file) == [damaged]
