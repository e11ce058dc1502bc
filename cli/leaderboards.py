"""Lists of jobs: sorted by what came of them, with a column for each number, and the best of each dataset."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from cli.client import Client
from cli.views import ago, number, plain, status_text, table_of

SPLITS: Final = {"train": "train", "val": "validation", "test": "test"}
"""The splits of a result, by what a sort calls them."""
_OF_A_JOB: Final = {"gap": "lower", "duration": "lower", "best_epoch": None, "parameters": None}
"""Numbers that are no metric, and whether lower is better."""
Directions = Mapping[str, str | None]


def read_directions(client: Client) -> dict[str, str | None]:
    """Every number that a job may be shown with, and whether `lower` or `higher` is better, or neither."""
    metrics = {entry["name"]: entry["better"] for entry in client.get("/v1/catalog")["metrics"]}
    return dict(_OF_A_JOB) | {
        f"{split}_{name}": better
        for split in SPLITS
        for name, better in ({"loss": "lower"} | metrics).items()
    }


def value_of(job: Mapping[str, Any], name: str) -> float | None:
    """A number of a job by the name that lists are sorted by; None where the job lacks it."""
    result = job["result"] or {}
    match name:
        case "duration":
            value = job["duration_seconds"]
        case "gap":
            value = result.get("generalization_gap")
        case "best_epoch" | "parameters":
            value = result.get(name)
        case _:
            split, _, metric = name.partition("_")
            value = (result.get(SPLITS[split]) or {}).get(metric)
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def jobs_table(
    jobs: Sequence[Mapping[str, Any]], names: Sequence[str] = (), directions: Directions | None = None
) -> RenderableType:
    """A line a job, with a column for each of the names; the best of each dataset is marked."""
    table = table_of(
        "id", "name", "dataset", "status", ("epoch", "right"), *((name, "right") for name in names), "created"
    )
    best = {name: set(_best(jobs, name, (directions or {}).get(name))) for name in names}
    for job in jobs:
        progress = job["progress"]
        table.add_row(
            Text(job["id"], "dim"),
            Text(plain(job["name"] or "")),
            Text(plain(job["dataset"]["name"])),
            status_text(job),
            f"{progress['epoch']}/{progress['max_epochs']}",
            *(_cell(job, name, is_best=job["id"] in best[name]) for name in names),
            ago(job["created_at"]),
        )
    return Group(table, Text(_legend(jobs), "dim")) if any(best.values()) else table


def _best(jobs: Iterable[Mapping[str, Any]], name: str, better: str | None) -> Iterator[str]:
    """The best jobs of each dataset that has the number more than once, all that share it among them."""
    if better is None:
        return
    by_dataset: dict[str, dict[str, float]] = {}
    for job in jobs:
        if (value := value_of(job, name)) is not None:
            by_dataset.setdefault(job["dataset"]["id"], {})[job["id"]] = value
    for values in by_dataset.values():
        best = min(values.values()) if better == "lower" else max(values.values())
        if len(values) > 1:
            yield from (job_id for job_id, value in values.items() if value == best)


def _cell(job: Mapping[str, Any], name: str, *, is_best: bool) -> Text:
    value = value_of(job, name)
    match name:
        case "duration" if value is not None:
            words = f"{value:.1f} s"
        case "best_epoch" | "parameters" if value is not None:
            words = f"{value:,.0f}"
        case _:
            words = number(value)
    return Text(f"★ {words}", "bold green") if is_best else Text(words)


def _legend(jobs: Iterable[Mapping[str, Any]]) -> str:
    several = len({job["dataset"]["id"] for job in jobs}) > 1
    return "★ the best listed" + (" of its dataset" if several else "")
