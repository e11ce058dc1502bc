"""Commands that list jobs and datasets."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.text import Text

from cli import views
from cli.client import Client
from cli.leaderboards import jobs_table, read_directions
from cli.options import AsJson, Server, connect, note, read_pairs, show

WITHOUT_COLUMN = ("created_at", "name")
"""What jobs may be sorted by and every list shows anyway."""
Name = Annotated[str | None, typer.Option(help="Only those of this name; `credit*`: that begins so.")]


def jobs(
    status: Annotated[str | None, typer.Option(help="Only those: queued, running, succeeded, …")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Only those on this dataset: its id, its name, or `name@sha256`.")
    ] = None,
    name: Name = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only those with this label; repeatable.")
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(help="`val_loss`, `-val_roc_auc`, `gap`, `duration`, `name`; `-`: the largest first."),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="A column for it: `val_roc_auc`, `gap`, …; repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")] = 20,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """List jobs, the newest first, or sorted by what came of them with the best marked."""
    labels = {f"metadata.{key}": value for key, value in read_pairs(metadata or (), "--metadata")}
    filters = {"status": status, "dataset": dataset, "name": name, "sort": sort, **labels}
    with connect(server) as client:
        names = _columns(sort, metric or ())
        directions = _known_directions(client, names, metric or ()) if names and not raw else {}
        notices: list[str] = []
        found = list(client.listing("/v1/jobs", limit, notices, **filters))
        show(jobs_table(found, names, directions) if found else Text("No jobs.", "dim"), found, raw=raw)
        for notice in notices:
            note(f"! {views.plain(notice)}", "yellow")


def datasets(
    name: Name = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")] = 50,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """List datasets, the newest first."""
    with connect(server) as client:
        found = list(client.listing("/v1/datasets", limit, name=name))
        show(views.datasets_table(found) if found else Text("No datasets.", "dim"), found, raw=raw)


def _columns(sort: str | None, metrics: Iterable[str]) -> list[str]:
    """The numbers to show, each once: what is sorted by, then what was asked for."""
    key = (sort or "").removeprefix("-")
    return list(dict.fromkeys([*([key] if key and key not in WITHOUT_COLUMN else []), *metrics]))


def _known_directions(client: Client, names: Iterable[str], asked: Iterable[str]) -> dict[str, str | None]:
    """Which end of each number is better; a column that no job can have is refused.

    An unknown sort is left to the server, whose answer says more.
    """
    known = read_directions(client)
    for name in asked:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else "; write `val_loss`, `val_accuracy`, `gap`, …"
            raise typer.BadParameter(f"there is no {name!r}{hint}", param_hint="--metric")
    return {name: known.get(name) for name in names}
