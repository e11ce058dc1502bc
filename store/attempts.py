"""The record of every claim of a job by a worker: when, by whom, how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

import sqlalchemy as sa

from store.columns import now
from store.session import Connection
from store.tables import attempts

Outcome = Literal["succeeded", "failed", "cancelled", "paused", "released", "lost"]


class Claimed(Protocol):
    """What is to be known of a job that was just claimed."""

    @property
    def id(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def fence(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim of a job by a worker."""

    number: int
    fence: int
    worker_id: str
    together: int
    """How many jobs that claim took, this one included."""
    started_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None
    detail: str | None


def begin(tx: Connection, claimed: Sequence[Claimed], *, worker: str) -> None:
    """Open the records of a claim, in the claim's transaction."""
    rows = [
        {
            "job_id": job.id,
            "number": job.attempt,
            "fence": job.fence,
            "worker_id": worker,
            "together": len(claimed),
        }
        for job in claimed
    ]
    tx.execute(attempts.insert(), rows)


def end(tx: Connection, job_id: str, *, number: int, outcome: Outcome, detail: str | None) -> None:
    """Close it, in the transaction of the arrow that ended it."""
    told = {"outcome": outcome, "detail": detail}
    tx.execute(_END, {"ended_job": job_id, "ended_number": number, **told})


_END = (
    attempts.update()
    .where(attempts.c.job_id == sa.bindparam("ended_job"), attempts.c.number == sa.bindparam("ended_number"))
    .where(attempts.c.ended_at.is_(None))
    .values(ended_at=now(), outcome=sa.bindparam("outcome"), detail=sa.bindparam("detail"))
)


def of(tx: Connection, job_id: str) -> list[Attempt]:
    """A job's attempts, oldest first."""
    columns = [column for column in attempts.c if column.name != "job_id"]
    chosen = attempts.select().with_only_columns(*columns).where(attempts.c.job_id == job_id)
    return [Attempt(**row._mapping) for row in tx.execute(chosen.order_by(attempts.c.number))]
