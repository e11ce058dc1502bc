"""A job's numbered log, and the stream that merges it with the curve.

Events and epochs share one sequence of numbers per job, `jobs.last_event`. A number is taken by an UPDATE of
the job's row, which stays locked until that transaction commits: whoever sees a number sees all before it,
so a reader that goes on from the last number it saw loses and repeats nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from store import row_sizes, usage
from store.fences import mine
from store.projects import owned
from store.session import Connection
from store.tables import events, jobs, points


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to be told: `status`, `warning`, `rewound`, `end`, …"""

    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was told, with its number in the job's sequence."""

    number: int
    kind: str
    at: datetime
    data: dict[str, Any]


def write(tx: Connection, numbered: Sequence[tuple[str, int]], entries: Sequence[Entry]) -> None:
    """Write entries into the logs of jobs, under numbers already taken: with each job comes its highest."""
    rows = [
        {"job_id": job_id, "number": number, "kind": entry.kind, "data": entry.data}
        for job_id, last in numbered
        for number, entry in enumerate(entries, last - len(entries) + 1)
    ]
    tx.execute(events.insert(), rows)


def append(tx: Connection, job_id: str, entry: Entry, *, fence: int) -> int | None:
    """Tell the log something while running it; None where the job is no longer yours."""
    more = row_sizes.of_entries([entry])
    values = {"last_event": jobs.c.last_event + 1, "row_bytes": jobs.c.row_bytes + more}
    taken = jobs.update().where(*mine(job_id, fence)).values(values)
    row = tx.execute(taken.returning(jobs.c.last_event, jobs.c.project_id)).one_or_none()
    if row is None:
        return None
    write(tx, [(job_id, row.last_event)], [entry])
    usage.charge(tx, row.project_id, stored_bytes=more)
    return int(row.last_event)


def log(tx: Connection, job_id: str, *, after: int = 0, limit: int = 200) -> list[Event]:
    """The log without the epochs, from behind number `after`."""
    chosen = (
        sa.select(events.c.number, events.c.kind, events.c.at, events.c.data)
        .where(events.c.job_id == owned(tx, job_id), events.c.number > after)
        .order_by(events.c.number)
        .limit(limit)
    )
    return [Event(**row._mapping) for row in tx.execute(chosen)]


def stream_after(tx: Connection, job_id: str, after: int, *, limit: int = 500) -> list[Event]:
    """Log and epochs merged by number, from behind number `after`, at most `limit` of them.

    One statement, hence one snapshot: two could miss what is committed between them. An epoch's data are
    `{"epoch": 3, "values": {"val_loss": 0.1}, "nonfinite": {}}`.
    """
    about = (points.c["values"], points.c.epoch, points.c.nonfinite)
    recorded = sa.select(points.c.event.label("number"), sa.literal("epoch"), points.c.at, *about)
    nothing = (sa.cast(None, column.type).label(column.name) for column in about[1:])
    told = sa.select(events.c.number, events.c.kind, events.c.at, events.c.data, *nothing)
    pieces = (
        _piece(recorded.where(points.c.job_id == owned(tx, job_id)), points.c.event, after, limit),
        _piece(told.where(events.c.job_id == owned(tx, job_id)), events.c.number, after, limit),
    )
    merged = sa.union_all(*pieces).subquery()
    rows = tx.execute(sa.select(merged).order_by(merged.c.number).limit(limit))
    return [_event(*row) for row in rows]


def _piece(
    statement: sa.Select[Any], number: sa.ColumnElement[int], after: int, limit: int
) -> sa.Select[Any]:
    """What one side can give at most; uncut, all that is left would be gathered and sorted each time."""
    piece = statement.where(number > after).order_by(number).limit(limit).subquery()
    return sa.select(piece)


def _event(
    number: int, kind: str, at: datetime, data: dict[str, Any], epoch: int | None, nonfinite: Any
) -> Event:
    if epoch is not None:
        data = {"epoch": epoch, "values": data, "nonfinite": nonfinite or {}}
    return Event(number, kind, at, data)
