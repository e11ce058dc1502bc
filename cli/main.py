"""`ridgeline`: every command, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

from cli import datasets, demo, jobs, servers
from cli.client import RefusedError, RidgelineError, UnreachableError
from cli.exits import Exit
from cli.occupancy import OccupiedError
from cli.options import note, terminal
from cli.processes import StartError
from cli.views import trouble

COMMANDS: dict[str, tuple[Callable[..., Any], ...]] = {
    "Start": (servers.up, servers.api, servers.worker, demo.demo),
    "Jobs": (
        jobs.submit,
        jobs.watch,
        jobs.validate,
        jobs.jobs,
        jobs.job,
        jobs.curve,
        jobs.cancel,
        jobs.finish,
    ),
    "Data": (datasets.upload, datasets.datasets, datasets.delete, datasets.catalog),
}
EXITS = (
    "Exit codes: 0 success, 1 the job failed or the server did not start, 2 the command was not understood, "
    "3 the job was cancelled, 4 the server refused, 5 no server answered."
)

app = typer.Typer(
    name="ridgeline",
    help="Train regularized neural networks as a service.",
    epilog=EXITS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
database = typer.Typer(help="Look after the database.", no_args_is_help=True)
database.command()(servers.upgrade)
app.add_typer(database, name="database", rich_help_panel="Start")
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


def main() -> None:
    """Run a command; what goes wrong is said in words, never as a traceback."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr] # A terminal may not know ✓ or ⠇.
    try:
        app(prog_name="ridgeline")
    except RidgelineError as error:
        terminal(stderr=True).print(trouble(error))
        sys.exit(_code(error))
    except (StartError, OccupiedError) as error:
        note(f"✗ {error}", "red")
        sys.exit(Exit.FAILED)
    except BrokenPipeError:
        sys.stderr.close()  # Nobody reads any more, as in `ridgeline jobs | head`.
        sys.exit(Exit.OK)


def _code(error: RidgelineError) -> Exit:
    if isinstance(error, RefusedError):
        return Exit.REFUSED
    return Exit.UNREACHABLE if isinstance(error, UnreachableError) else Exit.FAILED


if __name__ == "__main__":
    main()
