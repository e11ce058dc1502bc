"""`ridgeline`: every command, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as metadata_version
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from cli import (
    datasets,
    demo,
    diagnosis,
    editing,
    exporting,
    jobs,
    keys,
    listing,
    networks,
    projects,
    servers,
    upkeep,
    webhooks,
    workers,
)
from cli.client import RefusedError, RidgelineError, UnreachableError
from cli.exits import Exit
from cli.occupancy import OccupiedError
from cli.options import keyed, note, terminal
from cli.processes import StartError
from cli.views import trouble

COMMANDS: dict[str, tuple[Callable[..., Any], ...]] = {
    "Start": (servers.up, servers.api, servers.worker, demo.demo),
    "Jobs": (
        jobs.submit,
        jobs.watch,
        jobs.validate,
        listing.jobs,
        jobs.job,
        jobs.curve,
        diagnosis.diagnose,
        jobs.pause,
        jobs.resume,
        jobs.cancel,
        jobs.finish,
    ),
    "Networks": (networks.predict, networks.model, networks.card),
    "Data": (datasets.upload, listing.datasets, editing.edit, datasets.delete, datasets.catalog),
    "Upkeep": (workers.workers, upkeep.backup, upkeep.restore, upkeep.prune),
}
EXITS = (
    "Exit codes: 0 success, 1 the job failed or the server did not start, 2 the command was not understood, "
    "3 the job was cancelled, 4 the server refused, 5 no server answered."
)


def installed_version() -> str:
    """As the package's metadata have it; a checkout that was never installed has none."""
    try:
        return metadata_version("ridgeline")
    except PackageNotFoundError:
        return "unknown: the package is not installed"


def _print_version(asked: bool) -> None:
    """By the package's metadata alone: no server is asked, and nothing large is loaded."""
    if asked:
        typer.echo(f"ridgeline {installed_version()}")
        raise typer.Exit


app = typer.Typer(
    name="ridgeline",
    help="Train regularized neural networks as a service.",
    epilog=EXITS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def ridgeline(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the installed version and exit."
        ),
    ] = False,
) -> None:
    """Train regularized neural networks as a service."""


database = typer.Typer(help="Look after the database.", no_args_is_help=True)
database.command()(servers.upgrade)
app.add_typer(database, name="database", rich_help_panel="Start")
app.add_typer(exporting.app, name="export", rich_help_panel="Jobs")
app.add_typer(webhooks.app, name="webhooks", rich_help_panel="Data")
app.add_typer(keys.app, name="keys", rich_help_panel="Upkeep")
app.add_typer(projects.app, name="projects", rich_help_panel="Upkeep")
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
for group in (app, *(each.typer_instance for each in app.registered_groups)):
    for known in group.registered_commands if group else ():
        known.callback = keyed(known.callback) if known.callback else None


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
    except ValidationError as error:
        for wrong in error.errors(include_url=False):
            name, said = "_".join(map(str, wrong["loc"])), wrong["msg"].removeprefix("Value error, ")
            note(f"✗ RIDGELINE_{name.upper()}: {said}", "red")
        sys.exit(Exit.USAGE)
    except BrokenPipeError:
        sys.stderr.close()  # Nobody reads any more, as in `ridgeline jobs | head`.
        sys.exit(Exit.OK)


def _code(error: RidgelineError) -> Exit:
    if isinstance(error, RefusedError):
        return Exit.REFUSED
    return Exit.UNREACHABLE if isinstance(error, UnreachableError) else Exit.FAILED


if __name__ == "__main__":
    main()
