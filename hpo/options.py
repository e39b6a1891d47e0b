"""What all commands share at their edge: options, the way a study is named, and exit codes."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from hpo.completion import complete, is_asked, offering, study_files, study_keys
from hpo.errors import HpoError, OptionError, nearest_name
from hpo.help import DATA, PLACES, STUDY, add_version, group, layout_of
from hpo.log_level import formatter_for, log_level
from hpo.moving import run_moving
from hpo.printable import replace_unencodable
from hpo.quiet import quiet_libraries
from hpo.spec.numbers import whole_number
from hpo.waiting import BreakOff
from hpo.wrapping import wrapped

if TYPE_CHECKING:
    from hpo.spec.locations import Locations
    from hpo.spec.study import StudySpec

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
_NOTHING_AFTER_IT = "expected one argument"  # how argparse says it of an option

# Option -> the study-file key that it overrides.
STUDY_OPTIONS = {
    "trials": "study.trials",
    "name": "study.name",
    "seed": "study.seed",
    "model": "model.name",
    "data": "data.source",
    "text_column": "data.text",
    "label_column": "data.label",
    "max_train_examples": "data.max_train_examples",
    "keep": "tracking.keep",
}


class Interrupted(Exception):  # noqa: N818 - it is no error
    """The person or the system asked to stop; all work is safe."""


def command(main: Callable[[argparse.Namespace], int], parser: argparse.ArgumentParser) -> int:
    """Parse, run, and turn errors into one line and an exit code. The only place that does."""
    if is_asked():
        complete(parser)
    for stream in (sys.stdout, sys.stderr):
        replace_unencodable(stream)
    try:
        level = log_level(os.environ)
    except OptionError as error:
        say(f"error: {error}")
        return error.exit_code
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter_for(os.environ))
    logging.basicConfig(level=level, handlers=[handler])
    quiet_libraries()
    try:
        return to_a_reader(lambda: run_moving(main, parser.parse_args()))
    except HpoError as error:
        say(f"error: {error}")
        return error.exit_code
    except Interrupted as stopped:
        say(str(stopped))
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED


def to_a_reader(main: Callable[[], int]) -> int:
    """Run what writes to standard output, and end without a word where nobody reads on, as in `| head`."""
    try:
        try:
            return main()
        finally:  # also after --help, which leaves by SystemExit: what is buffered is written here
            if sys.stdout is not None:  # as it is where the output was closed before
                sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def say(text: str) -> None:
    """A line for people, on standard error; on a terminal no word of it is broken."""
    sys.stderr.write(wrapped(text, sys.stderr) + "\n")
    sys.stderr.flush()


def add_place_options(parser: argparse.ArgumentParser) -> None:
    """--storage, --tracking-uri."""
    add_storage_option(parser)
    add_tracking_option(parser)


def add_storage_option(parser: argparse.ArgumentParser) -> None:
    """--storage."""
    group(parser, PLACES).add_argument(
        "--storage",
        metavar="URL",
        help="where studies are kept (sqlite:///optuna.db, or HPO_STORAGE)",
    )


def add_tracking_option(parser: argparse.ArgumentParser) -> None:
    """--tracking-uri."""
    group(parser, PLACES).add_argument(
        "--tracking-uri",
        metavar="URI",
        help="MLflow server or store (MLFLOW_TRACKING_URI, or sqlite:///mlflow.db)",
    )


def add_study_options(parser: argparse.ArgumentParser) -> None:
    """STUDY and everything that overrides its file."""
    options = group(parser, STUDY)
    study = parser.add_argument(
        "study",
        nargs="?",
        metavar="STUDY",
        help="a file in studies/ by name, or a path (default: quickstart)",
    )
    offering(study, study_files)
    options.add_argument(
        "--trials",
        type=whole_number("--trials"),
        metavar="N",
        help="finished trials that the study should have",
    )
    options.add_argument("--name", metavar="STUDY_NAME", help="name of the study")
    add_data_options(parser)
    keep = options.add_argument(
        "--keep", metavar="all|top:K|best", help="which trials' models stay in MLflow"
    )
    offering(keep, lambda **_: ("all", "best", "top:"))
    options.add_argument(
        "--enqueue",
        action="append",
        default=[],
        metavar="JSON",
        help="a point to try next, e.g. '{\"learning_rate\": 3e-5}'; what it lacks is sampled",
    )


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """What says which data are read, how, and with which model; --set among them."""
    options = group(parser, DATA)
    options.add_argument(
        "--model", metavar="NAME_OR_PATH", help='hub id or directory of a GPT-2 model, or "demo"'
    )
    options.add_argument(
        "--data",
        metavar="PATH_URL_OR_HUB_ID",
        help="a file, a folder of train/validation/test files, https://…, or a hub id",
    )
    options.add_argument(
        "--text-column", metavar="NAME", help="column of the texts (default: found by its name)"
    )
    options.add_argument(
        "--label-column", metavar="NAME", help="column of the labels (default: likewise)"
    )
    options.add_argument(
        "--seed",
        type=whole_number("--seed", most=2**32 - 1),
        metavar="N",
        help="everything random follows from it",
    )
    options.add_argument(
        "--max-train-examples",
        type=whole_number("--max-train-examples"),
        metavar="N",
        help="train on a sample of this size (default: all)",
    )
    setting = options.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="any key of the study file, e.g. search.sampler.name=random",
    )
    offering(setting, study_keys)


def read_spec(options: argparse.Namespace) -> StudySpec:
    """The study that the options name, with the options laid over its file."""
    from hpo.spec.overrides import parse_setting
    from hpo.spec.study_file import find_study_file, read_study

    overrides: dict[str, object] = dict(parse_setting(text) for text in options.settings)
    for option, key in STUDY_OPTIONS.items():
        value = getattr(options, option, None)
        if value is not None:
            overrides[key] = value
    return read_study(find_study_file(options.study or "quickstart"), overrides)


def read_locations(options: argparse.Namespace) -> Locations:
    """Where things are kept, from options and environment."""
    from hpo.spec.locations import Locations

    return Locations.of(
        storage=options.storage,
        tracking_uri=options.tracking_uri,
        no_cache=getattr(options, "no_cache", False),
    )


def check_early(spec: StudySpec | None, locations: Locations, *, wait_seconds: float = 0.0) -> None:
    """Tell of whatever is wrong with study and places before anything slow is imported.

    Writes nothing.

    Args:
        wait_seconds: For how long a database that does not answer is waited for.
    """
    from hpo.runtime.early_checks import check_places
    from hpo.studies.studies import check_plan

    if spec is not None:
        check_plan(spec)
    for warning in check_places(locations, wait_seconds=wait_seconds):
        say(f"warning: {warning}")


def settle_places(locations: Locations) -> None:
    """Mend a local MLflow store whose folder was moved, and say so.

    Raises:
        TrackingError: It cannot be.
    """
    from hpo.tracking.moved import repair_moves

    said = repair_moves(locations.tracking_uri)
    if said is not None:
        say(f"warning: {said}")


def stop_on_signals(stop: Callable[[], Any]) -> None:
    """Call `stop` at the first SIGINT or SIGTERM, or break off what may be; a second one ends all at once."""

    def handle(number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, _leave_at_once)
        signal.signal(signal.SIGTERM, _leave_at_once)
        if BreakOff.is_due():
            raise KeyboardInterrupt
        stop()

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)


def _leave_at_once(_number: int, _frame: object) -> None:
    import multiprocessing

    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(INTERRUPTED)


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors look like all others. It takes no option by its beginning."""

    def __init__(self, *, prog: str, description: str, examples: Sequence[str] = ()) -> None:
        layout = layout_of(description, examples)
        super().__init__(prog=prog, allow_abbrev=False, exit_on_error=False, **layout)
        add_version(self)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Raises OptionError for whatever is wrong with the arguments, those left over included."""
        options, left_over = self.parse_known_args(args, namespace)
        if left_over:
            if not left_over[0][:1].strip():  # blank, or begins so: there is no name to show
                self.error(f"unrecognized arguments: {' '.join(left_over)}")
            raise self._stray(left_over[0].split()[0])
        return options

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Raises OptionError also for a value that is blank: it comes from a variable that is not set."""
        try:
            options, rest = super().parse_known_args(args, namespace)
        except argparse.ArgumentError as error:
            raise self._faulty(error) from error
        for action in self._actions:
            given = getattr(options, action.dest, None)
            for value in given if isinstance(given, list) else [given]:
                if isinstance(value, str) and not value.strip():
                    named = action.option_strings[-1] if action.option_strings else action.metavar
                    raise OptionError(
                        str(named),
                        found="an empty value",
                        expected="a value",
                        hint="Fill it in, or leave it out.",
                    )
        return options, rest

    def error(self, message: str) -> NoReturn:
        """Raises OptionError with what argparse found."""
        raise OptionError(
            self.prog, found=message, expected="options that it knows", hint=self._list_them
        )

    @property
    def _list_them(self) -> str:
        return f"`{self.prog} --help` lists them."

    @property
    def _positionals_named(self) -> list[str]:
        return [str(action.metavar) for action in self._actions if not action.option_strings]

    def _stray(self, argument: str) -> OptionError:
        """The error for an argument that nothing takes."""
        if argument.startswith("-"):
            option = argument.partition("=")[0]
            near = nearest_name(option, self._option_string_actions)
            return OptionError(
                option,
                found="an unknown option",
                expected=f"an option of {self.prog}",
                hint=f"Did you mean {near}?" if near else self._list_them,
            )
        return OptionError(
            self.prog,
            found=f"{argument!r}, one argument too many",
            expected=" and ".join((*self._positionals_named, "options")),
            hint=self._list_them,
        )

    def _faulty(self, fault: argparse.ArgumentError) -> OptionError:
        """The error for an option, or an argument, with which argparse itself found fault."""
        option = fault.argument_name or ""
        if option.startswith("-") and fault.message == _NOTHING_AFTER_IT:
            return OptionError(
                option,
                found="nothing after it",
                expected="a value",
                hint=f"Write {option} and a value.",
            )
        return OptionError(
            self.prog, found=str(fault), expected="options that it knows", hint=self._list_them
        )
