# PYTHON_ARGCOMPLETE_OK
"""`python -m hpo.ui`: the MLflow UI and the Optuna dashboard of the current storage, on loopback."""

from __future__ import annotations

import argparse
import sys
import threading

from hpo.errors import OptionError
from hpo.options import (
    DONE,
    OneLineParser,
    add_place_options,
    command,
    read_locations,
    say,
    settle_places,
    stop_on_signals,
)
from hpo.spec.numbers import whole_number

LARGEST_PORT = 65535


def main() -> int:
    """Serve the MLflow UI and the Optuna dashboard."""
    parser = OneLineParser(
        prog="hpo.ui",
        description="Serve the MLflow UI and the Optuna dashboard for the current storage and "
        "tracking store on this machine alone, print both links, and end both on Ctrl-C.",
        examples=("hpo.ui --open", "hpo.ui --storage sqlite:///other.db --mlflow-port 6001"),
    )
    add_place_options(parser)
    parser.add_argument("--open", action="store_true", help="open both in the browser")
    parser.add_argument(
        "--mlflow-port",
        type=whole_number("--mlflow-port", least=1, most=LARGEST_PORT),
        metavar="PORT",
        help="port of the MLflow UI (default: 5000, or a free one)",
    )
    parser.add_argument(
        "--dashboard-port",
        type=whole_number("--dashboard-port", least=1, most=LARGEST_PORT),
        metavar="PORT",
        help="port of the Optuna dashboard (default: 8080, or a free one)",
    )
    # The dashboard alone, for the service of docker-compose.yml that puts it behind a password.
    parser.add_argument("--only", choices=["dashboard"], help=argparse.SUPPRESS)
    parser.add_argument("--host", metavar="ADDRESS", help=argparse.SUPPRESS)
    # One address in what it shows, and what to show instead.
    parser.add_argument("--links", nargs=2, metavar=("USUAL", "ACTUAL"), help=argparse.SUPPRESS)
    return command(_serve, parser)


def _serve(options: argparse.Namespace) -> int:
    alone, both = ("--host", "--links"), ("--open", "--mlflow-port")
    for option in both if options.only else alone:
        if getattr(options, option.removeprefix("--").replace("-", "_")):
            raise OptionError(
                option,
                found="an option of the dashboard alone" if option in alone else "--only beside it",
                expected="--only dashboard" if option in alone else "both UIs",
                hint="Leave it out.",
            )
    return _serve_dashboard(options) if options.only else _serve_both(options)


def _serve_both(options: argparse.Namespace) -> int:
    from hpo.execution.servers import Uis
    from hpo.links import of_studies
    from hpo.spec.locations import dashboard_url

    locations = read_locations(options)
    settle_places(locations)
    stop = threading.Event()
    stop_on_signals(stop.set)
    with Uis(
        locations, mlflow_port=options.mlflow_port, dashboard_port=options.dashboard_port
    ) as uis:
        say("starting; MLflow takes some seconds …")
        if not uis.wait(lambda name: say(f"{name} answers"), stop.is_set):
            return DONE
        lines = [f"MLflow:    {uis.links.mlflow}", f"Dashboard: {uis.links.dashboard}"]
        lines += [*of_studies(locations, uis.links.mlflow), "Ctrl-C ends both."]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        if uis.links.dashboard != dashboard_url():
            say(
                f"Descriptions in MLflow link to the dashboard at {dashboard_url()}, its usual place."
            )
        if options.open:
            import webbrowser

            webbrowser.open(uis.links.mlflow)
            webbrowser.open(uis.links.dashboard)
        uis.watch(stop.is_set)
    say("stopped")
    return DONE


def _serve_dashboard(options: argparse.Namespace) -> int:
    from hpo.execution.dashboard import check_dashboard, dashboard_application, serve

    locations = read_locations(options)
    check_dashboard(locations)
    links = (options.links[0], options.links[1]) if options.links else None
    serve(
        dashboard_application(locations, links),
        options.host or "127.0.0.1",
        options.dashboard_port or 8080,
    )
    return DONE


if __name__ == "__main__":
    sys.exit(main())
