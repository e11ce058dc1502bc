"""The record of every claim of a job by a worker: when, by whom, how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from store.columns import now
from store.session import Connection
from store.tables import attempts

Outcome = Literal["succeeded", "failed", "cancelled", "paused", "released", "lost"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim of a job by a worker."""

    number: int
    fence: int
    worker_id: str
    started_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None
    detail: str | None


def begin(tx: Connection, job_id: str, *, number: int, fence: int, worker: str) -> None:
    """Open the record of a claim, in the claim's transaction."""
    values = {"job_id": job_id, "number": number, "fence": fence, "worker_id": worker}
    tx.execute(attempts.insert().values(values))


def end(tx: Connection, job_id: str, *, number: int, outcome: Outcome, detail: str | None) -> None:
    """Close it, in the transaction of the arrow that ended it."""
    mine = (attempts.c.job_id == job_id, attempts.c.number == number, attempts.c.ended_at.is_(None))
    tx.execute(attempts.update().where(*mine).values(ended_at=now(), outcome=outcome, detail=detail))


def of(tx: Connection, job_id: str) -> list[Attempt]:
    """A job's attempts, oldest first."""
    columns = [column for column in attempts.c if column.name != "job_id"]
    chosen = attempts.select().with_only_columns(*columns).where(attempts.c.job_id == job_id)
    return [Attempt(**row._mapping) for row in tx.execute(chosen.order_by(attempts.c.number))]
