"""What a file from a web server is called, so that its suffix names its format; and answers that are no data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from hpo.data.contents import OTHER_TABLES, PAGE, SAYS_NOTHING, Content, binary_content
from hpo.data.fetching import Reply
from hpo.data.files import file_format
from hpo.data.packed import is_packed
from hpo.errors import DataError
from hpo.spec.addresses import name_in, shown

_OF_TYPE: Final[Mapping[str, str]] = {
    "text/csv": ".csv",
    "application/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/json": ".json",
    "application/jsonl": ".jsonl",
    "application/jsonlines": ".jsonl",
    "application/x-ndjson": ".jsonl",
    "application/x-jsonlines": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
    "application/vnd.apache.arrow.file": ".arrow",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.ms-excel": ".xls",
    "application/x-tar": ".tar",
}
_LONGEST_NAME: Final = 100
# Where a site shows a file in a page, and what leads to the file itself.
_PAGES_OF_FILES: Final = (
    (r"//github\.com/[^/]+/[^/]+/blob/", "Write /raw/ for /blob/."),
    (r"//huggingface\.co/.*/blob/", "Write /resolve/ for /blob/."),
    (r"//gitlab\.[^/]+/.*/-/blob/", "Write /-/raw/ for /-/blob/."),
    (r"//www\.dropbox\.com/", "Write ?dl=1 at its end."),
    (r"//(www\.)?kaggle\.com/", "Download it with `kaggle datasets download`, and name the file."),
    (r"//docs\.google\.com/spreadsheets/", "Write /export?format=csv for /edit…."),
)


def remote_name(source: str, reply: Reply, content: Path) -> str:
    """The name that a file is kept under: the address's, the server's, or made of what it is.

    Args:
        source: The address as the user wrote it.
        reply: What the server said.
        content: The file, which shows what it is where no name does.
    """
    names = (name_in(source), _proposed(reply), name_in(reply.url))
    named = next((name for name in map(_safe, names) if _tells(name)), None)
    with content.open("rb") as file:
        held = binary_content(file)
    if named is not None:
        # Some servers say of a file that is compressed anyway that it is so on its way alone.
        return named + _suffix_lacking(named, held)
    stem = _safe(names[0]).partition(".")[0] or "data"
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    return stem + (held.suffixes[0] if held and held.suffixes else _OF_TYPE.get(kind, ""))


def check_no_page(source: str, reply: Reply, content: Path) -> None:
    """Raise DataError where a server sent nothing, a page for people, or what it compressed unasked."""
    with content.open("rb") as file:
        head = file.read(2_048)
    if not head:
        raise _no_data(source, "an empty answer", "Check the address in a browser.")
    kind = reply.headers.get("content-type", "").lower()
    if PAGE.match(head) or (kind.startswith("text/html") and not _tells(name_in(source))):
        other = urlsplit(reply.url).hostname
        where = f" of {other}" if other != urlsplit(source).hostname else ""
        hint = next(
            (hint for pattern, hint in _PAGES_OF_FILES if re.search(pattern, source)),
            "Open the address in a browser: it may want a login, or only lead to the file.",
        )
        raise _no_data(source, f"a web page{where} (text/html)", hint)
    coding = reply.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        raise _no_data(source, f"an answer compressed as {coding}", "Download it with `curl -L`.")


def _proposed(reply: Reply) -> str:
    """The name in Content-Disposition; empty where there is none."""
    message = Message()
    message["Content-Disposition"] = reply.headers.get("content-disposition", "")
    return message.get_filename() or ""


def _safe(name: str) -> str:
    """A name as one of a file in a folder, whatever a server calls it."""
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[^\w.-]+", "-", last).strip(".-")[-_LONGEST_NAME:]


def _tells(name: str) -> bool:
    """Whether a name says what a file is."""
    path = Path(name)
    return bool(name) and (
        file_format(path) is not None
        or is_packed(path)
        or path.suffix.lower() in (*OTHER_TABLES, *SAYS_NOTHING[1:])
    )


def _suffix_lacking(name: str, held: Content | None) -> str:
    """What a name that says something else has to end with for what the file holds."""
    said = Path(name).suffix.lower()
    if held is None or not held.suffixes or said in (*held.suffixes, *OTHER_TABLES):
        return ""
    return held.suffixes[0]


def _no_data(source: str, found: str, hint: str) -> DataError:
    return DataError(shown(source), found=found, expected="a file of texts and labels", hint=hint)
