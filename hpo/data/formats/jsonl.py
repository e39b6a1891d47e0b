"""Tables with a JSON object on each line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hpo.data.formats.text import decoded
from hpo.data.table import Table, kind_of
from hpo.errors import DataError


def read_jsonl(path: Path) -> Table:
    """A table with a JSON object for each row.

    Raises:
        DataError: The data cannot be used as it is.
    """
    records: list[Mapping[str, object]] = []
    lines: list[int] = []
    # Not splitlines: JSON strings may hold U+2028 and its like, which are no ends of lines.
    for number, line in enumerate(decoded(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number}",
                found=f"broken JSON ({getattr(error, 'msg', error)})",
                expected="one JSON object a line",
                hint="Write each row on a line of its own, not as an array."
                if line.startswith("[")
                else "Correct that line.",
            ) from error
        if not isinstance(record, dict):
            raise DataError(
                f"{path}, line {number}",
                found=kind_of(record),
                expected="one JSON object a line",
                hint='Write each row as {"text": …, "label": …}.',
            )
        records.append(record)
        lines.append(number)
    names = tuple(dict.fromkeys(name for record in records for name in record))

    def column(name: str) -> list[object]:
        return [record.get(name) for record in records]

    return Table(str(path), names, column, np.array(lines, dtype=np.int64), "line")
