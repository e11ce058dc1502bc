"""Commands about projects: make one, list them, look at one, give it other quotas."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from cli.options import AsJson, Server, connect, show
from cli.views import ago, plain

Most = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")]
Quota = Annotated[
    str | None, typer.Option(metavar="N", help="A number, 0 for no limit, or `default`.", show_default=False)
]

app = typer.Typer(help="Make projects and set their quotas.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people will call it.")],
    open_jobs: Quota = None,
    stored_bytes: Quota = None,
    requests_per_minute: Quota = None,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Make a project; its first key comes from `ridgeline keys create --project ID`."""
    document = {"name": name, "quotas": _quotas(open_jobs, stored_bytes, requests_per_minute)}
    with connect(server) as client:
        made = client.create("/v1/projects", json.dumps(document).encode(), "application/json")
        show(_detail(made), made, raw=raw)


@app.command("list")
def list_all(limit: Most = 50, server: Server = None, raw: AsJson = False) -> None:
    """List projects, the newest first."""
    with connect(server) as client:
        found = list(client.listing("/v1/projects", limit))
        show(_table(found), found, raw=raw)


@app.command("show")
def show_one(
    project: Annotated[
        str, typer.Argument(metavar="ID", help="A project's id; `current` is your key's.")
    ] = "current",
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Show a project's quotas, and what it uses of them."""
    with connect(server) as client:
        found = client.get(f"/v1/projects/{project}")
        show(_detail(found), found, raw=raw)


@app.command("set")
def change(
    project: Annotated[str, typer.Argument(metavar="ID", help="A project's id.")],
    name: Annotated[str | None, typer.Option(help="Another name.", show_default=False)] = None,
    open_jobs: Quota = None,
    stored_bytes: Quota = None,
    requests_per_minute: Quota = None,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Give a project other quotas, or another name; what is not named stays."""
    changes: dict[str, Any] = {"quotas": _quotas(open_jobs, stored_bytes, requests_per_minute)}
    if name is not None:
        changes["name"] = name
    with connect(server) as client:
        changed = client.patch(f"/v1/projects/{project}", changes)
        show(_detail(changed), changed, raw=raw)


def _quotas(open_jobs: str | None, stored_bytes: str | None, requests: str | None) -> dict[str, int | None]:
    given = {"open_jobs": open_jobs, "stored_bytes": stored_bytes, "requests_per_minute": requests}
    return {name: _number(word) for name, word in given.items() if word is not None}


def _number(word: str) -> int | None:
    if word == "default":
        return None
    if not word.isdecimal():
        raise typer.BadParameter(f"{word!r} is neither a number nor `default`")
    return int(word)


def _table(projects: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for column in ("id", "name", "open jobs", "stored bytes", "requests a minute", "created"):
        table.add_column(column, no_wrap=column != "name")
    for project in projects:
        limits = (_limit(project["quotas"][name]) for name in project["quotas"])
        table.add_row(Text(project["id"]), Text(plain(project["name"])), *limits, ago(project["created_at"]))
    return table


def _detail(project: Mapping[str, Any]) -> Text:
    lines = Text(plain(project["name"]), "bold").append(f"  {project['id']}\n", "dim not bold")
    for name, limit in project["quotas"].items():
        used = project["usage"].get(name)
        of = f"{used:,} of {_limit(limit)}" if used is not None else _limit(limit)
        own = "" if project["own_quotas"][name] is None else ", its own"
        lines.append(f"  {name.replace('_', ' '):<20} {of}{own}\n", "not bold")
    lines.rstrip()
    return lines


def _limit(limit: int) -> str:
    return f"{limit:,}" if limit else "no limit"
