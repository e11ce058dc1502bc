"""Where a queued job stands: how many others are claimed before it, counted in the order of the claim.

The order is that of `store.jobs.turns`: priority, then each project its turn, then age. Nothing is read
beyond what is counted, and no more than `MOST_AHEAD` of anything is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from store.columns import now
from store.job_indexes import mark
from store.jobs.row import Job
from store.session import Connection
from store.tables import jobs, projects

MOST_AHEAD: Final = 64
"""Whoever has more than these before him waits for long in any case; so many projects are looked at, too."""


@dataclass(frozen=True, slots=True)
class Place:
    """Jobs that are due and are claimed before this one, if no other is submitted."""

    ahead: int
    is_exact: bool
    """Else there are at least so many."""


@dataclass(frozen=True, slots=True)
class _Rival:
    """What another project has waiting in the same queue."""

    higher: int
    """Its jobs of a higher priority than this job's."""
    equal: int
    """Its jobs of the same priority, no more counted than can come first."""
    turn_at: datetime | None


def place(tx: Connection, job: Job) -> Place:
    """The place of a queued job, which need not be due itself."""
    mine = {"queue": job.queue, "project": job.project_id, "priority": job.priority}
    own = tx.execute(_OWN, {**mine, "created": job.created_at, "id": job.id}).one()
    found = tx.execute(_RIVALS, {**mine, "most_equal": own.equal + 1}).all()
    rivals = [_Rival(row.higher, row.equal, row.turn_at) for row in found]
    ahead = own.higher + own.equal + sum(rival.higher for rival in rivals)
    is_exact = len(rivals) < MOST_AHEAD
    for rival in rivals:
        first = min(rival.equal, own.equal)
        if rival.equal > own.equal:
            # Whose turn is earlier is known only while nothing of a higher priority changes it.
            known = not own.higher and not rival.higher and rival.turn_at != own.turn_at
            first += known and _is_earlier(rival.turn_at, own.turn_at)
            is_exact = is_exact and known
        ahead += first
    return Place(ahead, is_exact) if ahead < MOST_AHEAD else Place(MOST_AHEAD, is_exact=False)


def _is_earlier(one: datetime | None, other: datetime | None) -> bool:
    """Whoever never had a turn comes first."""
    return other is not None and (one is None or one < other)


# Built once: to build these takes longer than to execute them.


def _waiting(project: sa.ColumnElement[str], *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Due jobs of a project in the queue, by `ix_jobs_turn`."""
    queued = (jobs.c.status == sa.literal_column("'queued'"), mark("ix_jobs_turn", jobs))
    in_queue = (jobs.c.queue == sa.bindparam("queue"), jobs.c.project_id == project)
    return sa.select(sa.literal_column("1")).where(*queued, *in_queue, *conditions, jobs.c.due_at <= now())


def _number(some: sa.Select[Any], most: sa.ColumnElement[int] | int) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(some.limit(most).subquery()).scalar_subquery()


_PRIORITY = sa.bindparam("priority", type_=sa.Integer)
_MINE = sa.bindparam("project", type_=sa.String)


def _own() -> sa.Select[Any]:
    created, id_ = sa.bindparam("created", type_=jobs.c.created_at.type), sa.bindparam("id", type_=sa.String)
    older = sa.tuple_(jobs.c.created_at, jobs.c.id) < sa.tuple_(created, id_)
    higher = _waiting(_MINE, jobs.c.priority > _PRIORITY)
    equal = _waiting(_MINE, jobs.c.priority == _PRIORITY, older)
    turn = sa.select(projects.c.turn_at).where(projects.c.id == _MINE).scalar_subquery()
    return sa.select(
        _number(higher, MOST_AHEAD).label("higher"),
        _number(equal, MOST_AHEAD).label("equal"),
        turn.label("turn_at"),
    )


def _rivals() -> sa.Select[Any]:
    """The other projects that have something in the queue, found by steps from one to the next."""
    queued = (jobs.c.status == sa.literal_column("'queued'"), mark("ix_jobs_turn", jobs))
    following = (
        sa.select(jobs.c.project_id)
        .where(*queued, jobs.c.queue == sa.bindparam("queue"))
        .order_by(jobs.c.project_id)
        .limit(1)
    )
    first = following.where(jobs.c.project_id > sa.literal_column("''")).scalar_subquery()
    start = sa.select(first.label("project_id"), sa.literal_column("1").label("step"))
    walked = start.cte("names", recursive=True)
    behind = following.where(jobs.c.project_id > walked.c.project_id).correlate(walked).scalar_subquery()
    # One step more than rivals are told: this job's own project may be among them.
    on = (walked.c.project_id.is_not(None), walked.c.step <= MOST_AHEAD)
    names = walked.union_all(sa.select(behind, walked.c.step + 1).where(*on))

    def number(condition: sa.ColumnElement[bool], most: Any) -> sa.ScalarSelect[int]:
        some = _waiting(names.c.project_id, condition).limit(most).correlate(names).subquery()
        return sa.select(sa.func.count()).select_from(some).scalar_subquery()

    turn = sa.select(projects.c.turn_at).where(projects.c.id == names.c.project_id).scalar_subquery()
    return sa.select(
        number(jobs.c.priority > _PRIORITY, MOST_AHEAD).label("higher"),
        number(jobs.c.priority == _PRIORITY, sa.bindparam("most_equal", type_=sa.Integer)).label("equal"),
        turn.label("turn_at"),
    ).where(names.c.project_id != _MINE)


_OWN = _own()
_RIVALS = _rivals()
