"""Jobs that are claimed and trained together: with whom, how many, and who says so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from store.columns import Text, Whole

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Jobs from before have no key, and are trained alone.
    op.add_column("jobs", sa.Column("stack_key", Text(64)))
    op.add_column("jobs", sa.Column("stack_limit", Whole, nullable=False, server_default="1"))
    unfinished = sa.text("finished_at IS NULL")
    op.create_index(
        "ix_jobs_stack",
        "jobs",
        ["dataset_id", "stack_key", "priority", "attempt", "status", "created_at", "id"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
    op.add_column("attempts", sa.Column("together", Whole, nullable=False, server_default="1"))
    op.add_column("workers", sa.Column("jobs", Whole, nullable=False, server_default="0"))
