"""Long curves once more in packed columns, a row for some hundred epochs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from store.columns import Json, Text, Whole

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Curves from before have none, and are read as they were.
    op.create_table(
        "stretches",
        sa.Column("job_id", Text(40), nullable=False),
        sa.Column("last", Whole, nullable=False),
        sa.Column("series", Json, nullable=False),
        sa.Column("nonfinite", Json),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_stretches_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "last", name=op.f("pk_stretches")),
    )
