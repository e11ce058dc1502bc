"""Presence: one row for each worker process, refreshed as it beats, by the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from store.columns import now
from store.session import Connection
from store.tables import workers


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process that has been heard of."""

    id: str
    host: str
    pid: int
    queues: list[str]
    job_id: str | None
    started_at: datetime
    seen_at: datetime
    quiet_seconds: float
    """Since when, by the database's clock."""


def seen(
    tx: Connection, worker_id: str, *, host: str, pid: int, queues: Sequence[str], job_id: str | None = None
) -> None:
    """Here I am, on this job or none."""
    insert = (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(workers)
    now_known = {"queues": list(queues), "job_id": job_id, "seen_at": now()}
    values = {"id": worker_id, "host": host, "pid": pid, **now_known}
    tx.execute(insert.values(values).on_conflict_do_update(index_elements=[workers.c.id], set_=now_known))


def gone(tx: Connection, worker_id: str) -> None:
    """I leave."""
    tx.execute(workers.delete().where(workers.c.id == worker_id))


def alive(tx: Connection, within_seconds: float) -> list[Worker]:
    """Workers heard of lately, the freshest first."""
    chosen = sa.select(workers, now().label("clock")).where(workers.c.seen_at > now(-within_seconds))
    rows = tx.execute(chosen.order_by(workers.c.seen_at.desc()))
    return [_worker(**row._mapping) for row in rows]


def _worker(*, clock: datetime, seen_at: datetime, **values: object) -> Worker:
    quiet = max(0.0, (clock - seen_at).total_seconds())
    return Worker(seen_at=seen_at, quiet_seconds=quiet, **values)  # type: ignore[arg-type]


def sweep(tx: Connection, older_than_seconds: float) -> int:
    """Forget workers not heard of for long; how many."""
    return tx.execute(workers.delete().where(workers.c.seen_at < now(-older_than_seconds))).rowcount
