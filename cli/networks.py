"""Commands about trained networks: ask one, take one away, read what it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli.options import AsJson, Job, Server, connect, job_id, note, show, terminal
from cli.views import number, plain

JSON, CSV = "application/json", "text/csv"
MEDIA_TYPES = {".json": JSON, ".csv": CSV, ".tsv": CSV, ".txt": CSV}
FORMATS = ("onnx", "safetensors")


def predict(
    job: Job,
    rows: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Rows as CSV with a header, or JSON; `-` reads standard input."),
    ],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the predictions as CSV.")] = False,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Ask a job's network about rows, in the data's own columns and units."""
    if raw and as_csv:
        raise typer.BadParameter("choose one of --json and --csv", param_hint="--csv")
    body, media_type = _rows(rows)
    with connect(server) as client:
        path = f"/v1/jobs/{job_id(client, job)}/predict"
        answer, beside = client.ask(path, body, media_type, accept=CSV if as_csv else JSON)
    if as_csv:
        sys.stdout.buffer.write(answer)
        notices = [json.loads(each) for each in beside]
    else:
        document = json.loads(answer)
        show(_table(document), document, raw=raw)
        notices = document.get("notices", [])  # A server may be older than this.
    for each in notices:
        note(f"{plain(each['pointer'])}: {plain(each['detail'])}", "yellow")


def model(
    job: Job,
    format: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option("--format", "-f", help=f"One of {', '.join(FORMATS)}.", show_default="onnx")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file.", show_default="JOB.onnx")
    ] = None,
    server: Server = None,
) -> None:
    """Take a trained network away: written wholly, and checked, or not at all."""
    chosen = _format(format, output)
    with connect(server) as client:
        known = job_id(client, job)
        target = output or Path(f"{known}.{chosen}")
        if target.is_dir() or not target.parent.is_dir():
            raise typer.BadParameter(f"{target} cannot be a file", param_hint="--output")
        size = client.download(f"/v1/jobs/{known}/model", target, format=chosen)
    note(f"{target}: {size:,} bytes")


def card(job: Job, server: Server = None, raw: AsJson = False) -> None:
    """Show what a trained network is: data, spec, curve, metrics, sparsity, and how to load it."""
    with connect(server) as client:
        path = f"/v1/jobs/{job_id(client, job)}/card"
        if raw:
            show(Text(), client.get(path), raw=True)
            return
        text = client.read(path, format="md").decode()
    if sys.stdout.isatty():
        from rich.markdown import Markdown  # a tenth of what the others' start would take

        terminal().print(Markdown(text))
    else:
        # Into a file goes the page itself.
        sys.stdout.write(text)


def _rows(file: str) -> tuple[bytes, str]:
    """The rows as they stand, so that the server's pointers lead into them; a bare list becomes `rows`."""
    if file == "-":
        body, suffix = sys.stdin.buffer.read(), ""
    else:
        path = Path(file)
        if not path.is_file():
            raise typer.BadParameter(f"there is no file {file}", param_hint="FILE")
        body, suffix = path.read_bytes(), path.suffix.lower()
    start = body.lstrip()[:1]
    media_type = MEDIA_TYPES.get(suffix, JSON if start in (b"{", b"[") else CSV)
    return (b'{"rows":' + body + b"}" if media_type == JSON and start == b"[" else body), media_type


def _format(format: str | None, output: Path | None) -> str:  # noqa: A002 - as above
    said = output.suffix[1:].lower() if output else ""
    chosen = format or (said if said in FORMATS else "onnx")
    if chosen not in FORMATS:
        raise typer.BadParameter(f"{chosen!r} is none of {', '.join(FORMATS)}", param_hint="--format")
    return chosen


def _table(answer: dict[str, Any]) -> RenderableType:
    """A line a row: the label with the probability of each class, or the value."""
    classes = answer["classes"] or []
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("row", justify="right", style="dim")
    table.add_column(Text(plain(answer["target"])))
    for name in classes:
        table.add_column(Text(plain(name)), justify="right")
    for place, said in enumerate(answer["predictions"], start=1):
        if classes:
            chances = [number(said["probabilities"][name]) for name in classes]
            table.add_row(str(place), Text(plain(said["label"] or "–")), *chances)
        else:
            table.add_row(str(place), number(said["value"]))
    return table
