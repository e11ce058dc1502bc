"""Looking at jobs: one, or a page of many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from store import ids, pages
from store.errors import NotFound
from store.jobs.labels import having_all, rarest_first
from store.jobs.row import Action, Job, Status, select_jobs, to_job
from store.pages import Page, Sort, to_page
from store.projects import here, only, own
from store.session import Connection
from store.tables import datasets, jobs, labels

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
class Filters:
    """What a list of jobs may be narrowed by; None and empty mean any."""

    status: Sequence[str] = ()
    stop_reason: Sequence[str] = ()
    dataset: str | None = None
    """A dataset's id or name."""
    study: str | None = None
    name: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_after: datetime | None = None
    created_before: datetime | None = None


def page(
    tx: Connection,
    filters: Filters | None = None,
    *,
    sort: Sort = "-created_at",
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Job]:
    """One page of a project's jobs; page 1,000 costs what page 1 does."""
    return to_page(list(walk(tx, filters, sort=sort, cursor=cursor, limit=limit)), limit, _place)


def walk(
    tx: Connection,
    filters: Filters | None = None,
    *,
    sort: Sort = "-created_at",
    cursor: str | None = None,
    limit: int = 50,
) -> Iterator[Job]:
    """The jobs of a page and one more if more follow, fetched a few at a time: a job may be large."""
    filters = filters or Filters()
    if (ordered := _ordered(tx, filters)) is None:
        return
    statement, created_at, id_ = ordered
    narrowed = statement.where(only(tx, jobs), *_conditions(tx, filters, created_at))
    yield from pages.walk(
        *(tx, narrowed, created_at, id_), sort=sort, cursor=cursor, limit=limit, read=to_job, place=_place
    )


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


def _conditions(
    tx: Connection, filters: Filters, created_at: sa.ColumnElement[datetime]
) -> list[sa.ColumnElement[bool]]:
    found = [
        _one_of(jobs.c.status, filters.status) if filters.status else None,
        _one_of(jobs.c.stop_reason, filters.stop_reason) if filters.stop_reason else None,
        _one_of(jobs.c.dataset_id, _datasets_called(tx, filters.dataset))
        if filters.dataset is not None
        else None,
        jobs.c.study_id == filters.study if filters.study is not None else None,
        jobs.c.name == filters.name if filters.name is not None else None,
        created_at > filters.created_after if filters.created_after else None,
        created_at < filters.created_before if filters.created_before else None,
    ]
    return [condition for condition in found if condition is not None]


def _one_of(column: sa.ColumnElement[str], values: Sequence[str]) -> sa.ColumnElement[bool]:
    """Equality where it can be: an index then gives the rows in the page's order."""
    return column == values[0] if len(values) == 1 else column.in_(values)


def _datasets_called(tx: Connection, word: str) -> list[str]:
    named = datasets.c.name == word
    if ids.possible(word):
        named = sa.or_(named, datasets.c.id == word)
    return list(tx.execute(sa.select(datasets.c.id).where(only(tx, datasets), named)).scalars())
