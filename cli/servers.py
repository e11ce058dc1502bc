"""Commands that start processes: everything at once, or one door at a time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli.options import note, terminal
from cli.processes import ROOMS, room, run_once
from cli.up import database_upgrade, without_password, work
from cli.up import up as run_everything
from store.settings import Settings

Port = Annotated[
    int | None, typer.Option(help="Port the API listens on; 0 takes a free one.", show_default="8000")
]
Host = Annotated[
    str | None, typer.Option(help="Address the API listens on.", show_default="127.0.0.1, this machine only")
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder for database, files and broker.", show_default="./ridgeline-data"),
]
Concurrency = Annotated[
    int | None, typer.Option(min=1, help="Worker processes.", show_default="the processors, at most 8")
]
Queues = Annotated[
    str | None, typer.Option(help="Queues to take jobs from.", show_default="cpu; gpu,cpu beside a GPU")
]


def up(
    port: Port = None, host: Host = None, data_dir: DataDir = None, concurrency: Concurrency = None
) -> None:
    """Start API, worker and broker on this machine; Ctrl-C stops all of them."""
    settings = _settings(port=port, host=host, data_dir=data_dir, concurrency=concurrency)
    console = terminal()

    def say(what: str, about: str) -> None:
        console.print(Text(f"{what:<10}", "bold").append(about, "not bold"), soft_wrap=True)

    run_everything(settings, say)


def api(port: Port = None, host: Host = None) -> None:
    """Run the API alone, on the database and broker of the settings."""
    settings = _settings(port=port, host=host)
    os.chdir(ROOMS)
    command = room("api")
    os.execve(command[0], command, settings.environment())  # noqa: S606 - our own command


def worker(concurrency: Concurrency = None, queues: Queues = None) -> None:
    """Run a worker, on the database and broker of the settings. Start as many as you like, on any machine."""
    settings = _settings(concurrency=concurrency, queues=queues)
    work(settings, note)


def upgrade() -> None:
    """Bring the database's schema up to date."""
    settings = _settings()
    run_once(database_upgrade(settings))
    terminal().print(Text(f"{without_password(settings.database)} is up to date"))


def _settings(**chosen: object) -> Settings:
    """The settings of the environment, but for what the command line says."""
    return Settings(**{name: value for name, value in chosen.items() if value is not None})  # type: ignore[arg-type]
