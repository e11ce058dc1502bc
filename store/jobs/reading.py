"""Looking at jobs: one, or a page of many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import sqlalchemy as sa

from store import ids, pages
from store.errors import NotFound
from store.jobs import ranking
from store.jobs.filters import Filters, conditions_of, within_times
from store.jobs.labels import having_all, rarest_first
from store.jobs.row import Action, Job, Status, select_jobs, to_job
from store.pages import Page, Sort, cursor_of
from store.projects import here, only, own
from store.session import Connection
from store.tables import jobs, labels

_THIS_ONE = (jobs.c.id == sa.bindparam("job_id"), own(jobs))
# Built once: to build a statement, and to find out that it was built before, takes longer than to execute it.
_JOB = select_jobs().where(*_THIS_ONE)
_GLANCE = sa.select(jobs.c.status, jobs.c.requested_action, jobs.c.last_event).where(*_THIS_ONE)


def get(tx: Connection, job_id: str) -> Job:
    """A job by its id, in one query; `NotFound` where there is none in this project."""
    return to_job(_found(tx, _JOB, job_id))


def _found(tx: Connection, chosen: sa.Select[Any], job_id: str) -> sa.Row[Any]:
    row = tx.execute(chosen, {"job_id": job_id, **here(tx)}).one_or_none() if ids.possible(job_id) else None
    if row is None:
        raise NotFound("job", job_id)
    return row


@dataclass(frozen=True, slots=True)
class Glance:
    """The little that changes while somebody waits for a job."""

    status: Status
    requested_action: Action | None
    last_event: int


def glance(tx: Connection, job_id: str) -> Glance:
    """What a waiting request or an event stream asks again and again; cheaper than the whole job."""
    return Glance(**_found(tx, _GLANCE, job_id)._mapping)


@dataclass(frozen=True, slots=True)
class Found:
    """A job of a list, and the cursor of what comes behind it."""

    job: Job
    cursor: str


def page(
    tx: Connection,
    filters: Filters | None = None,
    *,
    sort: str = "-created_at",
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Job]:
    """One page of a project's jobs; page 1,000 costs what page 1 does."""
    found = list(walk(tx, filters, sort=sort, cursor=cursor, limit=limit))
    return Page([each.job for each in found[:limit]], found[limit - 1].cursor if len(found) > limit else None)


def walk(
    tx: Connection,
    filters: Filters | None = None,
    *,
    sort: str = "-created_at",
    cursor: str | None = None,
    limit: int = 50,
) -> Iterator[Found]:
    """The jobs of a page and one more if more follow, fetched a few at a time: a job may be large.

    `sort` is `created_at`, `name` or a number's name (see `store.scores`), with a `-` in front descending.
    """
    filters = filters or Filters()
    if sort not in get_args(Sort) or filters.has_prefix:
        for job, behind in ranking.walk(tx, filters, sort=sort, cursor=cursor, limit=limit):
            yield Found(job, behind)
    elif (ordered := _ordered(tx, filters)) is not None:
        statement, created_at, id_ = ordered
        its = [*conditions_of(tx, filters).values(), *within_times(filters, created_at)]
        narrowed = statement.where(only(tx, jobs), *its)
        order: dict[str, Any] = {"sort": sort, "cursor": cursor, "limit": limit}
        for job in pages.walk(tx, narrowed, created_at, id_, **order, read=to_job, place=_place):
            yield Found(job, cursor_of(*_place(job)))


def _place(job: Job) -> tuple[datetime, str]:
    return job.created_at, job.id


def _ordered(
    tx: Connection, filters: Filters
) -> tuple[sa.Select[Any], sa.ColumnElement[datetime], sa.ColumnElement[str]] | None:
    """The statement, and whose order its pages follow: the jobs' own, or that of the rarest label asked for.

    A rare label is then found by its index, and the jobs of a common one need not be sorted. None where there
    can be no such job.
    """
    if not filters.metadata:
        return select_jobs(), jobs.c.created_at, jobs.c.id
    if not (digests := rarest_first(tx, filters.metadata)):
        return None
    statement = select_jobs().join(labels, labels.c.job_id == jobs.c.id)
    return statement.where(*having_all(tx, digests)), labels.c.created_at, labels.c.job_id
