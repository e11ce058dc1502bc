"""What people see: jobs, datasets and troubles, in a terminal or in a file.

Names come from whoever made them, so nothing is read as markup and nothing invisible passes through.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Group, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from cli.client import RefusedError, RidgelineError, UnreachableError

STATUS_STYLES = {
    "queued": "dim",
    "running": "cyan",
    "paused": "yellow",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
}
SIGNS = {"succeeded": "✓", "failed": "✗", "cancelled": "■"}
LEFT: JustifyMethod = "left"
SPLITS = ("train", "validation", "test")


def plain(text: object) -> str:
    """Text as one line, without the characters that could steer a terminal."""
    line = " ".join(str(text).split())
    return "".join(character if character.isprintable() else "�" for character in line)


def number(value: object) -> str:
    """A measured number; what is missing or not finite is a dash."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.4f}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def ago(moment: str, now: datetime | None = None) -> str:
    """How long ago an RFC 3339 moment was."""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


def as_json(document: Any) -> str:
    """For `--json`."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def name_of(job: Mapping[str, Any]) -> str:
    """What to call a job."""
    return plain(job["name"] or job["id"])


def status_text(job: Mapping[str, Any]) -> Text:
    """Status with the reason where there is one, in the status's colour."""
    reason = job["stop_reason"] if job["stop_reason"] != job["status"] else None
    words = f"{job['status']} ({reason})" if reason else job["status"]
    return Text(words, STATUS_STYLES[job["status"]])


def outcome(job: Mapping[str, Any]) -> RenderableType:
    """How a job stands: one line in words, then the numbers."""
    parts: list[RenderableType] = [_headline(job)]
    parts += [warning(each) for each in job["warnings"]]
    if job["result"]:
        parts += [scores(job["result"]), _footline(job["result"])]
    return Group(*parts)


def _headline(job: Mapping[str, Any]) -> Text:
    sign = SIGNS.get(job["status"], "•")
    line = Text(f"{sign} ", STATUS_STYLES[job["status"]]).append(name_of(job), "bold not dim")
    line.append(f" {job['status']}")
    if job["duration_seconds"] is not None:
        line.append(f" after {job['duration_seconds']:.1f} s", "default")
    why = job["stop_detail"] or (job["error"] or {}).get("detail")
    if why:
        line.append(f": {plain(why)}", "default not dim")
    return line


def warning(notice: Mapping[str, Any]) -> Text:
    """Something to know although the job runs."""
    return Text(f"  ! {plain(notice['pointer'])}: {plain(notice['detail'])}", "yellow")


def scores(result: Mapping[str, Any]) -> RenderableType:
    """Loss and metrics of every split that has rows."""
    splits = [split for split in SPLITS if result.get(split)]
    names = [name for name in result[splits[0]] if name != "nonfinite"] if splits else []
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for split in splits:
        table.add_row(split, *(number(result[split].get(name)) for name in names))
    return Padding(table, (0, 0, 0, 2), expand=False)


def _footline(result: Mapping[str, Any]) -> Text:
    facts = []
    if result.get("best_epoch"):
        facts.append(f"best epoch {result['best_epoch']} of {result['last_epoch']}")
    if result.get("parameters"):
        facts.append(f"{result['parameters']:,} parameters")
    if result.get("generalization_gap") is not None:
        facts.append(f"generalization gap {number(result['generalization_gap'])}")
    return Text("  " + " · ".join(facts), "dim")


def job(job: Mapping[str, Any]) -> RenderableType:
    """Everything about a job: what was asked, and how it stands."""
    progress = job["progress"]
    facts = {
        "id": job["id"],
        "dataset": f"{job['dataset']['name']} ({job['dataset']['id']})",
        "progress": f"epoch {progress['epoch']} of at most {progress['max_epochs']}",
        "created": ago(job["created_at"]),
        **({"queue": in_line(job["waiting"])} if job.get("waiting") else {}),
        "attempt": job["attempt"],
        "may take": ", ".join(job["allowed_actions"]) or "nothing",
    }
    notice = (job.get("waiting") or {}).get("notice")
    unheard = [Text(f"  ! {plain(notice)}", "yellow")] if notice else []
    return Group(outcome(job), *unheard, _facts(facts), spec(job["spec"]))


def in_line(waiting: Mapping[str, Any]) -> str:
    """Where a queued job stands, in words."""
    ahead, least = waiting["ahead"], "" if waiting["ahead_is_exact"] else " or more"
    place = f"{ahead:,}{least} {'job' if ahead == 1 else 'jobs'} before it" if ahead else "the next"
    return f"{plain(waiting['queue'])}, {place}"


def validation(answer: Mapping[str, Any]) -> RenderableType:
    """What a spec would become, and what it would take."""
    cost = answer["cost"]
    facts = {
        "parameters": f"{cost['parameters']:,}",
        "inputs": f"{cost['features']:,}",
        "steps": f"{cost['steps']:,}",
        "operations": f"{cost['operations']:.2g}",
        "memory": f"{cost['memory_bytes'] / 2**20:,.0f} MiB",
    }
    head = Text("✓ ", "green").append("The spec is good; nothing was stored.", "default")
    return Group(head, *map(warning, answer["warnings"]), _facts(facts), spec(answer["spec"]))


def spec(document: Mapping[str, Any]) -> RenderableType:
    """A full spec, without what is switched off."""
    text = yaml.safe_dump(_said(document), sort_keys=False, width=100, default_flow_style=None)
    return Padding(Syntax(text.rstrip(), "yaml", background_color="default"), (1, 0, 0, 2), expand=False)


def _said(document: Any) -> Any:
    """Without nulls and what is empty, which say nothing."""
    if not isinstance(document, dict):
        return document
    said = {name: _said(value) for name, value in document.items()}
    return {name: value for name, value in said.items() if value not in (None, {})}


def _facts(facts: Mapping[str, object]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        grid.add_row(Text(name, "dim"), Text(plain(value)))
    return Padding(grid, (1, 0, 0, 2), expand=False)


def datasets_table(datasets: Iterable[Mapping[str, Any]]) -> Table:
    """A line a dataset."""
    table = table_of("id", "name", "task", "target", ("rows", "right"), ("features", "right"), "created")
    for dataset in datasets:
        table.add_row(
            Text(dataset["id"], "dim"),
            Text(plain(dataset["name"])),
            dataset["task"],
            Text(plain(dataset["target"])),
            f"{dataset['rows']:,}",
            f"{dataset['features']:,}",
            ago(dataset["created_at"]),
        )
    return table


def workers_table(workers: Iterable[Mapping[str, Any]]) -> Table:
    """A line a worker."""
    table = table_of("id", "state", "job", "queues", "device", "machine", "version", "started", "heard of")
    for worker in workers:
        busy = worker["state"] == "busy"
        table.add_row(
            Text(worker["id"], "dim"),
            Text(worker["state"], "green" if busy else "dim"),
            Text(worker["job_id"] or ("of another project" if busy else "")),
            Text(", ".join(map(plain, worker["queues"]))),
            _device(worker),
            *(Text(plain(worker[name] or "–")) for name in ("host", "version")),
            ago(worker["started_at"]),
            f"{worker['quiet_seconds']:.0f} s ago",
        )
    return table


def _device(worker: Mapping[str, Any]) -> Text:
    """Where it trains, what that is called, and what is wrong with it."""
    named = (worker["device"], worker.get("device_name"))
    told = Text(" ".join(plain(each) for each in named if each) or "–")
    if problem := worker.get("problem"):
        told.append(f"\n{plain(problem)}", "yellow")
    return told


def dataset_summary(dataset: Mapping[str, Any]) -> RenderableType:
    """What a file was taken for."""
    head = Text("✓ ", "green").append(plain(dataset["name"]), "bold not dim")
    head.append(f"  {dataset['rows']:,} rows, {dataset['features']:,} features, ", "default not bold")
    head.append(f"{dataset['task']} of {plain(dataset['target'])}", "default not bold")
    lines = [head, Text(f"  {plain(dataset['task_reason'])}", "dim")]
    lines += [Text(f"  {plain(note)}", "dim") for note in dataset["notes"]]
    lines += [Text(f"  ! {plain(notice)}", "yellow") for notice in dataset.get("notices", [])]
    return Group(*lines, Text(f"  {dataset['id']}", "cyan"))


def trouble(error: RidgelineError) -> RenderableType:
    """What went wrong, where, and what to do about it."""
    problem = error.problem if isinstance(error, RefusedError) else {}
    complaints = problem.get("errors") or []
    what = problem["title"] if complaints and problem.get("title") else error
    lines = [Text("✗ ", "red").append(plain(what), "default")]
    if isinstance(error, UnreachableError):
        lines.append(Text("  Start a server with `ridgeline up`, or name one with --server.", "dim"))
    if isinstance(error, RefusedError) and error.status == 401:
        hint = "  Put a key into RIDGELINE_KEY; `ridgeline keys create --local NAME` makes one."
        lines.append(Text(hint, "dim"))
    for complaint in complaints:
        lines += _complaint(complaint)
    if isinstance(error, RefusedError) and error.status >= 500:
        lines.append(Text(f"  request {plain(problem.get('request_id', 'unknown'))}", "dim"))
    return Group(*lines)


def _complaint(complaint: Mapping[str, Any]) -> list[Text]:
    line = Text(f"  {plain(complaint['pointer'] or '/')}", "bold").append(
        f"  {plain(complaint['detail'])}", "not bold"
    )
    if not complaint.get("suggestion"):
        return [line]
    return [line, Text(f"    → {plain(complaint['suggestion'])}", "green")]


def table_of(*columns: str | tuple[str, JustifyMethod]) -> Table:
    """An empty table of these columns, at the left where nothing else is said."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for column in columns:
        name, justify = column if isinstance(column, tuple) else (column, LEFT)
        table.add_column(name, justify=justify, no_wrap=name in ("id", "status", "created"))
    return table


def catalog(answer: Mapping[str, Any]) -> RenderableType:
    """Every name that a spec may use, by kind, with what it is for."""
    kinds = {kind: entries for kind, entries in answer.items() if isinstance(entries, list)}
    return Group(*(_kind(kind, entries) for kind, entries in kinds.items()))


def _kind(kind: str, entries: Iterable[Mapping[str, Any]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    for entry in entries:
        about = Text(plain(entry["summary"]))
        if "good_for" in entry:
            about.append(f"\n{plain(entry['good_for'])}", "dim")
        grid.add_row(Text(plain(entry["name"]), "cyan"), about)
    return Group(Text(kind, "bold"), Padding(grid, (0, 0, 1, 2), expand=False))
