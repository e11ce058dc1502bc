"""How things stand at this moment, for whoever watches the service: what waits, what runs, who works.

Every query here counts along an index and only what has not ended, so it costs the same however many jobs
there have been.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from store import counters, jobs
from store.columns import now
from store.jobs import Status, Waiting
from store.session import Connection
from store.tables import deliveries, workers
from store.tables import jobs as running

OPEN: Final[tuple[Status, ...]] = ("queued", "running", "paused")
LATELY_SECONDS: Final = 300.0
"""For as long what has ended is told: a window that every scrape sees several times, whatever it missed."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """One look at everything."""

    unfinished: dict[str, int]
    """Jobs that are queued, running or paused, by status."""
    ended: dict[tuple[str, str], int]
    """Jobs that ended within the last five minutes, by status and stop reason."""
    epochs_per_second: float
    """Of all running jobs together, as they last told."""
    waiting: dict[str, Waiting]
    """Jobs that are due, by queue."""
    workers: dict[str, int]
    """Processes that were heard of lately: `busy` and `idle`."""
    deliveries: dict[str, int]
    """Webhook deliveries that are `pending`, and `dead` ones that were given up."""
    oldest_delivery_seconds: float
    """For how long the pending delivery that is most overdue has been due; 0 where none is."""
    counted: dict[str, int]
    """See `store.counters`."""


def read(tx: Connection, *, alive_seconds: float) -> Gauges:
    """How things stand; workers count that were heard of within `alive_seconds`."""
    counted = jobs.counts(tx)
    told, oldest = _deliveries(tx)
    return Gauges(
        unfinished={status: counted.get(status, 0) for status in OPEN},
        ended=_ended(tx),
        epochs_per_second=_epochs_per_second(tx),
        waiting=jobs.waiting(tx),
        workers=_workers(tx, alive_seconds),
        deliveries=told,
        oldest_delivery_seconds=oldest,
        counted=counters.read(tx),
    )


def _ended(tx: Connection) -> dict[tuple[str, str], int]:
    how = (running.c.status, running.c.stop_reason)
    lately = sa.select(*how, sa.func.count()).where(running.c.finished_at > now(-LATELY_SECONDS))
    return {
        (status, reason or status): number for status, reason, number in tx.execute(lately.group_by(*how))
    }


def _epochs_per_second(tx: Connection) -> float:
    speeds = sa.select(sa.func.sum(running.c.epochs_per_second)).where(running.c.status == "running")
    return float(tx.execute(speeds).scalar() or 0.0)


def _workers(tx: Connection, within_seconds: float) -> dict[str, int]:
    busy = sa.func.count(workers.c.job_id)
    alive = sa.select(sa.func.count(), busy).where(workers.c.seen_at > now(-within_seconds))
    total, at_work = tx.execute(alive).one()
    return {"busy": at_work, "idle": total - at_work}


def _deliveries(tx: Connection) -> tuple[dict[str, int], float]:
    found = {}
    for status in ("pending", "dead"):
        counted = sa.select(sa.func.count()).select_from(deliveries).where(deliveries.c.status == status)
        found[status] = tx.execute(counted).scalar_one()
    first = sa.select(sa.func.min(deliveries.c.due_at), now()).where(deliveries.c.status == "pending")
    due_at, clock = tx.execute(first).one()
    return found, max(0.0, (clock - due_at).total_seconds()) if due_at else 0.0
