"""The fence: what every write of a worker carries, so that one who lost its job can change nothing.

Each claim and each loss raises `jobs.fence`. A write is conditional on the fence its worker was given; where
it finds no row, the job has become somebody else's, or it is over.
"""

from __future__ import annotations

import sqlalchemy as sa

from store.tables import jobs


def mine(job_id: str, fence: int) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions under which a job is still its worker's."""
    return (jobs.c.id == job_id, jobs.c.fence == fence, jobs.c.status == "running")
