"""Commands for whoever looks after an installation: backup, restore, retention.

They work on the database and files that the settings name, and so run where the server does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli.occupancy import occupant
from cli.options import terminal
from cli.processes import Program, StartError, room, run_once
from store.settings import Settings

Folder = Annotated[Path, typer.Argument(help="The backup's folder.", show_default=False)]
OlderThan = Annotated[
    float, typer.Option("--older-than", min=0, metavar="DAYS", help="Days since a job ended.")
]
Statuses = Annotated[
    list[str] | None,
    typer.Option("--status", help="Only jobs that succeeded, failed or cancelled; may be repeated."),
]
Project = Annotated[str | None, typer.Option(help="Only this project's.", show_default="all projects")]
UnusedDatasets = Annotated[bool, typer.Option("--unused-datasets", help="Also datasets that no job uses.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count, and delete nothing.")]


def backup(folder: Folder) -> None:
    """Write everything into a new folder, while the server runs."""
    _run("backup", ["store.backup", "create", str(folder.absolute())])


def restore(folder: Folder) -> None:
    """Fill an empty installation from a backup; stop its server first."""
    if found := occupant(Settings().data_dir):
        raise StartError(f"a server runs on this data folder (process {found.pid}); stop it first")
    _run("restore", ["store.backup", "restore", str(folder.absolute())])


def prune(
    older_than: OlderThan,
    status: Statuses = None,
    project: Project = None,
    unused_datasets: UnusedDatasets = False,
    dry_run: DryRun = False,
) -> None:
    """Delete jobs that ended long ago, with their curves, logs and weights."""
    options = [f"--older-than={older_than}", *(f"--status={each}" for each in status or ())]
    options += [f"--project={project}"] if project else []
    options += ["--unused-datasets"] * unused_datasets + ["--dry-run"] * dry_run
    _run("prune", ["store.prune", *options])


def _run(name: str, command: list[str]) -> None:
    module, *arguments = command
    said = run_once(Program(name, [*room(module), *arguments], Settings().environment()))
    terminal().print(Text(said.strip()))
