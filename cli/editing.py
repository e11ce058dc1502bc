"""`ridgeline edit`: the name, the labels and the notes of a job or a dataset."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from cli import views
from cli.options import AsJson, Server, connect, job_id, read_pairs, show


def edit(
    thing: Annotated[
        str,
        typer.Argument(metavar="ID", help="A job (`job_…`, `last`) or a dataset (`ds_…`, or its name)."),
    ],
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    notes: Annotated[str | None, typer.Option(help="What to keep in mind; an empty text clears it.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A label: 5 and true as JSON, else text; repeatable."
        ),
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Take this label away; repeatable.")
    ] = None,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Change the name, the labels or the notes of a job or a dataset, whatever its status."""
    changes: dict[str, Any] = {"name": name, "notes": notes}
    changes = {key: value for key, value in changes.items() if value is not None}
    labels = {key: _read_scalar(value) for key, value in read_pairs(label or (), "--set")}
    if labels := labels | dict.fromkeys(remove or ()):
        changes["metadata"] = labels
    if not changes:
        raise typer.BadParameter("nothing is to be changed; give --name, --notes, --set or --remove")
    with connect(server) as client:
        is_job = thing == "last" or thing.startswith("job_")
        path = f"jobs/{job_id(client, thing)}" if is_job else f"datasets/{quote(thing, safe='')}"
        answer = client.patch(f"/v1/{path}", changes)
        show(_describe(answer, answer["notes"] if is_job else answer["user_notes"]), answer, raw=raw)


def _read_scalar(word: str) -> Any:
    """`5`, `0.1`, `true` and `"5"` as JSON has them; anything else is text as it stands."""
    try:
        value = json.loads(word)
    except ValueError:
        return word
    is_scalar = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_scalar else word


def _describe(answer: dict[str, Any], notes: str | None) -> RenderableType:
    """What it is called now, its labels, and what is written about it."""
    lines = [Text("✓ ", "green").append(views.name_of(answer), "bold not dim")]
    lines += [
        Text(f"  {views.plain(key)}={views.plain(value)}", "default")
        for key, value in answer["metadata"].items()
    ]
    lines += [Text(f"  {views.plain(line)}", "dim") for line in (notes or "").splitlines()]
    return Group(*lines, Text(f"  {answer['id']}", "cyan"))
