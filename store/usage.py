"""What each project stores and has open, kept as sums: to read one is a probe, however many jobs there are.

    usage.charge(tx, project_id, stored_bytes=900)      # in the transaction that adds or deletes the rows

Charges gather in their transaction and are written as the last thing before it commits, so that rows and
sums are committed together and whoever holds a sum waits for nobody. A project's sum lies in parts, and on
PostgreSQL each connection always writes the same one: workers that tell of one project's jobs seldom meet.
What has drifted all the same (rows that were written past this code) is found and added by `correct`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from store.session import BEFORE_COMMIT, Connection
from store.tables import checkpoints, datasets, jobs, usage, weights

PARTS: Final = 16
"""Of each project's sum."""
_LOCK: Final = 7_249_318_846
"""Asked for by whoever corrects; another than an upgrade's (`store.migrate`)."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a project uses of its quotas."""

    stored_bytes: int = 0
    """Tables, weights and checkpoints, and the rows of datasets and jobs; bundled datasets are nobody's."""
    open_jobs: int = 0
    """Jobs that have not ended."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.stored_bytes + other.stored_bytes, self.open_jobs + other.open_jobs)


NOTHING: Final = Usage()


class _Charges(dict[str, Usage]):
    """What a transaction adds, by project."""

    def __call__(self, tx: Connection) -> None:
        """Write it: in one order, so that two who charge the same projects never wait for each other."""
        changed = {project_id: added for project_id, added in sorted(self.items()) if added != NOTHING}
        self.clear()
        if changed:
            rows = [
                {"project_id": project_id, "stored_bytes": added.stored_bytes, "open_jobs": added.open_jobs}
                for project_id, added in changed.items()
            ]
            tx.execute(_added(tx.dialect.name), rows)


def _charges(tx: Connection) -> _Charges:
    """Those of this transaction, which must be one that writes."""
    charges: _Charges = tx.get_execution_options()[BEFORE_COMMIT].setdefault("usage", _Charges())
    return charges


def charge(tx: Connection, project_id: str, *, stored_bytes: int = 0, open_jobs: int = 0) -> None:
    """Add to what a project uses, or take away, when this transaction commits."""
    charges = _charges(tx)
    charges[project_id] = charges.get(project_id, NOTHING) + Usage(stored_bytes, open_jobs)


def grow(tx: Connection, job_id: str, more: int) -> None:
    """Count so many bytes more, or fewer, as taken by a job's rows."""
    grown = jobs.update().where(jobs.c.id == job_id).values(row_bytes=jobs.c.row_bytes + more)
    for project_id in tx.execute(grown.returning(jobs.c.project_id)).scalars():
        charge(tx, project_id, stored_bytes=more)


def forget_jobs(tx: Connection, job_ids: Sequence[str]) -> None:
    """Take away what jobs that have ended took, before they are deleted with all that is theirs."""
    its = jobs.c.id.in_(job_ids)
    for taken in (
        sa.select(jobs.c.project_id, jobs.c.row_bytes).where(its),
        sa.select(jobs.c.project_id, weights.c.bytes + weights.c.row_bytes).join(weights).where(its),
        sa.select(jobs.c.project_id, checkpoints.c.bytes).join(checkpoints).where(its),
    ):
        for project_id, stored_bytes in tx.execute(taken):
            charge(tx, project_id, stored_bytes=-stored_bytes)


def forget_datasets(tx: Connection, dataset_ids: Sequence[str]) -> None:
    """Take away what datasets took, before they are deleted; bundled ones took nothing."""
    stored_bytes = datasets.c.table_bytes + datasets.c.row_bytes
    theirs = sa.select(datasets.c.project_id, stored_bytes.label("stored_bytes"))
    for row in tx.execute(theirs.where(datasets.c.id.in_(dataset_ids), ~datasets.c.bundled)):
        charge(tx, row.project_id, stored_bytes=-row.stored_bytes)


def charged(tx: Connection, project_id: str) -> Usage:
    """What this transaction has added so far and not written yet."""
    charges = tx.get_execution_options().get(BEFORE_COMMIT, {}).get("usage", {})
    added: Usage = charges.get(project_id, NOTHING)
    return added


def of(tx: Connection, project_id: str) -> Usage:
    """What a project uses, as this transaction sees it."""
    kept = tx.execute(_OF, {"project_id": project_id}).one()
    # PostgreSQL adds whole numbers up to a decimal.
    return Usage(int(kept.stored_bytes), int(kept.open_jobs)) + charged(tx, project_id)


def all_open_jobs(tx: Connection) -> int:
    """Jobs that have not ended, of all projects together."""
    return int(tx.execute(_ALL_OPEN_JOBS).scalar() or 0)


def has_drifted(tx: Connection) -> bool:
    """Whether some project's sums are not those of its rows. It goes over all jobs: seconds at a million."""
    return tx.execute(_DRIFTED.limit(1)).first() is not None


def correct(tx: Connection) -> int:
    """Add to each project's sums what its rows say beyond them; how many projects had drifted.

    One statement, hence one snapshot: rows and sums are committed together, so what it finds between them is
    drift and nothing that is on its way. Another who is at it meanwhile would add the same again, and leaves.
    """
    _charges(tx)(tx)
    if tx.dialect.name == "postgresql":
        mine = sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))
        if not tx.execute(mine).scalar():
            return 0
    return len(tx.execute(_corrected(tx.dialect.name)).all())


_SUMS = (usage.c.stored_bytes, usage.c.open_jobs)
_OF = sa.select(*(sa.func.coalesce(sa.func.sum(each), 0).label(each.name) for each in _SUMS)).where(
    usage.c.project_id == sa.bindparam("project_id")
)
_ALL_OPEN_JOBS = sa.select(sa.func.sum(usage.c.open_jobs))


def _part(dialect: str) -> sa.ColumnElement[int]:
    """Each connection's own; on SQLite all who write take turns anyway."""
    return sa.literal_column(f"pg_backend_pid() % {PARTS}" if dialect == "postgresql" else "0", sa.BigInteger)


def _adding(dialect: str) -> sqlite.Insert | postgresql.Insert:
    insert: sqlite.Insert | postgresql.Insert = (sqlite if dialect == "sqlite" else postgresql).insert(usage)
    return insert


def _upserted(insert: sqlite.Insert | postgresql.Insert) -> sa.Insert:
    """An INSERT that adds to the part where there is one."""
    more = {each.name: each + insert.excluded[each.name] for each in _SUMS}
    return insert.on_conflict_do_update(index_elements=[usage.c.project_id, usage.c.part], set_=more)


@cache
def _added(dialect: str) -> sa.Insert:
    values: dict[str, Any] = {
        name: sa.bindparam(name) for name in ("project_id", "stored_bytes", "open_jobs")
    }
    return _upserted(_adding(dialect).values({**values, "part": _part(dialect)}))


@cache
def _corrected(dialect: str) -> sa.Insert:
    drift = _DRIFTED.subquery()
    columns = ["project_id", "part", "stored_bytes", "open_jobs"]
    rows = sa.select(drift.c.project_id, _part(dialect), drift.c.stored_bytes, drift.c.open_jobs)
    # In the order in which charges are written. SQLite wants a WHERE between a SELECT and what follows it.
    corrected = _adding(dialect).from_select(columns, rows.where(sa.true()).order_by(drift.c.project_id))
    return _upserted(corrected).returning(usage.c.project_id)


def _drifted() -> sa.Select[Any]:
    """What each project's rows say less what is kept, where that is not nothing."""
    nothing = sa.literal_column("0", sa.BigInteger)
    bundled_is_nobodys = sa.case((datasets.c.bundled, 0), else_=datasets.c.table_bytes + datasets.c.row_bytes)
    unfinished = sa.case((jobs.c.finished_at.is_(None), 1), else_=0)
    every = sa.union_all(
        sa.select(
            datasets.c.project_id, bundled_is_nobodys.label("stored_bytes"), nothing.label("open_jobs")
        ),
        sa.select(jobs.c.project_id, jobs.c.row_bytes, unfinished),
        sa.select(jobs.c.project_id, weights.c.bytes + weights.c.row_bytes, nothing).join(weights),
        sa.select(jobs.c.project_id, checkpoints.c.bytes, nothing).join(checkpoints),
        sa.select(usage.c.project_id, -usage.c.stored_bytes, -usage.c.open_jobs),
    ).subquery()
    sums = (sa.cast(sa.func.sum(every.c[each.name]), sa.BigInteger).label(each.name) for each in _SUMS)
    drift = sa.select(every.c.project_id, *sums).group_by(every.c.project_id).subquery()
    return sa.select(drift).where(sa.or_(*(drift.c[each.name] != 0 for each in _SUMS)))


_DRIFTED = _drifted()
