"""Commands about webhooks: make one, see what it was told, tell it again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.client import Client
from cli.exits import Exit
from cli.options import AsJson, Server, connect, note, show, terminal
from cli.views import ago, plain

Webhook = Annotated[str, typer.Argument(metavar="WEBHOOK", help="A webhook's id.")]
Most = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")]

STYLES: Final = {"pending": "cyan", "delivered": "green", "dead": "red"}
_JSON: Final = "application/json"
_LOOK_SECONDS: Final = 0.3

app = typer.Typer(help="Have jobs told of: signed, retried, once they are delivered.", no_args_is_help=True)


@app.command()
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to send: public, and https.")],
    event: Annotated[
        list[str] | None,
        typer.Option(
            "--event", "-e", help="What to tell of, such as job.failed; may be repeated.", show_default="ends"
        ),
    ] = None,
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Make a webhook; its secret is shown this once."""
    asked = {"url": url, "events": event or None, "description": description}
    document = {name: value for name, value in asked.items() if value is not None}
    with connect(server) as client:
        made = client.create("/v1/webhooks", json.dumps(document).encode(), _JSON)
        show(_with_secret(made), made, raw=raw)


@app.command("list")
def list_all(limit: Most = 50, server: Server = None, raw: AsJson = False) -> None:
    """List webhooks, the newest first."""
    with connect(server) as client:
        found = list(client.listing("/v1/webhooks", limit))
        show(_webhooks(found) if found else Text("No webhooks.", "dim"), found, raw=raw)


@app.command()
def delete(webhook: Webhook, server: Server = None) -> None:
    """Delete a webhook, with what was delivered and what still waits."""
    with connect(server) as client:
        client.delete(f"/v1/webhooks/{webhook}")
        _done(f"{webhook} is deleted")


@app.command()
def enable(webhook: Webhook, server: Server = None) -> None:
    """Tell a webhook again what happens from now on."""
    _switch(webhook, server, enabled=True)


@app.command()
def disable(webhook: Webhook, server: Server = None) -> None:
    """Tell a webhook nothing more; what still waits is given up."""
    _switch(webhook, server, enabled=False)


def _switch(webhook: str, server: str | None, *, enabled: bool) -> None:
    with connect(server) as client:
        client.patch(f"/v1/webhooks/{webhook}", {"enabled": enabled})
        _done(f"{webhook} is {'enabled' if enabled else 'disabled'}")


@app.command()
def rotate(webhook: Webhook, server: Server = None, raw: AsJson = False) -> None:
    """Give a webhook a new secret; for a day the old one signs too."""
    with connect(server) as client:
        rotated = client.create(f"/v1/webhooks/{webhook}/rotate", b"", _JSON)
        show(_with_secret(rotated), rotated, raw=raw)


@app.command("test")
def ping(
    webhook: Webhook,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for what comes of it.")] = 30.0,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Send a test, and see whether it arrives."""
    with connect(server) as client:
        sent = client.create(f"/v1/webhooks/{webhook}/test", b"", _JSON)
        found = _settled(client, sent, wait)
        show(_outcome(found), found, raw=raw)
    raise typer.Exit(Exit.OK if found["status"] == "delivered" else Exit.FAILED)


def _settled(client: Client, delivery: dict[str, Any], wait: float) -> dict[str, Any]:
    """What became of a delivery, or how it stands when the time is over."""
    deadline = time.monotonic() + wait
    while delivery["status"] == "pending" and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        delivery = client.get(delivery["links"]["self"])
    return delivery


@app.command()
def deliveries(
    webhook: Webhook,
    status: Annotated[str | None, typer.Option(help="Only those: pending, delivered, dead.")] = None,
    job: Annotated[str | None, typer.Option(help="Only those of this job.")] = None,
    limit: Most = 20,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """List what a webhook was told and is to be told, the newest first."""
    with connect(server) as client:
        found = list(client.listing(f"/v1/webhooks/{webhook}/deliveries", limit, status=status, job=job))
        show(_deliveries(found) if found else Text("No deliveries.", "dim"), found, raw=raw)


@app.command()
def redeliver(
    webhook: Webhook,
    delivery: Annotated[
        list[str] | None, typer.Argument(metavar="DELIVERY…", help="Deliveries' ids.", show_default=False)
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Everything that was given up.")] = False,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Send deliveries again, under the same ids."""
    if dead == bool(delivery):
        raise typer.BadParameter("name deliveries, or say --dead")
    with connect(server) as client:
        address = f"/v1/webhooks/{webhook}/deliveries"
        # The whole list first: what is sent again is dead no longer, and would move the pages.
        found = [each["id"] for each in client.listing(address, 1_000_000, status="dead")] if dead else []
        sent = [client.post(f"{address}/{each}/redeliver") for each in [*(delivery or []), *found]]
        show(Text("✓ ", "green").append(f"{len(sent)} will be sent again", "default"), sent, raw=raw)


def _done(line: str) -> None:
    terminal().print(Text("✓ ", "green").append(line, "default"))


def _with_secret(webhook: Mapping[str, Any]) -> RenderableType:
    note("The secret is shown this once: it verifies what is sent.")
    return Group(
        Text("✓ ", "green").append(plain(webhook["url"]), "default"),
        Text(f"  {webhook['id']}", "cyan"),
        Text("  secret  ", "dim").append(webhook["secret"], "bold not dim"),
        Text("  tells   ", "dim").append(", ".join(map(plain, webhook["events"])), "not dim"),
    )


def _outcome(delivery: Mapping[str, Any]) -> RenderableType:
    words = {
        "delivered": f"✓ delivered: the receiver answered {delivery['response_status']}",
        "dead": f"✗ not delivered: {plain(delivery['detail'])}",
        "pending": "• still on its way; is a reconciler running?",
    }
    return Group(
        Text(words[delivery["status"]], STYLES[delivery["status"]]), Text(f"  {delivery['id']}", "dim")
    )


def _webhooks(webhooks: Iterable[Mapping[str, Any]]) -> Table:
    table = _table("id", "url", "tells", "state", "created")
    for webhook in webhooks:
        why = f": {plain(webhook['disabled_detail'])}" if webhook["disabled_detail"] else ""
        table.add_row(
            Text(webhook["id"], "dim"),
            Text(plain(webhook["url"])),
            ", ".join(plain(event).removeprefix("job.") for event in webhook["events"]),
            Text("enabled", "green") if webhook["enabled"] else Text(f"disabled{why}", "yellow"),
            ago(webhook["created_at"]),
        )
    return table


def _deliveries(deliveries: Iterable[Mapping[str, Any]]) -> Table:
    table = _table("id", "event", "job", "status", "attempts", "answer", "created")
    for delivery in deliveries:
        said = delivery["detail"] or delivery["response_status"] or ""
        table.add_row(
            Text(delivery["id"], "dim"),
            plain(delivery["event"]),
            Text(delivery["job_id"] or "", "dim"),
            Text(delivery["status"], STYLES[delivery["status"]]),
            str(delivery["attempts"]),
            Text(plain(said)),
            ago(delivery["created_at"]),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=column in ("id", "status", "created"))
    return table
