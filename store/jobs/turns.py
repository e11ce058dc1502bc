"""Whose turn it is: the next best job by priority, then each project its turn, then age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import sqlalchemy as sa

from store.columns import now
from store.jobs.row import Action
from store.session import Connection
from store.tables import jobs, projects


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


def any_waits(tx: Connection, queues: Sequence[str]) -> bool:
    """Whether something is due, by a look alone: whoever finds nothing keeps nobody from writing."""
    return bool(tx.execute(_ANY, {"queues": list(queues)}).scalar())


def next_job(tx: Connection, queues: Sequence[str]) -> Next | None:
    """The next best job that is due, held for this transaction; None where nothing waits.

    On PostgreSQL another claim may be just taking it. Then that job is passed over, and its project counts as
    having had its turn, as it will once that claim has committed.
    """
    taken: list[str] = []
    served: list[str] = []
    asked = {"queues": list(queues), "taken": taken, "served": served}
    while (best := tx.execute(_BEST, asked).one_or_none()) is not None:
        if row := tx.execute(_HELD, {"best": best.id}).one_or_none():
            return Next(**row._mapping)
        taken.append(best.id)
        served.append(best.project_id)
    return None


def take(tx: Connection, project_id: str) -> None:
    """This project has had its turn; where another claim is just saying so, that will do."""
    tx.execute(_TAKE, {"served": project_id})


# Built once: to build these takes longer than to execute them, and every claim asks.


def _in_queues(queue: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return queue.in_(sa.bindparam("queues", expanding=True))


_ANY = sa.select(
    sa.exists().where(
        # The status stands in the statement itself, so that the index of queued jobs is found to fit.
        jobs.c.status == sa.literal_column("'queued'"),
        jobs.c.due_at <= now(),
        _in_queues(jobs.c.queue),
    )
)


def _best() -> sa.Select[str, str]:
    """Each project's first job, one probe of `ix_jobs_turn` a project, and of these the best.

    The queue is wrapped, so that no other index can be used for it: SQLite knows nothing of how long queues
    are, and would gather and sort all that is due.
    """
    first = jobs.alias("first")
    waiting = (
        sa.select(first.c.id)
        .where(first.c.project_id == projects.c.id, first.c.status == "queued", first.c.due_at <= now())
        .where(_in_queues(sa.func.coalesce(first.c.queue, "")))
        .where(first.c.id.not_in(sa.bindparam("taken", expanding=True)))
        .order_by(first.c.priority.desc(), first.c.created_at, first.c.id)
        .limit(1)
        .scalar_subquery()
    )
    heads = sa.select(projects.c.id, projects.c.turn_at, waiting.label("job_id")).subquery("heads")
    return (
        sa.select(jobs.c.id, jobs.c.project_id)
        .join(heads, heads.c.job_id == jobs.c.id)
        .order_by(
            jobs.c.priority.desc(),
            heads.c.id.in_(sa.bindparam("served", expanding=True)),
            heads.c.turn_at.asc().nulls_first(),
            jobs.c.created_at,
            jobs.c.id,
        )
        .limit(1)
    )


_BEST = _best()
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
