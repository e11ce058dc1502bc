"""What a claim probes, and what each project stores, kept as a sum."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from store.columns import Text, Whole

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("turn", "next", "waiting", "stack"):
        op.drop_index(f"ix_jobs_{name}", "jobs")
    _how_large_rows_are()
    _what_waits()
    _what_is_used()


def _what_waits() -> None:
    queued, unfinished = "status = 'queued'", "finished_at IS NULL"
    in_turn: list[str | sa.TextClause] = ["queue", "project_id", sa.text("priority DESC"), "created_at", "id"]
    op.create_index(
        "ix_jobs_turn", "jobs", in_turn, postgresql_include=["due_at"], **_where(f"{queued} AND fence >= 0")
    )
    op.create_index("ix_jobs_waiting", "jobs", ["queue", "due_at"], **_where(f"{queued} AND lost >= 0"))
    op.create_index(
        "ix_jobs_open", "jobs", ["status", "created_at"], **_where(f"{unfinished} AND lost_together >= 0")
    )
    alike = ["dataset_id", "stack_key", "queue", "priority", "attempt", "status", "created_at", "id"]
    op.create_index("ix_jobs_stack", "jobs", alike, **_where(unfinished))


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _how_large_rows_are() -> None:
    for table in ("datasets", "jobs", "weights"):
        op.add_column(table, sa.Column("row_bytes", Whole, nullable=False, server_default="0"))
    op.execute(f"UPDATE datasets SET row_bytes = 800 + {_octets('description')}")  # noqa: S608 - our own names
    op.execute(f"UPDATE weights SET row_bytes = 350 + {_octets('summary')}")  # noqa: S608
    documents = ("spec", "equivalents", "warnings", "metadata", "result", "error", "environment")
    # A curve is reckoned from its last epoch: to read them all would take hours where there are many.
    last = "points.job_id = jobs.id AND points.epoch = jobs.epoch"
    epoch = f"SELECT {_octets('values')} FROM points WHERE {last}"  # noqa: S608
    op.execute(
        f"UPDATE jobs SET row_bytes = 1000 + {' + '.join(_octets(each) for each in documents)}"  # noqa: S608
        " + 250 * attempt + 260 * (CASE WHEN last_event > epoch THEN last_event - epoch ELSE 0 END)"
        f" + epoch * (250 + coalesce(({epoch}), 0))"
    )


def _octets(column: str) -> str:
    """The bytes of a document's text; 0 of none."""
    if op.get_bind().dialect.name == "sqlite":
        return f'coalesce(length(CAST("{column}" AS BLOB)), 0)'
    return f'coalesce(octet_length(CAST("{column}" AS TEXT)), 0)'


def _what_is_used() -> None:
    op.create_table(
        "usage",
        sa.Column("project_id", Text(40), nullable=False),
        sa.Column("part", Whole, nullable=False),
        sa.Column("stored_bytes", Whole, nullable=False),
        sa.Column("open_jobs", Whole, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "part", name=op.f("pk_usage")),
    )
    op.execute("""
        INSERT INTO usage (project_id, part, stored_bytes, open_jobs)
        SELECT project_id, 0, sum(stored_bytes), sum(open_jobs) FROM (
            SELECT project_id, table_bytes + row_bytes AS stored_bytes, 0 AS open_jobs
            FROM datasets WHERE NOT bundled
            UNION ALL
            SELECT project_id, row_bytes, CASE WHEN finished_at IS NULL THEN 1 ELSE 0 END FROM jobs
            UNION ALL
            SELECT project_id, bytes + weights.row_bytes, 0
            FROM weights JOIN jobs ON jobs.id = weights.job_id
            UNION ALL
            SELECT project_id, bytes, 0 FROM checkpoints JOIN jobs ON jobs.id = checkpoints.job_id
        ) AS every
        GROUP BY project_id
    """)
