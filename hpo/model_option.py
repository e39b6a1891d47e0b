"""`--model` of the commands that use a finished model, wherever it is."""

from __future__ import annotations

import argparse

from hpo.options import add_tracking_option


def add_finished_model_option(parser: argparse.ArgumentParser) -> None:
    """--model, of a model that is finished, and --tracking-uri, which says who has it."""
    parser.add_argument(
        "--model",
        required=True,
        metavar="URI",
        help="models:/NAME@champion, models:/NAME/VERSION, runs:/RUN/PATH, or a folder",
    )
    add_tracking_option(parser)
