"""What comes to be known of a job while it runs, told beside what was known when it was submitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from store import events, row_sizes, usage
from store.columns import printable_values
from store.events import Entry
from store.fences import held, mine
from store.session import Connection
from store.tables import jobs

LONGEST = 2_000


def add_warnings(tx: Connection, job_id: str, fence: int, warnings: Sequence[Mapping[str, Any]]) -> bool:
    """Add to a running job's warnings those that it does not have yet, and tell its log of each.

    Another attempt that finds the same changes nothing. False where the job is no longer yours.
    """
    row = held(tx, {job_id: fence}, jobs.c.warnings, jobs.c.project_id).get(job_id)
    if row is None:
        return False
    known = list(row.warnings)
    for warning in warnings:
        if (storable := printable_values(warning, LONGEST)) not in known:
            known.append(storable)
    if fresh := known[len(row.warnings) :]:
        entries = [Entry("warning", warning) for warning in fresh]
        more = row_sizes.of_entries(entries) + _longer(row.warnings, known)
        values = {
            "warnings": known,
            "last_event": jobs.c.last_event + len(fresh),
            "row_bytes": jobs.c.row_bytes + more,
        }
        changed = jobs.update().where(*mine(job_id, fence)).values(values).returning(jobs.c.last_event)
        last = tx.execute(changed).scalar_one()
        events.write(tx, [(job_id, last)], entries)
        usage.charge(tx, row.project_id, stored_bytes=more)
    return True


def _longer(before: Sequence[Any], after: Sequence[Any]) -> int:
    return row_sizes.of_documents([after]) - row_sizes.of_documents([before])
