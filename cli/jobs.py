"""Commands about jobs: submit, watch, look, steer, delete."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.text import Text

from cli import views
from cli.client import Client
from cli.diagnosis import verdict_line
from cli.exits import Exit
from cli.options import AsJson, Job, Server, connect, job_id, note, show, terminal
from cli.watching import watch as follow

Spec = Annotated[
    str, typer.Argument(metavar="FILE", help="A job spec as JSON or YAML; `-` reads standard input.")
]
JSON, YAML = "application/json", "application/yaml"
MEDIA_TYPES = {".json": JSON, ".yaml": YAML, ".yml": YAML}
FORMATS = ("txt", "png", "svg", "csv", "json")
IN_BYTES = ("png",)
WIDEST_CHART = 100


def submit(
    spec: Spec,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the job to its end.")] = False,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Submit a job."""
    with connect(server) as client:
        job = client.create("/v1/jobs", *_document(spec))
        if watch:
            _follow(client, job["id"], raw=raw)
        else:
            show(_submitted(job), job, raw=raw)


def watch(job: Job, server: Server = None, raw: AsJson = False) -> None:
    """Follow a job to its end: progress, losses, and the curve when it is done."""
    with connect(server) as client:
        _follow(client, job_id(client, job), raw=raw)


def validate(spec: Spec, server: Server = None, raw: AsJson = False) -> None:
    """Show what a spec would become: its defaults, its warnings and its cost. Nothing is stored."""
    with connect(server) as client:
        answer = client.create("/v1/jobs/validate", *_document(spec))
        show(views.validation(answer), answer, raw=raw)


def job(job: Job, server: Server = None, raw: AsJson = False) -> None:
    """Show how a job stands and what came out of it."""
    with connect(server) as client:
        answer = client.get(f"/v1/jobs/{job_id(client, job)}")
        show(views.job(answer), answer, raw=raw)


def curve(
    job: Annotated[
        list[str], typer.Argument(metavar="JOB…", help="A job's id, or `last`; several are overlaid.")
    ],
    format: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option("--format", "-f", help=f"One of {', '.join(FORMATS)}.", show_default="txt")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    series: Annotated[
        str | None, typer.Option(help="Only these, comma-separated: `val_loss,train_loss`.")
    ] = None,
    server: Server = None,
    raw: AsJson = False,
) -> None:
    """Draw the learning curve of a job, or of several in one picture."""
    chosen = _format("json" if raw else format, output)
    with connect(server) as client:
        ids = [job_id(client, one) for one in job]
        drawing = look(terminal()) if chosen == "txt" and not output else {}
        content = _curves(client, ids, format=chosen, series=series, **drawing)
    if output:
        output.write_bytes(content)
        note(f"{output}: {len(content):,} bytes")
    else:
        sys.stdout.buffer.write(content if content.endswith(b"\n") else content + b"\n")


def pause(job: Job, server: Server = None, raw: AsJson = False) -> None:
    """Lay a job aside; it keeps its place in training and waits for `resume`."""
    _act(job, "pause", server, raw=raw)


def resume(job: Job, server: Server = None, raw: AsJson = False) -> None:
    """Let a paused job go on from where it was."""
    _act(job, "resume", server, raw=raw)


def cancel(job: Job, server: Server = None, raw: AsJson = False) -> None:
    """Cancel a job; the best weights so far are kept."""
    _act(job, "cancel", server, raw=raw)


def finish(job: Job, server: Server = None, raw: AsJson = False) -> None:
    """End a job after its present epoch; it restores its best weights and succeeds."""
    _act(job, "finish", server, raw=raw)


def _act(job: str, action: str, server: str | None, *, raw: bool) -> None:
    with connect(server) as client:
        answer = client.post(f"/v1/jobs/{job_id(client, job)}/{action}")
        show(views.outcome(answer), answer, raw=raw)


def _document(spec: str) -> tuple[bytes, str]:
    """The spec as it stands, so that the server's pointers lead into what the user wrote."""
    if spec == "-":
        body = sys.stdin.buffer.read()
        return body, JSON if body.lstrip()[:1] in (b"{", b"[") else YAML
    path = Path(spec)
    if not path.is_file():
        raise typer.BadParameter(f"there is no file {spec}", param_hint="FILE")
    return path.read_bytes(), MEDIA_TYPES.get(path.suffix.lower(), JSON)


def _follow(client: Client, job: str, *, raw: bool) -> None:
    """Follow a job to its end and show it; the exit code says how it ended."""
    console = terminal(stderr=raw)
    try:
        done = follow(client, job, console)
    except KeyboardInterrupt:
        note(f"\nThe job goes on; `ridgeline watch {job}` follows it again.")
        raise typer.Exit(Exit.INTERRUPTED) from None
    show(ending(client, done, console), done, raw=raw)
    raise typer.Exit(Exit.of(done["status"]))


def ending(client: Client, job: dict[str, Any], console: Console) -> Group:
    """Outcome, curve and verdict of a finished job."""
    parts = [views.outcome(job)]
    if job["progress"]["epoch"]:
        drawn = client.read(f"/v1/jobs/{job['id']}/curves", format="txt", **look(console))
        parts += [Text(), Text.from_ansi(drawn.decode().rstrip()), Text(), *verdict_line(client, job)]
    return Group(*parts)


def look(console: Console) -> dict[str, Any]:
    """How the server should draw for this terminal."""
    color = console.is_terminal and console.color_system is not None and not console.no_color
    return {"width": min(max(console.width, 40), WIDEST_CHART), "color": str(color).lower()}


def _submitted(job: dict[str, Any]) -> Group:
    lines = [Text("✓ ", "green").append(f"{views.name_of(job)} is {job['status']}", "default")]
    lines += [views.warning(warning) for warning in job["warnings"]]
    return Group(*lines, Text(f"  {job['id']}", "cyan"))


def _format(format: str | None, output: Path | None) -> str:  # noqa: A002 - as above
    chosen = format or (output.suffix[1:].lower() if output else "txt")
    if chosen not in FORMATS:
        raise typer.BadParameter(f"{chosen!r} is none of {', '.join(FORMATS)}", param_hint="--format")
    if chosen in IN_BYTES and not output and sys.stdout.isatty():
        raise typer.BadParameter(f"{chosen} is not for terminals; add --output FILE", param_hint="--format")
    return chosen


def _curves(client: Client, ids: list[str], **query: Any) -> bytes:
    if len(ids) == 1:
        return client.read(f"/v1/jobs/{ids[0]}/curves", **query)
    return client.read("/v1/curves", jobs=",".join(ids), **query)
