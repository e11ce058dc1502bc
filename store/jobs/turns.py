"""Whose turn it is: the next best job by priority, then each project its turn, then age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

import sqlalchemy as sa

from store.columns import now
from store.job_indexes import mark
from store.jobs.row import Action
from store.session import Connection
from store.tables import jobs, projects

FEW: Final = 16
"""Of the best at a time: where others are just taking the first, the next need not be looked for again."""


@dataclass(frozen=True, slots=True)
class Next:
    """A queued job that nobody else takes before this transaction ends."""

    job_id: str
    project_id: str
    epoch: int
    """The last one that its curve has."""
    attempt: int
    """How often it was claimed before."""
    requested_action: Action | None
    dataset_id: str
    queue: str
    priority: int
    stack_key: str | None
    stack_limit: int


def next_job(tx: Connection, queues: Sequence[str]) -> Next | None:
    """The next best job that is due, held for this transaction; None where nothing waits.

    On PostgreSQL another claim may be just taking it. Then that job is passed over, and its project counts as
    having had its turn, as it will once that claim has committed.
    """
    listened = list(dict.fromkeys(queues))
    if not listened:
        return None
    taken: list[str] = []
    served: list[str] = []
    named = {f"queue_{number}": queue for number, queue in enumerate(listened)}
    best_of = _best(tx.dialect.name, len(listened))
    while heads := tx.execute(best_of, {**named, "taken": taken, "served": served}).all():
        earlier = set(served)
        for place, head in enumerate(heads):
            if head.priority != heads[0].priority or (place and head.project_id in earlier):
                break  # What else the projects have that were just served may come before it.
            if place and head.project_id in served:
                continue  # In another queue; it comes after those of whom nothing was taken.
            if row := tx.execute(_HELD, {"best": head.id}).one_or_none():
                return Next(**row._mapping)
            taken.append(head.id)
            served.append(head.project_id)
    return None


def take(tx: Connection, project_id: str) -> None:
    """This project has had its turn; where another claim is just saying so, that will do."""
    tx.execute(_TAKE, {"served": project_id})


# Built once: to build these takes longer than to execute them, and every claim asks.


@cache
def _best(dialect: str, queues: int) -> sa.Select[str, str, int]:
    """The first job of each project that has one due, and of these the best few: id, project and priority.

    The first jobs are found by stepping through `ix_jobs_turn`: one probe leads from a project's first job to
    the next project's, for each queue. So a claim costs what the projects cost that have something queued,
    however many others there are and however much lies in other queues.
    """
    heads = _heads(dialect, queues)
    return (
        sa.select(heads.c.id, heads.c.project_id, heads.c.priority)
        .join(projects, projects.c.id == heads.c.project_id)
        .order_by(
            heads.c.priority.desc(),
            heads.c.project_id.in_(sa.bindparam("served", expanding=True)),
            projects.c.turn_at.asc().nulls_first(),
            heads.c.created_at,
            heads.c.id,
        )
        .limit(FEW)
    )


_HEAD = ("queue", "project_id", "id", "priority", "created_at")


def _heads(dialect: str, queues: int) -> sa.CTE:
    """The recursion: it begins before the first project of each queue, with an id that no project has."""
    first, *others = (_before(number) for number in range(queues))
    heads = first.cte("heads", recursive=True)
    step = jobs.alias("step")
    following = (
        # The status stands in the statement itself, so that the index of queued jobs is found to fit.
        sa.select(*(step.c[name] for name in _HEAD))
        .where(step.c.queue == heads.c.queue, step.c.status == sa.literal_column("'queued'"))
        .where(mark("ix_jobs_turn", step))
        .where(step.c.project_id > heads.c.project_id, step.c.due_at <= now())
        .where(step.c.id.not_in(sa.bindparam("taken", expanding=True)))
        .order_by(step.c.project_id, step.c.priority.desc(), step.c.created_at, step.c.id)
        .limit(1)
    )
    if dialect == "postgresql":
        # LATERAL leaves the planner nothing to join: asked for jobs by their ids, it hashed all of them.
        found = following.lateral("following")
        following_head = sa.select(*(found.c[name] for name in _HEAD)).select_from(
            heads.join(found, sa.true())
        )
    else:
        # SQLite knows no LATERAL, and plans a probe for the id that a subquery gives as what it is.
        chosen = following.with_only_columns(step.c.id).correlate(heads).scalar_subquery()
        found_job = heads.join(jobs, jobs.c.id == chosen)
        following_head = sa.select(*(jobs.c[name] for name in _HEAD)).select_from(found_job)
    return heads.union_all(*others, following_head)


def _before(number: int) -> sa.Select[Any]:
    """Where the steps through a queue begin: nothing, before its first project."""
    start: dict[str, sa.ColumnElement[Any]] = {
        "queue": sa.bindparam(f"queue_{number}"),
        "project_id": sa.literal_column("''"),
    }
    return sa.select(*(sa.cast(start.get(name, sa.null()), jobs.c[name].type).label(name) for name in _HEAD))


_HELD = (
    sa.select(jobs.c.id.label("job_id"), *(jobs.c[field.name] for field in fields(Next)[1:]))
    .where(jobs.c.id == sa.bindparam("best"), jobs.c.status == "queued")
    .with_for_update(skip_locked=True)
)
_FREE = sa.select(projects.c.id).where(projects.c.id == sa.bindparam("served"))
_TAKE = (
    projects.update()
    .where(projects.c.id == _FREE.with_for_update(skip_locked=True).scalar_subquery())
    .values(turn_at=now())
)
