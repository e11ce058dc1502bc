"""Where a job's trained weights lie, and what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from store import ids, row_sizes, usage
from store.errors import NotFound
from store.fences import held
from store.files import Stored
from store.nonfinite import finite
from store.projects import here, only, own
from store.session import Connection
from store.tables import jobs, weights


@dataclass(frozen=True, slots=True)
class Weights:
    """A job's weights file and its summary."""

    job_id: str
    key: str
    sha256: str
    bytes: int
    summary: dict[str, Any]
    created_at: datetime


FOLDER = "weights"


def key(job_id: str, fence: int) -> str:
    """Where an attempt's weights go: with the fence in it, a stale worker overwrites nobody's."""
    return f"{FOLDER}/{job_id}.{fence}.safetensors"


def put(tx: Connection, job_id: str, fence: int, stored: Stored, summary: Mapping[str, Any]) -> bool:
    """Point to the weights of a running job; False where the job is no longer yours."""
    job = held(tx, {job_id: fence}, jobs.c.project_id).get(job_id)
    if job is None:
        return False
    drop(tx, job_id, job.project_id)
    values = {"key": stored.key, "sha256": stored.sha256, "bytes": stored.bytes, "summary": finite(summary)}
    row_bytes = row_sizes.WEIGHTS + row_sizes.of_documents([values["summary"]])
    tx.execute(weights.insert(), {"job_id": job_id, **values, "row_bytes": row_bytes})
    usage.charge(tx, job.project_id, stored_bytes=stored.bytes + row_bytes)
    return True


def drop(tx: Connection, job_id: str, project_id: str) -> None:
    """Point to a job's weights no longer; their file is left to be swept."""
    for bytes_, row_bytes in tx.execute(_DROP, {"dropped": job_id}):
        usage.charge(tx, project_id, stored_bytes=-bytes_ - row_bytes)


_DROP = (
    weights.delete()
    .where(weights.c.job_id == sa.bindparam("dropped"))
    .returning(weights.c.bytes, weights.c.row_bytes)
)
_WHOLE = [weights.c[field.name] for field in fields(Weights)]


def get(tx: Connection, job_id: str) -> Weights:
    """A job's weights; `NotFound` where there are none, or no such job."""
    its = jobs.c.id == weights.c.job_id
    chosen = sa.select(*_WHOLE).join(jobs, its).where(weights.c.job_id == job_id, only(tx, jobs))
    row = tx.execute(chosen).one_or_none() if ids.possible(job_id) else None
    if row is None:
        raise NotFound("weights of job", job_id)
    return Weights(**row._mapping)


_FILE = (
    sa.select(weights.c.key, weights.c.sha256, weights.c.bytes)
    .join(jobs, jobs.c.id == weights.c.job_id)
    .where(weights.c.job_id == sa.bindparam("job_id"), own(jobs))
)


def file(tx: Connection, job_id: str) -> Stored:
    """Where a job's weights lie, without what they say; `NotFound` where there are none, or no such job."""
    asked = {"job_id": job_id, **here(tx)}
    row = tx.execute(_FILE, asked).one_or_none() if ids.possible(job_id) else None
    if row is None:
        raise NotFound("weights of job", job_id)
    return Stored(*row)


def known(tx: Connection, keys: Iterable[str]) -> set[str]:
    """Those of the keys that a row points to; a file under any other is an orphan."""
    return set(tx.execute(sa.select(weights.c.key).where(weights.c.key.in_(list(keys)))).scalars())
