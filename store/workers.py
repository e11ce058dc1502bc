"""Presence: one row for each worker process, refreshed as it beats, by the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from store.columns import now, printable
from store.projects import only
from store.session import Connection
from store.tables import jobs, workers

MOST_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process that has been heard of."""

    id: str
    host: str
    pid: int
    queues: list[str]
    job_id: str | None
    """What it trains; the first, where it trains several together."""
    jobs: int
    """How many it trains."""
    node: str | None
    """The worker whose child this process is: processes of one node die together."""
    version: str | None
    device: str | None
    """Where it trains: `cpu`, or its GPU, `cuda:1`."""
    device_name: str | None
    """What its maker calls that GPU."""
    problem: str | None
    """Why it takes less than it was told to."""
    started_at: datetime
    seen_at: datetime
    quiet_seconds: float
    """Since when, by the database's clock."""
    is_busy: bool


def seen(
    tx: Connection,
    worker_id: str,
    *,
    host: str,
    pid: int,
    queues: Sequence[str],
    job_ids: Sequence[str] = (),
    node: str | None = None,
    version: str | None = None,
    device: str | None = None,
    device_name: str | None = None,
    problem: str | None = None,
) -> None:
    """Here I am, on these jobs or none."""
    insert = (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(workers)
    busy = {"job_id": job_ids[0] if job_ids else None, "jobs": len(job_ids)}
    own = {"device": device, "device_name": printable(device_name, 100), "problem": printable(problem, 500)}
    now_known = {"queues": list(queues), **busy, **own, "seen_at": now()}
    values = {"id": worker_id, "host": host, "pid": pid, "node": node, "version": version, **now_known}
    tx.execute(insert.values(values).on_conflict_do_update(index_elements=[workers.c.id], set_=now_known))


def gone(tx: Connection, worker_id: str) -> None:
    """I leave."""
    tx.execute(workers.delete().where(workers.c.id == worker_id))


def alive(tx: Connection, within_seconds: float) -> list[Worker]:
    """Workers heard of lately, the freshest first."""
    chosen = sa.select(workers, now().label("clock"), workers.c.job_id.is_not(None).label("is_busy"))
    fresh = chosen.where(workers.c.seen_at > now(-within_seconds)).order_by(workers.c.seen_at.desc())
    return [_worker(**row._mapping) for row in tx.execute(fresh)]


def taking(tx: Connection, queue: str, within_seconds: float) -> int:
    """How many worker processes that listen on this queue were heard of lately."""
    fresh = sa.select(workers.c.queues).where(workers.c.seen_at > now(-within_seconds))
    return sum(queue in queues for queues in tx.execute(fresh).scalars())


def seen_from_here(tx: Connection, within_seconds: float, *, limit: int = MOST_SHOWN) -> list[Worker]:
    """The same for this transaction's project: a job that is another's is not named."""
    ours = sa.and_(jobs.c.id == workers.c.job_id, only(tx, jobs))
    columns = [jobs.c.id.label("job_id") if column.name == "job_id" else column for column in workers.c]
    busy = workers.c.job_id.is_not(None).label("is_busy")
    chosen = sa.select(*columns, now().label("clock"), busy).select_from(workers.outerjoin(jobs, ours))
    fresh = chosen.where(workers.c.seen_at > now(-within_seconds))
    rows = tx.execute(fresh.order_by(workers.c.started_at, workers.c.id).limit(limit))
    return [_worker(**row._mapping) for row in rows]


def _worker(*, clock: datetime, seen_at: datetime, is_busy: bool, **values: object) -> Worker:
    quiet = max(0.0, (clock - seen_at).total_seconds())
    return Worker(seen_at=seen_at, quiet_seconds=quiet, is_busy=bool(is_busy), **values)  # type: ignore[arg-type]


def sweep(tx: Connection, older_than_seconds: float) -> int:
    """Forget workers not heard of for long; how many."""
    return tx.execute(workers.delete().where(workers.c.seen_at < now(-older_than_seconds))).rowcount
