"""What many commands take, and where they print."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from cli.client import Client
from cli.occupancy import occupant
from cli.views import as_json
from store.settings import Settings

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="RIDGELINE_SERVER",
        metavar="URL",
        help="The server to ask; by default the one that runs on the data folder, else http://127.0.0.1:8000.",
        show_default=False,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="RIDGELINE_KEY",
        metavar="KEY",
        help="The API key to send; from the environment no shell's history learns it.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the server's answer as JSON.")]
Job = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, or `last` for the newest.")]

WIDTH_WITHOUT_A_TERMINAL = 160


_KEY = re.compile(r"rl_[0-9a-f]{32}_[A-Za-z0-9_-]{43}", re.ASCII)
_sent: ContextVar[str | None] = ContextVar("key", default=None)


def keyed(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that asks a server also takes the key to send; written once, so that none can lack it."""
    signature = inspect.signature(command, eval_str=True)
    if "server" not in signature.parameters:
        return command

    @functools.wraps(command)
    def with_key(*, key: str | None, **given: Any) -> Any:
        if key and not _KEY.fullmatch(key):
            # Without the word itself: what was meant may be in it.
            raise typer.BadParameter("this is no API key; one reads rl_<id>_<secret>", param_hint="--key")
        _sent.set(key)
        return command(**given)

    option = inspect.Parameter("key", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Key)
    with_key.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    with_key.__annotations__ = {name: each.annotation for name, each in signature.parameters.items()}
    with_key.__annotations__["key"] = Key
    return with_key


def connect(server: str | None) -> Client:
    """A connection to the server that was named, or to the one that `ridgeline up` started here."""
    return Client(server or _running_here() or "http://127.0.0.1:8000", key=_sent.get())


def _running_here() -> str | None:
    found = occupant(Settings().data_dir)
    return found.address if found else None


def job_id(client: Client, job: str) -> str:
    """The id that the user meant."""
    if job != "last":
        return job
    newest = client.get("/v1/jobs", limit=1)["data"]
    if not newest:
        raise typer.BadParameter("there are no jobs yet")
    return str(newest[0]["id"])


def read_pairs(written: Iterable[str], option: str) -> Iterator[tuple[str, str]]:
    """`team=risk` → ("team", "risk"), of each that was given to an option; a value may hold a `=` itself."""
    for each in written:
        key, equals, value = each.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{each!r} is no KEY=VALUE", param_hint=option)
        yield key, value


def terminal(*, stderr: bool = False) -> Console:
    """Where people read: a terminal as it is, or a pipe with room for whole lines."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr, highlight=False, width=None if stream.isatty() else WIDTH_WITHOUT_A_TERMINAL
    )


def show(picture: RenderableType, document: Any, *, raw: bool) -> None:
    """The picture for people, or the document for programs."""
    if raw:
        sys.stdout.write(as_json(document) + "\n")
    else:
        terminal().print(picture)


def note(line: str, style: str = "") -> None:
    """A remark for people that is no part of the output."""
    terminal(stderr=True).print(Text(line, style), soft_wrap=True)
