"""What waits in each queue: whether something does, how much, and for how long.

Each question is answered from the front of `ix_jobs_waiting`, so that a queue costs no more than what is
asked of it, however long it and the others are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast

import sqlalchemy as sa

from store.columns import now
from store.job_indexes import mark
from store.jobs.row import UNFINISHED, Status
from store.session import Connection
from store.tables import jobs

MOST_COUNTED: Final = 10_000
"""Where there are more jobs than these, no more are counted: whoever watches is not to be a burden."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a queue holds that is due."""

    jobs: int
    oldest_seconds: float


def any_waits(tx: Connection, queues: Sequence[str]) -> bool:
    """Whether something is due, by a look alone: whoever finds nothing keeps nobody from writing."""
    listened = list(dict.fromkeys(queues))
    named = {f"queue_{number}": queue for number, queue in enumerate(listened)}
    return bool(listened) and bool(tx.execute(_any_waits(len(listened)), named).scalar())


def waiting(tx: Connection, *, at_most: int = MOST_COUNTED) -> dict[str, Waiting]:
    """Queued jobs that are due, by queue, no more than so many of each counted; empty queues are left out."""
    rows = tx.execute(_WAITING, {"at_most": at_most})
    return {
        queue: Waiting(count, max(0.0, (clock - oldest).total_seconds()))
        for queue, count, oldest, clock in rows
        if count
    }


def counts(tx: Connection) -> dict[Status, int]:
    """How many jobs are in each status that is not final, up to `MOST_COUNTED`; only where there are some."""
    row = tx.execute(_COUNTS, {"at_most": MOST_COUNTED}).one()
    return {cast("Status", status): count for status, count in row._mapping.items() if count}


# Built once: to build these takes longer than to execute them.

_QUEUED = (jobs.c.status == sa.literal_column("'queued'"), mark("ix_jobs_waiting", jobs))
"""The conditions of `ix_jobs_waiting`, in the statement itself, so that it is found to fit."""

UNFINISHED_BY_INDEX = (jobs.c.finished_at.is_(None), mark("ix_jobs_open", jobs))
"""Those of `ix_jobs_open`, likewise: jobs by a status that is not final."""


def _first_due(queue: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    """When the first of a queue is due, or was."""
    of_queue = sa.select(jobs.c.due_at).where(*_QUEUED, jobs.c.queue == queue)
    return of_queue.order_by(jobs.c.due_at).limit(1).scalar_subquery()


@cache
def _any_waits(queues: int) -> sa.Select[Any]:
    return sa.select(
        sa.or_(*(_first_due(sa.bindparam(f"queue_{number}")) <= now() for number in range(queues)))
    )


def _waiting() -> sa.Select[Any]:
    """The queues there are are found by steps from one to the next; then each is looked at by itself."""
    after_nothing = jobs.c.queue > sa.literal_column("''")
    in_order = sa.select(jobs.c.queue).where(*_QUEUED).order_by(jobs.c.queue, jobs.c.due_at).limit(1)
    first = in_order.where(after_nothing)
    names = sa.select(first.scalar_subquery().label("queue")).cte("names", recursive=True)
    behind = in_order.where(jobs.c.queue > names.c.queue).correlate(names).scalar_subquery()
    names = names.union_all(sa.select(behind).where(names.c.queue.is_not(None)))
    due = (
        sa.select(jobs.c.due_at)
        .where(*_QUEUED, jobs.c.queue == names.c.queue, jobs.c.due_at <= now())
        .order_by(jobs.c.due_at)
        .limit(sa.bindparam("at_most", type_=sa.Integer))
        .correlate(names)
        .subquery()
    )
    number = sa.select(sa.func.count()).select_from(due).scalar_subquery()
    oldest = _first_due(names.c.queue)
    return sa.select(names.c.queue, number, oldest, now()).where(names.c.queue.is_not(None))


def _counts() -> sa.Select[*tuple[Any, ...]]:
    def number(status: str) -> sa.ColumnElement[int]:
        is_of_it = jobs.c.status == sa.literal_column(f"'{status}'")
        some = sa.select(jobs.c.created_at).where(is_of_it, *UNFINISHED_BY_INDEX).order_by(jobs.c.created_at)
        some = some.limit(sa.bindparam("at_most", type_=sa.Integer))
        return sa.select(sa.func.count()).select_from(some.subquery()).scalar_subquery().label(status)

    return sa.select(*(number(status) for status in UNFINISHED))


_WAITING = _waiting()
_COUNTS = _counts()
