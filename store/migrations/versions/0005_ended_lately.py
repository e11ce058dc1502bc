"""Jobs by the moment they ended, so that whoever watches can be told of the last few minutes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ended = sa.text("finished_at IS NOT NULL")
    op.create_index(
        "ix_jobs_ended",
        "jobs",
        ["finished_at", "status", "stop_reason"],
        sqlite_where=ended,
        postgresql_where=ended,
    )
