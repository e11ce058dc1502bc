"""What a run left behind, as plain data: all rows that tell of jobs, all files that a row points to."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from store import tables
from store.session import Connection, Database
from tests.chaos.undisturbed import digests

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that a row points to, as it lies there."""

    key: str
    promised: str
    """The sha256 in the row."""
    found: str | None
    """That of the file; None where there is none."""
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Final:
    """Tables and files when all is over. Times are seconds of the wall clock."""

    jobs: dict[str, Row] = field(default_factory=dict)
    points: Mapping[str, list[Row]] = field(default_factory=dict)
    """Of each job its epochs, in order of their numbers."""
    events: Mapping[str, list[Row]] = field(default_factory=dict)
    attempts: Mapping[str, list[Row]] = field(default_factory=dict)
    weights: Mapping[str, list[Row]] = field(default_factory=dict)
    tensors: Mapping[str, dict[str, str]] = field(default_factory=dict)
    """Of each job with weights: its tensors by name, as digests."""
    deliveries: Mapping[str, list[Row]] = field(default_factory=dict)
    """What the outbox has of each job."""
    files: list[Kept] = field(default_factory=list)


def take(database: Database, folder: Path) -> Final:
    """Read all rows in one transaction, and the files in their folder; nothing may be running any more."""
    with database.reading() as tx:
        weights = _by_job(tx, tables.weights)
        held: list[tuple[str, str, str | None]] = [
            (row["key"], row["sha256"], job_id) for job_id, rows in weights.items() for row in rows
        ]
        for job_id, rows in _by_job(tx, tables.checkpoints).items():
            held += [(row["key"], row["sha256"], job_id) for row in rows]
        for row in _rows(tx, sa.select(tables.datasets)):
            held.append((row["table_key"], row["table_sha256"], None))
        jobs = {row["id"]: row for row in _rows(tx, _jobs())}
        points, events = _by_job(tx, tables.points, "epoch"), _by_job(tx, tables.events, "number")
        attempts, deliveries = _by_job(tx, tables.attempts, "number"), _by_job(tx, tables.deliveries)
    files = [Kept(key, sha256, _sha256(folder / key), job_id) for key, sha256, job_id in held]
    whole = {kept.key for kept in files if kept.found == kept.promised}
    return Final(
        jobs=jobs,
        points=points,
        events=events,
        attempts=attempts,
        weights=weights,
        tensors={
            job_id: digests(folder / rows[0]["key"])
            for job_id, rows in weights.items()
            if rows[0]["key"] in whole
        },
        deliveries=deliveries,
        files=files,
    )


def keep(final: Final, path: Path) -> None:
    """Beside the history, for whoever wants to know how it came to a violation."""
    path.write_text(json.dumps(asdict(final), default=str), encoding="utf-8")


def _jobs() -> sa.Select[Any]:
    dataset = tables.datasets
    its = dataset.c.id == tables.jobs.c.dataset_id
    return sa.select(tables.jobs, dataset.c.name.label("dataset")).join(dataset, its)


def _by_job(tx: Connection, table: sa.Table, order: str | None = None) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in _rows(tx, sa.select(table).order_by(table.c[order] if order else table.c.job_id)):
        found[row["job_id"]].append(row)
    return dict(found)


def _rows(tx: Connection, statement: sa.Select[Any]) -> Iterable[Row]:
    for row in tx.execute(statement).mappings():
        yield {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return value


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
