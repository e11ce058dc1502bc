"""`ridgeline export …`: finished jobs where people already look, in TensorBoard and MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli import event_files, finished, runs
from cli.client import Client
from cli.options import AsJson, Server, connect, job_id, show

app = typer.Typer(help="Take finished jobs to TensorBoard or MLflow.", no_args_is_help=True)

Jobs = Annotated[list[str], typer.Argument(metavar="JOB…", help="Ids of finished jobs, or `last`.")]


def _ended(client: Client, given: list[str]) -> list[str]:
    """The jobs' ids. All are looked at before the first is written; then one at a time is held in memory."""
    return [str(finished.job_of(client, job_id(client, each))["id"]) for each in given]


@app.command()
def tensorboard(
    job: Jobs,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The log folder; each job gets one in it.")],
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Write event files: curves, results, hyperparameters and spec. Again is the same again."""
    with connect(server) as client:
        jobs = _ended(client, job)
        written = [str(event_files.write(to, finished.fetch(client, each))) for each in jobs]
    show(Text("\n".join(written)), {"files": written}, raw=raw)


@app.command()
def mlflow(
    job: Jobs,
    to: Annotated[
        str, typer.Option("--to", metavar="URI", help="A tracking server, a database, or a folder.")
    ],
    experiment: Annotated[str, typer.Option(help="The experiment that takes the runs.")] = "ridgeline",
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Write runs: parameters, metrics, tags, spec, curve and model. A job that is there already stays."""
    with connect(server) as client:
        jobs = _ended(client, job)
        tracking = runs.Tracking.at(to, experiment)
        written = [(each, *tracking.write(finished.fetch(client, each, with_model=True))) for each in jobs]
    lines = [f"{name}: run {run_id}{'' if new else ', which was there'}" for name, run_id, new in written]
    answer = [{"job_id": name, "run_id": run_id, "created": new} for name, run_id, new in written]
    show(Text("\n".join(lines)), {"tracking_uri": runs.uri(to), "runs": answer}, raw=raw)
