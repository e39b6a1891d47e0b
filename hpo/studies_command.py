"""`python -m hpo.studies`: the studies of a storage listed, shown, exported, renamed and deleted."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.completion import offering, stored_studies
from hpo.errors import OptionError
from hpo.options import (
    DONE,
    FAILED,
    OneLineParser,
    add_place_options,
    command,
    read_locations,
    say,
)
from hpo.printable import printable
from hpo.spec.locations import path_of

if TYPE_CHECKING:
    from hpo.runtime.removal import Belongings
    from hpo.spec.locations import Locations
    from hpo.storage.storage import Storage
    from hpo.studies.overview import Overview

_FORMATS = (".csv", ".json")


class _Parser(OneLineParser):
    """Takes `list` for granted where no action is named."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
            given.insert(0, "list")
        return super().parse_args(given, namespace)


def main() -> int:
    """List the studies of a storage; show, export, rename or delete one."""
    parser = _Parser(
        prog="hpo.studies",
        description="Look after the studies of a storage: how far they are and what they found.",
        examples=(
            "hpo.studies list --json",
            "hpo.studies export quickstart --output trials.csv --overwrite",
            "hpo.studies rename quickstart reviews",
            "hpo.studies delete quickstart --dry-run",
            "hpo.studies delete quickstart --yes",
        ),
    )
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, parser_class=OneLineParser
    )
    listing = _add(
        actions, "list", _list, "tell how far each is, its best value, last activity and size"
    )
    showing = _add(actions, "show", _show, "tell of one study, its best trial and its settings")
    export = _add(
        actions, "export", _export, "write its trials as csv or json, to a file or the output"
    )
    renaming = _add(
        actions, "rename", _rename, "rename it, with its runs, models and folders; nothing is lost"
    )
    old = renaming.add_argument("study", metavar="OLD", help="name of a study in the storage")
    offering(old, stored_studies)
    renaming.add_argument("new", metavar="NEW", help="a name that is free")
    deletion = _add(
        actions, "delete", _delete, "delete it and all that is its own, after a question"
    )
    for each in (showing, export, deletion):
        study = each.add_argument("study", metavar="STUDY", help="name of a study in the storage")
        offering(study, stored_studies)
    export.add_argument("--output", metavar="FILE", help=".csv or .json (default: csv on output)")
    export.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    deletion.add_argument("--yes", action="store_true", help="ask nothing")
    deletion.add_argument(
        "--dry-run", action="store_true", help="say what would go, and delete nothing"
    )
    for each in (listing, showing, export, renaming, deletion):
        each.add_argument("--json", action="store_true", help="a JSON document on standard output")
        add_place_options(each)
    return command(lambda options: int(options.act(options)), parser)


def _add(actions: Any, name: str, act: Any, does: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(
        name, prog=f"hpo.studies {name}", description=f"{does[0].upper()}{does[1:]}.", help=does
    )
    parser.set_defaults(act=act)
    return parser


def _list(options: argparse.Namespace) -> int:
    from hpo.redaction import redacted
    from hpo.storage.storage import registered_names

    locations = read_locations(options)
    seen: list[tuple[Overview, int]] = []
    if registered_names(locations.storage_url):  # a storage that is not there is not made
        with _for_viewing(locations) as storage:
            seen = _sized(storage, locations, None)
    if options.json:
        _write_json([_facts(study, size) for study, size in seen])
    elif seen:
        from hpo.results.studies_in_words import studies_in_words

        _write_lines(studies_in_words(seen))
    else:
        say(f"No study in {redacted(locations.storage_url)}.")
    return DONE


def _show(options: argparse.Namespace) -> int:
    locations = read_locations(options)
    _check_name(options.study, locations)
    from hpo.results.found import found_by
    from hpo.results.studies_in_words import study_in_words

    with _for_viewing(locations) as storage:
        [(study, size)] = _sized(storage, locations, options.study)
        found = found_by(storage, study.progress.study_id)
    if options.json:
        best = {} if study.best is None else dict(study.best.params)
        facts = {**_facts(study, size), "best_params": best, **found.as_json()}
        _write_json({**facts, "settings": dict(study.settings)})
    else:
        _write_lines(study_in_words(study, size, found.in_words(study.metric)))
    return DONE


def _export(options: argparse.Namespace) -> int:
    target = _target(options)
    locations = read_locations(options)
    _check_name(options.study, locations)
    from hpo.studies.overview import overviews
    from hpo.studies.trial_table import as_csv, trial_records

    with _for_viewing(locations) as storage:
        [study] = overviews(storage, options.study)
        records = trial_records(storage, study.progress.study_id)
    as_json = options.json if target is None else target.suffix.lower() == ".json"
    text = _as_json(records) if as_json else as_csv(records)
    if target is None:
        sys.stdout.write(text)
        return DONE
    from hpo.atomic import write_whole

    try:
        write_whole(target, text.encode(), durable=False)
    except OSError as error:
        raise _bad_output(f"{target}, which cannot be written ({error.strerror})") from error
    say(f"{target}: {len(records)} trials")
    return DONE


def _rename(options: argparse.Namespace) -> int:
    from hpo.spec.study_file import check_new_name

    old, new = options.study, options.new
    check_new_name(new, "NEW")
    if new == old:
        raise OptionError(
            "NEW", found=f"{new}, which is its name", expected="another", hint="Name another."
        )
    locations = read_locations(options)
    from hpo.storage.storage import registered_names

    # Cut short, it is known by its new name already.
    _check_name(new if new in registered_names(locations.storage_url) else old, locations)
    from hpo.runtime.early_checks import check_state
    from hpo.runtime.renaming import rename
    from hpo.storage.storage import open_storage
    from hpo.tracking.ping import ping

    check_state(locations.state)
    ping(locations.tracking_uri)
    with open_storage(locations.storage_url) as storage:
        outcomes = partial(_outcomes, storage, locations)
        renamed = rename(storage, old, new, locations, outcome_of=outcomes)
    if options.json:
        _write_json(renamed.as_json())
        return DONE
    say(f"{old} is {new} now, and goes on by --name.")
    if renamed.model is not None:
        say(f"Its registered model keeps its name: {renamed.model}.")
    return DONE


def _delete(options: argparse.Namespace) -> int:
    asks = not (options.yes or options.dry_run)
    if asks and not sys.stdin.isatty():
        raise OptionError(
            "hpo.studies delete",
            found="no terminal to ask on",
            expected="--yes, or --dry-run",
            hint="Add --dry-run to see what would go.",
        )
    locations = read_locations(options)
    _check_name(options.study, locations)
    from hpo.runtime.early_checks import check_state
    from hpo.runtime.removal import belongings, remove
    from hpo.runtime.study_parts import check_idle
    from hpo.storage.storage import open_storage
    from hpo.studies.earlier_names import check_whole
    from hpo.studies.overview import overviews
    from hpo.tracking.ping import ping

    check_state(locations.state)
    ping(locations.tracking_uri)
    with open_storage(locations.storage_url) as storage:
        check_whole(storage, options.study)
        [study] = overviews(storage, options.study)
        dead = check_idle(storage, study, locations.state)
        mine = belongings(storage, study, locations)
        if asks or not options.json:
            _tell(mine)
        if asks and not _agreed(study.name):
            say("Nothing was deleted.")
            return FAILED
        if not options.dry_run:
            outcomes = partial(_outcomes, storage, locations)
            remove(storage, mine, locations, dead=dead, outcome_of=outcomes)
    if options.json:
        _write_json({**mine.as_json(), "deleted": not options.dry_run})
    elif not options.dry_run:
        say(f"{study.name} is deleted. `mlflow gc` empties MLflow's trash of its runs.")
    return DONE


def _outcomes(storage: Storage, locations: Locations) -> Any:
    from hpo.runtime.outcomes import outcome_reader

    return outcome_reader(storage, locations.state)


def _tell(mine: Belongings) -> None:
    from hpo.results.studies_in_words import size_in_words
    from hpo.spec.numbers import counted

    there = mine.in_mlflow
    versions = ", ".join(f"{name} {version}" for name, version in there.versions)
    parts = (
        counted(len(there.runs), "run"),
        counted(len(there.models), "logged model"),
        counted(len(there.versions), "registered version"),
    )
    say(f"What goes with {mine.name}:")
    say(f"  storage  {counted(mine.trials, 'trial')}")
    say(f"  MLflow   {', '.join(parts)}" + (f" ({versions})" if versions else ""))
    places = " and ".join(map(str, (*mine.folders, *mine.data)))
    say(f"  disk     {size_in_words(mine.bytes)}" + (f" in {places}" if places else ""))


def _agreed(name: str) -> bool:
    sys.stderr.write(printable(f"Delete {name} for good? [y/N] "))
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _check_name(name: str, locations: Locations) -> None:
    """Raise StudyGoneError for a study that is not there, with nothing made."""
    from hpo.studies.renamed import check_registered

    check_registered(locations.storage_url, name)


@contextmanager
def _for_viewing(locations: Locations) -> Iterator[Storage]:
    from hpo.storage.storage import open_storage

    with open_storage(locations.storage_url, for_viewing=True) as storage:
        yield storage


def _sized(storage: Storage, locations: Locations, name: str | None) -> list[tuple[Overview, int]]:
    from hpo.runtime.removal import bytes_of
    from hpo.studies.overview import overviews

    return [(each, bytes_of(storage, each, locations.state)) for each in overviews(storage, name)]


def _facts(study: Overview, size: int) -> dict[str, Any]:
    return {**study.as_json(), "bytes": size}


def _target(options: argparse.Namespace) -> Path | None:
    """Where an export goes; None for standard output. Raises OptionError where it cannot go there."""
    if options.output is None:
        if options.overwrite:
            raise OptionError(
                "--overwrite",
                found="no --output with it",
                expected="a file that it replaces",
                hint="Name it with --output, or leave this out.",
            )
        return None
    target = path_of(options.output, _bad_output)
    if target.suffix.lower() not in _FORMATS:
        raise _bad_output(str(target))
    if options.json and target.suffix.lower() != ".json":
        raise OptionError(
            "--json",
            found=f"it beside {target}",
            expected="one format",
            hint="Leave it out, or name a file that ends in .json.",
        )
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise _bad_output("a folder" if target.is_dir() else f"no folder {target.parent}")
    if target.exists() and not options.overwrite:
        raise OptionError(
            "--output",
            found=f"{target}, which exists",
            expected="a new file",
            hint="Name another, or add --overwrite.",
        )
    return target


def _bad_output(found: str) -> OptionError:
    expected = "the path of a file that ends in " + " or ".join(_FORMATS)
    return OptionError("--output", found=found, expected=expected, hint="Correct it.")


def _as_json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _write_json(document: Any) -> None:
    sys.stdout.write(_as_json(document))


def _write_lines(lines: Sequence[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
