"""Commands about datasets, and what the server has on offer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli import views
from cli.options import AsJson, Server, connect, job_id, show, terminal


def upload(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, CSV.gz, Parquet or NPZ.")],
    target: Annotated[
        str | None, typer.Option(help="The column to predict.", show_default="the last")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call it.", show_default="the file's name")] = None,
    task: Annotated[
        str | None, typer.Option(help="classification or regression.", show_default="inferred")
    ] = None,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Upload a dataset."""
    with connect(server) as client:
        dataset = client.upload(file, target=target, name=name, task=task)
        show(views.dataset_summary(dataset), dataset, raw=raw)


def delete(
    thing: Annotated[
        str, typer.Argument(metavar="ID", help="A job (`job_…`, `last`) or a dataset (`ds_…`).")
    ],
    server: Server = None,
) -> None:
    """Delete a finished job with its curve and weights, or a dataset that no job uses."""
    with connect(server) as client:
        kind = "datasets" if thing.startswith("ds_") else "jobs"
        thing = job_id(client, thing)
        client.delete(f"/v1/{kind}/{thing}")
        terminal().print(Text("✓ ", "green").append(f"{thing} is deleted", "default"))


def catalog(server: Server = None, raw: AsJson = False) -> None:
    """Show every technique, metric and optimizer, with defaults and what it is for."""
    with connect(server) as client:
        answer = client.get("/v1/catalog")
        show(views.catalog(answer), answer, raw=raw)
