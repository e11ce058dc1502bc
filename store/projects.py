"""Projects: what belongs to whom, and the one place where that narrows a query.

A transaction of `database.of(project_id)` carries its project. Every function that people's requests reach
narrows what it reads and writes by `only`, and refuses to work on a transaction that carries none: a query
without its project cannot be written by forgetting it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from store import ids, usage
from store.errors import NoProject, NotFound, ProjectExists
from store.pages import Page, Sort, paged, to_page
from store.session import PROJECT, Connection
from store.tables import jobs, projects
from store.usage import Usage


def current(tx: Connection) -> str:
    """The project of this transaction; `NoProject` where it carries none."""
    project_id: str | None = tx.get_execution_options().get(PROJECT)
    if project_id is None:
        raise NoProject
    return project_id


def only(tx: Connection, table: sa.FromClause) -> sa.ColumnElement[bool]:
    """The rows of a table that belong to this transaction's project."""
    return table.c.project_id == current(tx)


def own(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """The same in a statement that is built once and kept: it is executed with `here`, and fails without."""
    return table.c.project_id == sa.bindparam("own_project_id")


def here(tx: Connection) -> dict[str, str]:
    """What a kept statement must be told of this transaction."""
    return {"own_project_id": current(tx)}


def owned(tx: Connection, job_id: str) -> sa.ScalarSelect[str]:
    """The job's id if the job is this project's, else nothing: for tables that know only their job."""
    return sa.select(jobs.c.id).where(jobs.c.id == job_id, only(tx, jobs)).scalar_subquery()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project, with the quotas that are its own; None takes what the settings say, 0 means no limit."""

    id: str
    name: str
    max_open_jobs: int | None
    max_stored_bytes: int | None
    max_requests_per_minute: int | None
    created_at: datetime


_SHOWN = [projects.c[name] for name in Project.__dataclass_fields__]
# Built once: to build a statement, and to find out that it was built before, takes longer than to execute it.
_ONE = sa.select(*_SHOWN).where(projects.c.id == sa.bindparam("project_id"))
_ONE_LOCKED = _ONE.with_for_update(key_share=True)


def add(tx: Connection, *, name: str, quotas: Mapping[str, int | None]) -> Project:
    """A new project; `ProjectExists` where another has this name."""
    insert = (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(projects)
    project_id = ids.new("project")
    fresh = insert.values({"id": project_id, "name": name, **quotas})
    tx.execute(fresh.on_conflict_do_nothing())
    try:
        return get(tx, project_id)
    except NotFound:
        raise ProjectExists(name) from None


def get(tx: Connection, project_id: str, *, locked: bool = False) -> Project:
    """A project by its id. Locked, whoever else would count what it has waits until this transaction ends."""
    chosen = _ONE_LOCKED if locked else _ONE
    known = ids.possible(project_id)
    row = tx.execute(chosen, {"project_id": project_id}).one_or_none() if known else None
    if row is None:
        raise NotFound("project", project_id)
    return Project(**row._mapping)


def page(
    tx: Connection,
    *,
    among: str | None = None,
    sort: Sort = "-created_at",
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Project]:
    """One page of all projects, or of the one that somebody may know of."""
    chosen = sa.select(*_SHOWN)
    if among is not None:
        chosen = chosen.where(projects.c.id == among)
    created_at, id_ = projects.c.created_at, projects.c.id
    rows = tx.execute(paged(chosen, created_at, id_, sort=sort, cursor=cursor, limit=limit))
    return to_page([Project(**row._mapping) for row in rows], limit, lambda row: (row.created_at, row.id))


def change(
    tx: Connection, project_id: str, *, name: str | None = None, quotas: Mapping[str, int | None]
) -> Project:
    """Rename a project, or give it other quotas; what is not named stays."""
    found = get(tx, project_id)
    changed = projects.update().where(projects.c.id == found.id)
    try:
        tx.execute(changed.values({"name": name or found.name, **quotas}))
    except IntegrityError:
        raise ProjectExists(name or found.name) from None
    return get(tx, project_id)


def usage_of(tx: Connection) -> Usage:
    """What this transaction's project stores and has open: a probe, whatever it has."""
    return usage.of(tx, current(tx))
