"""The page of a report written to a file, which is there whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hpo.atomic import write_whole
from hpo.errors import DiskError, OptionError
from hpo.spec.locations import path_of, why_unwritable


def report_file(output: str, *, overwrite: bool) -> Path:
    """Where a page is to be written, before anything slow is done for it.

    Args:
        output: As somebody wrote it.
        overwrite: Whether the file may be there.

    Raises:
        OptionError: It cannot be written there.
    """
    target = path_of(output, _unusable)
    folder = target.absolute().parent
    if target.is_dir():
        raise _unusable("a folder")
    if not folder.is_dir():
        raise _unusable(f"no folder {target.parent}")
    reason = why_unwritable(folder)
    if reason is not None:
        raise _unusable(f"the folder {target.parent}, which cannot be written ({reason})")
    if target.exists() and not overwrite:
        raise OptionError(
            "--output",
            found=f"{target}, which exists",
            expected="a new file",
            hint="Name another with --output, or add --overwrite.",
        )
    return target


def write_report(target: Path, names: Sequence[str], storage_url: str) -> int:
    """Write the report of studies. Returns its size in bytes.

    Raises:
        StudyGoneError: One of them is not there.
        StorageError: The storage cannot be used.
        DiskError: The file cannot be written.
    """
    page = _page(names, storage_url).encode()
    try:
        write_whole(target, page, durable=False)
    except OSError as error:
        raise DiskError(
            str(target),
            found=error.strerror or str(error),
            expected="a file that can be written",
            hint="Free some space, or name another --output.",
        ) from error
    return len(page)


def _unusable(found: str) -> OptionError:
    return OptionError("--output", found=found, expected="the path of a file", hint="Correct it.")


def _page(names: Sequence[str], url: str) -> str:
    from hpo.storage.storage import open_storage
    from hpo.studies.renamed import check_registered

    for name in names:
        check_registered(url, name)
    from hpo.results.report.facts import read_facts
    from hpo.results.report.page import report_page

    with open_storage(url) as storage:
        return report_page([read_facts(storage, name) for name in names])
