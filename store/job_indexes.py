"""Which index of jobs each question goes by.

Lists page by (created_at, id), so what a list offers as a filter has an index that ends in these two. What is
asked of the queue again and again has partial indexes, each of which knows only the jobs that it is about.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

_MARKS: Final = {"ix_jobs_turn": "fence", "ix_jobs_waiting": "lost", "ix_jobs_open": "lost_together"}


def mark(index: str, jobs: sa.FromClause) -> sa.ColumnElement[bool]:
    """What every job meets, and what a statement states that goes by this partial index: no other may.

    The planner believes of a queue that has just filled that it is empty. To him any of its indexes is as
    good as the right one, also for a job by its id, and he would go through all of it.
    """
    return jobs.c[_MARKS[index]] >= sa.literal_column("0")


def index(jobs: sa.Table) -> None:
    """Give the table its indexes."""
    of = jobs.c
    sa.Index("ix_jobs_created", of.project_id, of.created_at, of.id)
    for filtered in (of.status, of.stop_reason, of.name):
        sa.Index(f"ix_jobs_{filtered.name}", of.project_id, filtered, of.created_at, of.id)
    # Which jobs lack a number that others have is found by their shape.
    sa.Index("ix_jobs_shape", of.project_id, of.shape, of.created_at, of.id)
    sa.Index("ix_jobs_dataset", of.dataset_id, of.created_at, of.id)
    sa.Index("ix_jobs_study", of.study_id, of.created_at, of.id)
    queued, unfinished = of.status == "queued", of.finished_at.is_(None)
    # A queue's jobs project by project, each project's in its order: a claim steps from one to the next.
    in_turn = (of.queue, of.project_id, of.priority.desc(), of.created_at, of.id)
    turn = _both(queued, mark("ix_jobs_turn", jobs))
    sa.Index("ix_jobs_turn", *in_turn, **turn, postgresql_include=["due_at"])
    sa.Index("ix_jobs_waiting", of.queue, of.due_at, **_both(queued, mark("ix_jobs_waiting", jobs)))
    sa.Index("ix_jobs_open", of.status, of.created_at, **_both(unfinished, mark("ix_jobs_open", jobs)))
    alike = ("dataset_id", "stack_key", "queue", "priority", "attempt", "status", "created_at", "id")
    sa.Index("ix_jobs_stack", *(of[name] for name in alike), **_both(unfinished))
    how = (of.finished_at, of.status, of.stop_reason)
    sa.Index("ix_jobs_ended", *how, **_both(of.finished_at.is_not(None)))


def _both(*conditions: sa.ColumnElement[bool]) -> dict[str, Any]:
    """The condition of a partial index, as each dialect is told of it."""
    where = sa.and_(*conditions)
    return {"sqlite_where": where, "postgresql_where": where}
