"""Who works: the worker processes that a server has heard of lately."""

from __future__ import annotations

from rich.text import Text

from cli import views
from cli.options import AsJson, Server, connect, show


def workers(server: Server = None, raw: AsJson = False) -> None:
    """List the worker processes that were heard of lately, and what each is training."""
    with connect(server) as client:
        found = client.get("/v1/workers")["data"]
        nobody = Text("No worker was heard of lately; `ridgeline worker` starts one.", "dim")
        show(views.workers_table(found) if found else nobody, found, raw=raw)
