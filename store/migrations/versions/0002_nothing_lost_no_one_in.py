"""Projects and keys, checkpoints, webhooks with their outbox, counters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from store.columns import Json, Moment, Real, Text, Whole, now
from store.tables import DEFAULT_PROJECT

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _who_may_do_what()
    _what_goes_on()
    _who_is_told()


def _who_may_do_what() -> None:
    projects = op.create_table(
        "projects",
        sa.Column("id", Text(40), nullable=False),
        sa.Column("name", Text(200), nullable=False),
        sa.Column("max_open_jobs", Whole),
        sa.Column("max_stored_bytes", Whole),
        sa.Column("max_requests_per_minute", Whole),
        sa.Column("turn_at", Moment),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name="uq_projects_name"),
    )
    default = {"id": DEFAULT_PROJECT, "name": DEFAULT_PROJECT, "created_at": now()}
    op.execute(projects.insert().values(default))
    op.create_table(
        "keys",
        sa.Column("id", Text(40), nullable=False),
        sa.Column("project_id", Text(40), nullable=False),
        sa.Column("name", Text(200), nullable=False),
        sa.Column("scopes", Json, nullable=False),
        sa.Column("sha256", Text(64), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("expires_at", Moment),
        sa.Column("revoked_at", Moment),
        sa.Column("last_used_at", Moment),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_keys_project_id_projects"), ondelete="CASCADE"
        ),
    )
    op.create_index("ix_keys_created", "keys", ["project_id", "created_at", "id"])


def _what_goes_on() -> None:
    for column in (
        sa.Column("lost_together", Whole, nullable=False, server_default="0"),
        sa.Column("runtime_seconds", Real, nullable=False, server_default="0"),
        sa.Column("traceparent", Text(100)),
    ):
        op.add_column("jobs", column)
    op.create_index(
        "ix_jobs_turn", "jobs", ["project_id", "status", sa.text("priority DESC"), "created_at", "id"]
    )
    queued = sa.text("status = 'queued'")
    op.create_index(
        "ix_jobs_waiting", "jobs", ["queue", "due_at"], sqlite_where=queued, postgresql_where=queued
    )
    for column in (
        sa.Column("node", Text(300)),
        sa.Column("version", Text(40)),
        sa.Column("device", Text(16)),
    ):
        op.add_column("workers", column)
    op.create_table(
        "checkpoints",
        sa.Column("job_id", Text(40), nullable=False),
        sa.Column("number", Whole, nullable=False),
        sa.Column("fence", Whole, nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.Column("batch", Whole, nullable=False),
        sa.Column("key", Text(400), nullable=False),
        sa.Column("sha256", Text(64), nullable=False),
        sa.Column("bytes", Whole, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "number", name=op.f("pk_checkpoints")),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_checkpoints_job_id_jobs"), ondelete="CASCADE"
        ),
    )
    op.create_index("ix_checkpoints_key", "checkpoints", ["key"])
    op.create_table(
        "counters",
        sa.Column("name", Text(100), nullable=False),
        sa.Column("value", Whole, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )


def _who_is_told() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", Text(40), nullable=False),
        sa.Column("project_id", Text(40), nullable=False),
        sa.Column("url", Text(2000), nullable=False),
        sa.Column("secret", Text(100), nullable=False),
        sa.Column("old_secret", Text(100)),
        sa.Column("old_secret_until", Moment),
        sa.Column("events", Json, nullable=False),
        sa.Column("description", Text(500)),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_detail", Text(500)),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index("ix_webhooks_created", "webhooks", ["project_id", "created_at", "id"])
    op.create_table(
        "deliveries",
        sa.Column("id", Text(40), nullable=False),
        sa.Column("project_id", Text(40), nullable=False),
        sa.Column("webhook_id", Text(40), nullable=False),
        sa.Column("job_id", Text(40)),
        sa.Column("event", Text(40), nullable=False),
        sa.Column("payload", Text(100_000), nullable=False),
        sa.Column("status", Text(16), nullable=False),
        sa.Column("attempts", Whole, nullable=False),
        sa.Column("due_at", Moment, nullable=False),
        sa.Column("fence", Whole, nullable=False),
        sa.Column("response_status", Whole),
        sa.Column("detail", Text(2000)),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("ended_at", Moment),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.id"],
            name=op.f("fk_deliveries_webhook_id_webhooks"),
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("status IN ('pending', 'delivered', 'dead')", name=op.f("ck_deliveries_status")),
    )
    op.create_index("ix_deliveries_due", "deliveries", ["status", "due_at"])
    op.create_index("ix_deliveries_webhook_due", "deliveries", ["webhook_id", "status", "due_at"])
    op.create_index("ix_deliveries_webhook", "deliveries", ["webhook_id", "created_at", "id"])
    op.create_index(
        "ix_deliveries_webhook_status", "deliveries", ["webhook_id", "status", "created_at", "id"]
    )
    op.create_index("ix_deliveries_job", "deliveries", ["job_id", "created_at", "id"])
