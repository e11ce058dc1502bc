"""Commands about API keys: make one, list them, revoke one.

The first is made on the server's own machine, with `--local`: there is no key yet to ask over HTTP with.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from cli.client import Client
from cli.options import AsJson, Server, connect, note, show
from cli.processes import Program, room, run_once
from cli.views import ago, as_json, plain
from store.settings import Settings

Project = Annotated[
    str | None, typer.Option(help="A project's id; operators may name any.", show_default="your own")
]
Most = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")]

_DAY_SECONDS: Final = 86_400

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", help="read, write or admin; may be repeated.", show_default="write; admin with --local"
        ),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="How long it is good for.", show_default="until revoked")
    ] = None,
    project: Project = None,
    local: Annotated[
        bool, typer.Option("--local", help="Write to the database of this machine's settings: needs no key.")
    ] = False,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Make a key and print it. It is shown this once."""
    if local and days is not None:
        raise typer.BadParameter("a local key is good until it is revoked", param_hint="--days")
    if local:
        made = _made_here(name, scope, project)
    else:
        with connect(server) as client:
            made = _made_there(client, name, scope, days, project)
    note(f"{made['id']} for {plain(made['name'])}: keep what follows, it is not shown again", "dim")
    sys.stdout.write(as_json(made) + "\n" if raw else f"{made['key']}\n")


def _made_here(name: str, scopes: list[str] | None, project: str | None) -> dict[str, Any]:
    words = [word for scope in scopes or () for word in ("--scope", scope)]
    whose = ["--project", project] if project else []
    command = [*room("store.keys"), *words, *whose, "--", name]
    told: dict[str, Any] = json.loads(
        run_once(Program("keys create", command, Settings().environment())).splitlines()[-1]
    )
    return told


def _made_there(
    client: Client, name: str, scopes: list[str] | None, days: int | None, project: str | None
) -> dict[str, Any]:
    seconds = None if days is None else days * _DAY_SECONDS
    asked = {"name": name, "scopes": scopes or None, "expires_in_seconds": seconds}
    document = {field: value for field, value in asked.items() if value is not None}
    body = json.dumps(document).encode()
    made: dict[str, Any] = client.create("/v1/keys", body, "application/json", project=project)
    if made["key"] is not None:
        return made
    # The answer that told it was lost on its way, and it is told only once.
    client.delete(f"/v1/keys/{made['id']}", project=project)
    return _made_there(client, name, scopes, days, project)


@app.command("list")
def list_all(limit: Most = 50, project: Project = None, server: Server = None, raw: AsJson = False) -> None:
    """List keys, the newest first; what is to be sent is not in them."""
    with connect(server) as client:
        found = list(client.listing("/v1/keys", limit, project=project))
        show(_table(found) if found else Text("No keys.", "dim"), found, raw=raw)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="A key's id: `key_…`, not the key itself.")],
    project: Project = None,
    server: Server = None,
) -> None:
    """Revoke a key: within a second nobody is let in with it."""
    if not key_id.startswith("key_"):
        raise typer.BadParameter("name the key by its id, key_…; `ridgeline keys list` shows it")
    with connect(server) as client:
        client.delete(f"/v1/keys/{key_id}", project=project)
        note(f"✓ {key_id} is revoked", "green")


def _table(keys: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for column in ("id", "name", "scopes", "state", "created", "last used"):
        table.add_column(column, no_wrap=column != "name")
    for key in keys:
        used = ago(key["last_used_at"]) if key["last_used_at"] else "never"
        row = (key["id"], plain(key["name"]), ", ".join(key["scopes"]), _state(key))
        table.add_row(*map(Text, row), ago(key["created_at"]), used)
    return table


def _state(key: Mapping[str, Any]) -> str:
    if key["revoked_at"]:
        return "revoked"
    return f"until {key['expires_at'][:10]}" if key["expires_at"] else "valid"
