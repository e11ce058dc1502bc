"""Finding jobs by their metadata: one row for each entry, in the order in which lists are paged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import sqlalchemy as sa

from store.jobs.row import Job
from store.projects import only
from store.session import Connection
from store.tables import labels

_COUNTED: Final = 2_000
"""A label that more jobs have than this is common; which of two common ones is the rarer is not looked at."""
_SAMPLED: Final = 100
"""Jobs by which it is judged which labels seldom occur together."""


def digest(key: str, value: Any) -> str:
    """What stands for one entry in the index: keys and values may be longer than an index takes."""
    written = f"{len(key)} {key} {_as_text(value)}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(written, digest_size=16).hexdigest()


def _as_text(value: Any) -> str:
    """As one writes it in a query: text as it is, `true`, `null`, `5`, `0.1`."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def write(tx: Connection, job: Job) -> None:
    """Index a new job's metadata."""
    if not job.metadata:
        return
    shared = {"project_id": job.project_id, "created_at": job.created_at, "job_id": job.id}
    rows = [{**shared, "digest": digest(key, value)} for key, value in job.metadata.items()]
    tx.execute(labels.insert(), rows)


def rewrite(tx: Connection, job: Job) -> None:
    """Index a job's metadata anew, once they have become others."""
    tx.execute(labels.delete().where(labels.c.job_id == job.id))
    write(tx, job)


def rarest_first(tx: Connection, metadata: Mapping[str, str]) -> list[str]:
    """The digests of some labels in the order to ask for them; none where there is one that no job has.

    A page is read along the first of them, and each of its jobs is looked up under the others until one is
    not there: led by a common label, that would look at every job to find the few that have a rare one.
    """
    digests = [digest(key, value) for key, value in metadata.items()]
    if len(digests) < 2:
        return digests
    counts = _numbers(tx, [_first_rows(tx, one, _COUNTED) for one in digests])
    if not all(counts):
        return []
    first, *others = (digests[place] for place in sorted(range(len(digests)), key=counts.__getitem__))
    return [first, *(_seldom_first(tx, first, others) if len(others) > 1 else others)]


def _seldom_first(tx: Connection, first: str, others: Sequence[str]) -> list[str]:
    """Labels by how many of some jobs that have the first have them: one look then passes over most."""
    some = _first_rows(tx, first, _SAMPLED)
    shared = _numbers(tx, [_together(tx, some, other) for other in others])
    return [others[place] for place in sorted(range(len(others)), key=shared.__getitem__)]


def _first_rows(tx: Connection, one: str, most: int) -> sa.Subquery:
    """Some of the jobs that have a label, in the index's order, without which PostgreSQL reads the table."""
    place = (labels.c.created_at, labels.c.job_id)
    having = sa.select(*place).where(only(tx, labels), labels.c.digest == one)
    return having.order_by(*(column.desc() for column in place)).limit(most).subquery()


def _together(tx: Connection, some: sa.Subquery, other: str) -> sa.Subquery:
    also = (labels.c.created_at == some.c.created_at, labels.c.job_id == some.c.job_id)
    joined = some.join(labels, sa.and_(only(tx, labels), labels.c.digest == other, *also))
    return sa.select(some.c.job_id).select_from(joined).subquery()


def _numbers(tx: Connection, rows: Sequence[sa.Subquery]) -> list[int]:
    """How many rows each subquery has, in one statement."""
    counts = (sa.select(sa.func.count()).select_from(each).scalar_subquery() for each in rows)
    return list(tx.execute(sa.select(*counts)).one())


def having_all(tx: Connection, digests: Sequence[str]) -> list[sa.ColumnElement[bool]]:
    """Conditions on a row of `labels`: it is the first of these labels, and its job has the others too.

    Each of the others is a subquery that answers a value, and so is asked of one row after the other, until a
    page is full. An `EXISTS` PostgreSQL turns into a join, and sorts every job of each label for it.
    """
    first, *others = digests
    return [only(tx, labels), labels.c.digest == first, *(_has(tx, other) for other in others)]


def _has(tx: Connection, other: str) -> sa.ColumnElement[bool]:
    also = labels.alias()
    found = sa.select(also.c.job_id).where(
        only(tx, also),
        also.c.digest == other,
        also.c.created_at == labels.c.created_at,
        also.c.job_id == labels.c.job_id,
    )
    return found.correlate(labels).scalar_subquery().is_not(None)
