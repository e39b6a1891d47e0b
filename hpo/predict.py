# PYTHON_ARGCOMPLETE_OK
"""`python -m hpo.predict --model URI (TEXT… | --input FILE --output FILE)`: label texts with a finished model."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hpo.errors import DataError, DiskError, OptionError, first_line
from hpo.model_option import add_finished_model_option
from hpo.options import DONE, OneLineParser, command, say
from hpo.printable import printable
from hpo.spec.encodings import is_encoding
from hpo.spec.locations import Locations, path_of
from hpo.spec.numbers import whole_number

if TYPE_CHECKING:
    from hpo.data.row_stream import RowStream
    from hpo.model.predictor import Predictor
    from hpo.results.predictions import AnswerForm, Labeller

_TELL_SECONDS = 2.0
_SHOWN_OF_A_TEXT = 60


def main() -> int:
    """Label texts, or a file of any length, with a finished model."""
    parser = OneLineParser(
        prog="hpo.predict",
        description="Label texts with a registered, logged or exported model, or an ensemble, as it was "
        "measured. Texts are given as arguments, in a file, or a line each on standard input.",
        examples=(
            'hpo.predict --model models:/quickstart@champion "A joy from start to finish."',
            "hpo.predict --model models:/imdb@champion --input new.csv --output out.csv",
            "cat reviews.txt | hpo.predict --model ./exported --json",
        ),
    )
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="a text to label")
    add_finished_model_option(parser)
    parser.add_argument(
        "--input", metavar="FILE", help="csv, tsv, jsonl (also .gz), parquet, or .txt of lines"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="csv, tsv, jsonl (also .gz) or parquet, by its suffix"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    parser.add_argument("--text-column", metavar="NAME", help="column of the texts")
    parser.add_argument(
        "--no-header", action="store_true", help="columns are called 1, 2, … instead"
    )
    parser.add_argument(
        "--encoding", type=_encoding, metavar="NAME", help="of the input (found out)"
    )
    parser.add_argument(
        "--top",
        type=whole_number("--top", least=1, most=1_000),
        metavar="K",
        help="the K likeliest labels instead of every probability",
    )
    parser.add_argument(
        "--threshold",
        type=_share,
        metavar="P",
        help="give no label below this probability (several labels a text: each from it on)",
    )
    parser.add_argument("--json", action="store_true", help="JSON lines on standard output")
    return command(_predict, parser)


def _predict(options: argparse.Namespace) -> int:
    from hpo.tracking.loading import check_place

    source, target = _places(options)
    check_place(options.model, _tracking_uri(options))
    from hpo.results.predictions import AnswerForm

    form = AnswerForm(options.top, options.threshold)
    if source is None or target is None:
        texts = options.texts or _lines(sys.stdin)
        _tell(_load(options), texts, form, as_json=options.json, stream=sys.stdout)
        return DONE
    try:
        _label_file(options, source, target, form)
    except OSError as error:
        raise DiskError(
            str(target),
            found=error.strerror or first_line(error),
            expected="a file that can be written",
            hint="Free some space, or name another file.",
        ) from error
    return DONE


def _places(options: argparse.Namespace) -> tuple[Path | None, Path | None]:
    """The input and output files. Raises OptionError where they do not fit together."""
    if options.texts and options.input:
        raise OptionError(
            "--input",
            found="a file beside texts",
            expected="one of them",
            hint="Leave the texts out.",
        )
    if (options.input is None) != (options.output is None):
        given, missing = (
            ("--input", "--output") if options.input is not None else ("--output", "--input")
        )
        raise OptionError(
            given,
            found=f"no {missing} with it",
            expected="both",
            hint=f"Name the other file with {missing}.",
        )
    if options.input is None:
        return None, None
    from hpo.data.row_writer import written_format

    target = path_of(options.output, lambda reason: _bad_path("--output", reason))
    written_format(target)
    if target.is_dir() or not target.absolute().parent.is_dir():
        found = "a folder" if target.is_dir() else f"no folder {target.parent}"
        raise _bad_path("--output", found)
    if target.exists() and not options.overwrite:
        raise OptionError(
            "--output",
            found=f"{target}, which exists",
            expected="a new file",
            hint="Name another, or add --overwrite.",
        )
    source = path_of(options.input, lambda reason: _bad_path("--input", reason))
    if not source.exists():
        raise _bad_path("--input", f"no file {source}")
    if source.resolve() == target.resolve():
        raise _bad_path("--output", "the input itself")
    return source, target


def _bad_path(option: str, found: str) -> OptionError:
    return OptionError(option, found=found, expected="the path of a file", hint="Correct it.")


def _load(options: argparse.Namespace) -> Predictor:
    # Every batch has a length of its own, and oneDNN would keep what it made for the last 1,024.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
    from hpo.tracking.loading import load_model

    return load_model(options.model, _tracking_uri(options))


def _tracking_uri(options: argparse.Namespace) -> str:
    return Locations.of(tracking_uri=options.tracking_uri).tracking_uri


def _label_file(options: argparse.Namespace, source: Path, target: Path, form: AnswerForm) -> None:
    from hpo.data.formats.options import ReadOptions
    from hpo.data.row_stream import open_rows
    from hpo.data.row_writer import in_background, write_rows
    from hpo.results.predictions import Labeller

    how = ReadOptions(encoding=options.encoding, header=not options.no_header)
    with open_rows(source, how) as opened:
        for warning in opened.warnings:
            say(f"warning: {warning.replace('data.encoding', '--encoding')}")
        stream, text_column = _with_texts(opened, options.text_column)
        model = _load(options)
        pace = _Pace()
        labeller = Labeller(model, text_column, form, pace.tell)
        with (
            write_rows(target, stream.schema) as write,
            in_background(write) as written,
            closing(labeller.label_each(stream.parts)) as parts,
        ):
            for columns in parts:
                written(columns)
    say(_told(labeller, target, pace.seconds))


def _with_texts(stream: RowStream, named: str | None) -> tuple[RowStream, str]:
    """The stream, and its column of texts.

    Raises:
        DataError: It has none, or no rows.
    """
    import numpy as np

    from hpo.data.columns import named_column
    from hpo.data.table import Table

    first = next(stream.parts, None)
    if first is None:
        raise DataError(
            stream.place,
            found="no rows",
            expected="a table of texts",
            hint="Name a file that has rows.",
        )
    whole = replace(stream, parts=chain([first], stream.parts))
    if named is None and len(stream.names) == 1:
        return whole, stream.names[0]
    numbers = np.array(first.numbers, np.int64)
    table = Table(
        stream.place, stream.names, lambda name: first.columns[name], numbers, stream.row_noun
    )
    return whole, named_column(table, "text", named)


class _Pace:
    """How far a file has been labelled, told every few seconds with the time that is left."""

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()
        self._first: tuple[float, float] | None = (
            None  # when the first batch had its answers, and its share
        )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def tell(self, share: float) -> None:
        """Say what share of the file has its answers, if nothing was said for a while."""
        now = time.monotonic()
        if self._first is None:  # no pace can be told by it: its texts had to be read before
            self._first, self._last = (now, share), now
        began, share_then = self._first
        if now - self._last < _TELL_SECONDS or share <= share_then:
            return
        from hpo.spec.numbers import duration

        self._last = now
        left = (now - began) * (1 - share) / (share - share_then)
        say(f"{share:.0%} labelled, about {duration(left)} left")


def _told(labeller: Labeller, target: Path, seconds: float) -> str:
    from hpo.results.predictions import faults_in_words
    from hpo.spec.numbers import duration

    pace = labeller.rows / max(seconds, 1e-9)
    told = f"{target}: {labeller.rows:,} rows in {duration(seconds)} ({pace:,.0f} rows/s)"
    return f"{told}; {faults_in_words(labeller.faults)}" if labeller.faults else told


def _lines(stream: TextIO) -> Iterator[str]:
    if stream.isatty():
        say("A text on each line; Ctrl-D ends.")
    for line in stream:
        yield line.rstrip("\r\n")


def _tell(
    predictor: Predictor, texts: Any, form: AnswerForm, *, as_json: bool, stream: TextIO
) -> None:
    """Write a line for each text."""
    from hpo.data.row_stream import Rows
    from hpo.results.predictions import Labeller

    labeller = Labeller(predictor, "text", form)
    for part in _in_parts(texts):
        columns = labeller.label(Rows({"text": part}, range(1, len(part) + 1)))
        for row in zip(*columns.values(), strict=True):
            answer = dict(zip(columns, row, strict=True))
            if answer["error"] is None:
                del answer["error"]
            line = json.dumps(answer, ensure_ascii=False) if as_json else _in_words(answer)
            stream.write(line + "\n")
        stream.flush()


def _in_parts(texts: Any) -> Iterator[list[str]]:
    """Few texts at a time where somebody types them, many where a file is piped in."""
    from hpo.data.row_stream import ROWS_AT_ONCE

    most = 1 if sys.stdin.isatty() else ROWS_AT_ONCE
    part: list[str] = []
    for text in texts:
        part.append(text)
        if len(part) == most:
            yield part
            part = []
    if part:
        yield part


def _in_words(answer: dict[str, Any]) -> str:
    """`positive  0.982  A joy from start to finish.`"""
    text = str(answer.pop("text"))
    short = text if len(text) <= _SHOWN_OF_A_TEXT else f"{text[: _SHOWN_OF_A_TEXT - 1]}…"
    shown = [_cell(value) for name, value in answer.items() if not _is_beside(name, answer)]
    return printable("  ".join([*shown, short]))


def _is_beside(name: str, answer: dict[str, Any]) -> bool:
    """Whether a column is a probability other than that of the label itself."""
    return (
        name.startswith("probability_")
        and "label" in answer
        and (name != f"probability_{answer['label']}" and "label_1" not in answer)
    )


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "-" if value is None else str(value)


def _encoding(text: str) -> str:
    if is_encoding(text):
        return text
    raise OptionError(
        "--encoding",
        found=repr(text),
        expected="an encoding that Python knows",
        hint="Write utf-8, utf-16 or cp1252, for example.",
    )


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise OptionError(
            "--threshold",
            found=repr(text),
            expected="a probability from 0 to 1",
            hint="Write 0.9, for example.",
        )
    return number


if __name__ == "__main__":
    sys.exit(main())
