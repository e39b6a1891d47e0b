# PYTHON_ARGCOMPLETE_OK
"""`python -m hpo.export --model URI DIR`: write a finished model as transformers or ONNX read it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from hpo.completion import offering
from hpo.digests import DIGESTS_FILE, digested_files
from hpo.errors import OptionError
from hpo.model_option import add_finished_model_option
from hpo.options import DONE, OneLineParser, command, say
from hpo.spec.locations import Locations, path_of

FORMS = ("transformers", "onnx")


def main() -> int:
    """Write a finished model as a folder that needs neither hpo nor MLflow."""
    parser = OneLineParser(
        prog="hpo.export",
        description="Write a registered, logged or kept model as a folder that needs neither hpo nor MLflow: "
        "weights or graph, the tokenizer that cleans and truncates, a card. It is there once its answers to "
        "sample texts are found to be the measured ones.",
        examples=(
            "hpo.export --model models:/quickstart@champion exported",
            "hpo.export --model models:/quickstart@champion exported --format onnx",
        ),
    )
    parser.add_argument("folder", metavar="DIR", help="the folder to write")
    add_finished_model_option(parser)
    form = parser.add_argument(
        "--format", default=FORMS[0], metavar="|".join(FORMS), help=f"what reads it ({FORMS[0]})"
    )
    offering(form, lambda **_: FORMS)
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export")
    return command(_export, parser)


def _export(options: argparse.Namespace) -> int:
    from hpo.tracking.loading import check_place, load_model

    if options.format not in FORMS:
        raise OptionError(
            "--format",
            found=repr(options.format),
            expected=" or ".join(FORMS),
            hint="Write one of them, or leave it out.",
        )
    locations = Locations.of(tracking_uri=options.tracking_uri)
    source = check_place(options.model, locations.tracking_uri)
    target = _target(options.folder, source, overwrite=options.overwrite)
    if options.format == "onnx":
        _check_onnx()
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # where transformers loads what was written
    model = load_model(options.model, locations.tracking_uri)
    from hpo.results.exports import export

    difference = export(model, options.model, target, options.format, replace=options.overwrite)
    say(
        f"{options.folder}: {options.format}, whose answers to sample texts are within "
        f"{difference:.1g} of the measured ones; README.md says how to call it"
    )
    return DONE


def _target(text: str, source: Path | None, *, overwrite: bool) -> Path:
    """The folder to write.

    Raises:
        OptionError: Something is there that is not to be replaced, or it cannot be there.
    """
    target = path_of(text, lambda reason: _refused(text, reason)).resolve()
    if not target.parent.is_dir():
        raise _refused(text, f"no folder {target.parent}")
    if target.exists() and not target.is_dir():
        raise _refused(text, "a file")
    for kept, name in ((source, "the model itself"), (Path.cwd(), "the folder that you are in")):
        if kept is not None and kept.resolve().is_relative_to(target):
            raise _refused(text, f"{name}, or a folder around it")
    if not target.is_dir() or not any(target.iterdir()):
        return target
    if not overwrite:
        raise OptionError(
            "DIR",
            found=f"{text}, which is not empty",
            expected="a new or an empty folder",
            hint="Name another, or add --overwrite to replace an earlier export.",
        )
    strange = _not_of_an_export(target)
    if strange is not None:
        raise OptionError(
            "--overwrite",
            found=f"{text}, which holds {strange}",
            expected="an earlier export alone, for all of it would be deleted",
            hint="Name another folder, or move the file away.",
        )
    return target


def _not_of_an_export(folder: Path) -> str | None:
    """A file that no export wrote into this folder, by its digests; None where there is none."""
    written = digested_files(folder)
    known = {DIGESTS_FILE, *(written if "README.md" in written else ())}
    files = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return next((str(path) for path in sorted(files) if path.as_posix() not in known), None)


def _check_onnx() -> None:
    from hpo.model.onnx_graph import missing_packages

    missing = missing_packages()
    if missing:
        raise OptionError(
            "--format",
            found=f"onnx, which needs {', '.join(missing)}",
            expected="the extra that writes and checks it",
            hint="Install it with `pip install 'hpo[onnx]'`.",
        )


def _refused(text: str, found: str) -> OptionError:
    return OptionError(
        f"DIR {text}", found=found, expected="a new or an empty folder", hint="Name another."
    )


if __name__ == "__main__":
    sys.exit(main())
