"""The fence: what every write of a worker carries, so that one who lost its job can change nothing.

Each claim and each loss raises `jobs.fence`. A write is conditional on the fence its worker was given; where
it finds no row, the job has become somebody else's, or it is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from store.session import Connection
from store.tables import jobs


def mine(job_id: str, fence: int) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions under which a job is still its worker's."""
    return (jobs.c.id == job_id, jobs.c.fence == fence, jobs.c.status == "running")


def held(
    tx: Connection, fences: Mapping[str, int], *columns: sa.ColumnElement[Any]
) -> dict[str, sa.Row[*tuple[Any, ...]]]:
    """Those of several jobs that are still their worker's, with these columns; nobody else changes them now.

    They are taken in the order of their ids: two who want the same ones never wait for each other.
    """
    rows = tx.execute(_HOLD.add_columns(*columns), {"ids": list(fences)}).all()
    return {row.id: row for row in rows if row.status == "running" and row.fence == fences[row.id]}


_HOLD = (
    sa.select(jobs.c.id, jobs.c.fence, jobs.c.status)
    .where(jobs.c.id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(jobs.c.id)
    .with_for_update()
)
