"""What a worker's GPU is called, and why a worker takes less than it was told to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from store.columns import Text

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns that may be empty; the table has a row for each worker process that was heard of lately."""
    op.add_column("workers", sa.Column("device_name", Text(100)))
    op.add_column("workers", sa.Column("problem", Text(500)))
