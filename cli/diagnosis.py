"""`ridgeline diagnose`: what a job's curve says, and what to try next, as people see it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.client import Client, RefusedError
from cli.options import AsJson, Job, Server, connect, job_id, show
from cli.views import plain

STYLES = {"good_fit": "green", "still_improving": "cyan", "too_short": "dim", "no_validation": "yellow"}
WRONG = "red"
"""The style of every other verdict."""


def diagnose(job: Job, server: Server = None, raw: AsJson = False) -> None:
    """Show what a job's curve says: overfitting, underfitting, …, and what to try next."""
    with connect(server) as client:
        answer = client.get(f"/v1/jobs/{job_id(client, job)}/diagnosis")
        show(diagnosis(answer), answer, raw=raw)


def verdict_line(client: Client, job: Mapping[str, Any]) -> list[Text]:
    """The verdict on a job in a sentence or two; nothing where nobody has one."""
    try:
        found = client.get(f"/v1/jobs/{job['id']}/diagnosis")
    except RefusedError:
        return []
    line = _headline(found)
    if found["suggestions"]:
        line.append(f" `ridgeline diagnose {plain(job['id'])}` says what to try.", "dim")
    return [line]


def diagnosis(found: Mapping[str, Any]) -> RenderableType:
    """All of it: the verdict, the evidence, the suggestions."""
    evidence = Table.grid(padding=(0, 2))
    for each in found["evidence"]:
        evidence.add_row(Text(_word(each["name"]), "dim"), Text(plain(each["detail"])))
    parts: list[RenderableType] = [_headline(found), Padding(evidence, (1, 0, 0, 2), expand=False)]
    if found["suggestions"]:
        parts += [Text("\nTo try, one at a time", "bold"), _suggestions(found["suggestions"])]
    return Group(*parts)


def _headline(found: Mapping[str, Any]) -> Text:
    line = Text(f"{_word(found['verdict'])}: ", f"bold {STYLES.get(found['verdict'], WRONG)}")
    return line.append(plain(found["summary"]), "default not bold")


def _suggestions(suggestions: list[Mapping[str, Any]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for each in suggestions:
        about = Text(plain(each["detail"]))
        for place, value in _leaves(each["patch"]):
            about.append(f"\n{plain(place)}: {plain(value)}", "cyan")
        grid.add_row(Text(_word(each["technique"]), "bold"), about)
    return Padding(grid, (0, 0, 0, 2), expand=False)


def _leaves(patch: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """`regularization.l2.strength` and its value, for each value that a merge patch sets."""
    for name, value in patch.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", _said(value)


def _said(value: Any) -> str:
    """Lists as a spec has them, and monitors as `metric, patience 3`."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "; ".join(f"{each['metric']}, patience {each['patience']}" for each in value)
    return "nothing" if value is None else json.dumps(value)


def _word(name: str) -> str:
    return plain(name).replace("_", " ")
