"""Who is still answering the first request under an idempotency key, and until when that is believed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from store.columns import Moment, Text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("idempotency", sa.Column("holder", Text(300)))
    op.add_column("idempotency", sa.Column("held_until", Moment))
