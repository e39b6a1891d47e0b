"""`python -m hpo.data SOURCE`: what a study's data are understood to be, before any study."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hpo.completion import offering, sources
from hpo.options import (
    DONE,
    STUDY_OPTIONS,
    OneLineParser,
    add_data_options,
    command,
    read_spec,
)
from hpo.printable import printable

if TYPE_CHECKING:
    from hpo.runtime.data_overview import DataOverview
    from hpo.spec.study import StudySpec

_SILENT_SECONDS: Final = 2.0
_DESCRIPTION: Final = (
    "Show what data are understood to be, before any study: files, columns, classes, lengths, splits, "
    "copies, what a score is to be held against, and what to type next. Trains no GPT-2, writes nothing, "
    "and scores nothing on the test split."
)


def main() -> int:
    """Show what data are understood to be and what looks wrong with them, before any study."""
    parser = OneLineParser(
        prog="hpo.data",
        description=_DESCRIPTION,
        examples=(
            "hpo.data reviews.csv --model gpt2",
            "hpo.data spam.csv --text-column v2 --label-column v1",
            "hpo.data ratings.csv --set data.task=regression",
            "hpo.data imdb             the data of studies/imdb.toml",
            "hpo.data folder --json    all that is found, for programs",
        ),
    )
    source = parser.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="a file, a folder, a hub id or demo; or a study, by name or file, whose data are meant "
        "(default: quickstart)",
    )
    offering(source, sources)
    add_data_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return command(_show, parser)


def _show(options: argparse.Namespace) -> int:
    _settle_source(options)
    spec = read_spec(options)
    with _Progress() as progress:
        from hpo.runtime.data_overview import overview_of

        overview = overview_of(spec, progress.at)
    then = _next_command(options, spec, overview)
    if options.json:
        json.dump({**overview.as_json(), "next": then}, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return DONE
    from hpo.runtime.overview_in_words import LEFT, in_words
    from hpo.wrapping import wrapped

    bar = "█" if _can_write("█") else "#"
    for line in in_words(overview, bar):
        sys.stdout.write(wrapped(line, sys.stdout, " " * LEFT) + "\n")
    # In one line, however long, so that it can be copied.
    sys.stdout.write(f"\n{'Next':<{LEFT}}{printable(then)}\n")
    return DONE


def _settle_source(options: argparse.Namespace) -> None:
    """Take SOURCE for a study or for data.

    Raises:
        OptionError: Data are named twice.
    """
    from hpo.errors import OptionError

    source, options.study = options.source, None
    if source is None:
        return
    if _is_study(source):
        options.study = source
    elif options.data is not None:
        raise OptionError(
            "SOURCE",
            found=f"{source!r} beside --data {options.data}",
            expected="one of them, or a study beside --data",
            hint="Leave one out.",
        )
    else:
        _check_no_slip(source)
        options.data = source


def _check_no_slip(source: str) -> None:
    """Raise OptionError for what is nearly a study's name, before the hub is asked for data of that name."""
    from hpo.errors import OptionError, nearest_name
    from hpo.spec.study_file import known_studies

    near = nearest_name(source, known_studies())
    if near is None or not re.fullmatch(r"[\w-]+", source) or Path(source).exists():
        return
    raise OptionError(
        "SOURCE",
        found=f"{source!r}, which is no study, file or folder",
        expected="a study or data",
        hint=f"Did you mean {near}? Data of the hub of that name are --data {source}.",
    )


def _is_study(source: str) -> bool:
    """Whether a study is meant: what lies here under the name of one are data."""
    from hpo.spec.study_file import known_studies

    if source.endswith(".toml"):
        return True
    return source in known_studies() and not Path(source).exists()


def _next_command(options: argparse.Namespace, spec: StudySpec, overview: DataOverview) -> str:
    """What to type to search on these data, as they were read here."""
    from hpo.spec.study import DEMO

    words = ["python", "-m", "hpo.run", *([options.study] if options.study else [])]
    for option in STUDY_OPTIONS:
        value = getattr(options, option, None)
        if value is not None:
            words += [f"--{option.replace('_', '-')}", str(value)]
    if spec.model.name == DEMO and spec.data.source != DEMO:
        words += ["--model", "gpt2"]
    settings = list(options.settings)
    if overview.metric != spec.study.metric:
        settings = [each for each in settings if not each.startswith("study.metric=")]
        settings.append(f"study.metric={overview.metric}")
    for setting in settings:
        words += ["--set", setting]
    if options.study is None:
        words += ["--trials", "20"]
    return " ".join(map(shlex.quote, words))


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


class _Progress:
    """Says what is being done, on standard error, once it has taken a while."""

    def __init__(self) -> None:
        self._doing = ""
        self._speaks = False
        self._lock = threading.Lock()
        self._timer = threading.Timer(_SILENT_SECONDS, self._begin)
        self._timer.daemon = True

    def __enter__(self) -> _Progress:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            if self._speaks and sys.stderr.isatty():
                sys.stderr.write("\r\x1b[2K")
            self._speaks = False
            self._doing = ""

    def at(self, doing: str) -> None:
        """Begin with something."""
        with self._lock:
            self._doing = doing
            self._say()

    def _begin(self) -> None:
        with self._lock:
            self._speaks = bool(self._doing)
            self._say()

    def _say(self) -> None:
        if self._speaks:
            begin, end = ("\r\x1b[2K", "") if sys.stderr.isatty() else ("", "\n")
            sys.stderr.write(f"{begin}{printable(self._doing)} …{end}")
            sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
