"""The first tables: datasets, jobs with their attempts, curves, logs and weights, idempotency, workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from store.columns import Json, Moment, Real, Text, Whole

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "datasets",
        sa.Column("id", Text(40), nullable=False),
        sa.Column("project_id", Text(40), nullable=False),
        sa.Column("name", Text(200), nullable=False),
        sa.Column("filename", Text(400)),
        sa.Column("bundled", sa.Boolean(), nullable=False),
        sa.Column("sha256", Text(64), nullable=False),
        sa.Column("bytes", Whole, nullable=False),
        sa.Column("target", Text(200), nullable=False),
        sa.Column("task", Text(20), nullable=False),
        sa.Column("rows", Whole, nullable=False),
        sa.Column("features", Whole, nullable=False),
        sa.Column("description", Json, nullable=False),
        sa.Column("table_key", Text(400), nullable=False),
        sa.Column("table_sha256", Text(64), nullable=False),
        sa.Column("table_bytes", Whole, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("project_id", "sha256", "target", "task", name="uq_datasets_identity"),
    )
    op.create_index("ix_datasets_created", "datasets", ["project_id", "created_at", "id"])
    op.create_index("ix_datasets_name", "datasets", ["project_id", "name", "created_at", "id"])
    op.create_index("ix_datasets_table_key", "datasets", ["table_key"])
    op.create_table(
        "idempotency",
        sa.Column("project_id", Text(40), nullable=False),
        sa.Column("key", Text(255), nullable=False),
        sa.Column("fingerprint", Text(64), nullable=False),
        sa.Column("token", Text(40), nullable=False),
        sa.Column("status", Whole),
        sa.Column("headers", Json),
        sa.Column("body", sa.LargeBinary()),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "key", name=op.f("pk_idempotency")),
    )
    op.create_index("ix_idempotency_created", "idempotency", ["created_at"])
    op.create_table(
        "workers",
        sa.Column("id", Text(100), nullable=False),
        sa.Column("host", Text(255), nullable=False),
        sa.Column("pid", Whole, nullable=False),
        sa.Column("queues", Json, nullable=False),
        sa.Column("job_id", Text(40)),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("seen_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_index("ix_workers_seen", "workers", ["seen_at"])
    op.create_table(
        "jobs",
        sa.Column("id", Text(40), nullable=False),
        sa.Column("project_id", Text(40), nullable=False),
        sa.Column("dataset_id", Text(40), nullable=False),
        sa.Column("study_id", Text(40)),
        sa.Column("name", Text(200)),
        sa.Column("status", Text(16), nullable=False),
        sa.Column("stop_reason", Text(32)),
        sa.Column("stop_detail", Text(2000)),
        sa.Column("requested_action", Text(16)),
        sa.Column("spec", Json, nullable=False),
        sa.Column("equivalents", Json),
        sa.Column("warnings", Json, nullable=False),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("result", Json),
        sa.Column("error", Json),
        sa.Column("environment", Json),
        sa.Column("request_id", Text(200)),
        sa.Column("queue", Text(16), nullable=False),
        sa.Column("priority", Whole, nullable=False),
        sa.Column("due_at", Moment, nullable=False),
        sa.Column("fence", Whole, nullable=False),
        sa.Column("attempt", Whole, nullable=False),
        sa.Column("lost", Whole, nullable=False),
        sa.Column("worker_id", Text(100)),
        sa.Column("lease_expires_at", Moment),
        sa.Column("last_event", Whole, nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.Column("max_epochs", Whole, nullable=False),
        sa.Column("epochs_per_second", Real),
        sa.Column("progress_at", Moment),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("started_at", Moment),
        sa.Column("finished_at", Moment),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_jobs_status"),
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_jobs_dataset_id_datasets"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index("ix_jobs_created", "jobs", ["project_id", "created_at", "id"])
    op.create_index("ix_jobs_dataset", "jobs", ["dataset_id", "created_at", "id"])
    op.create_index("ix_jobs_name", "jobs", ["project_id", "name", "created_at", "id"])
    op.create_index(
        "ix_jobs_next", "jobs", ["status", sa.literal_column("priority DESC"), "created_at", "id"]
    )
    op.create_index("ix_jobs_status", "jobs", ["project_id", "status", "created_at", "id"])
    op.create_index("ix_jobs_stop_reason", "jobs", ["project_id", "stop_reason", "created_at", "id"])
    op.create_index("ix_jobs_study", "jobs", ["study_id", "created_at", "id"])
    op.create_table(
        "attempts",
        sa.Column("job_id", Text(40), nullable=False),
        sa.Column("number", Whole, nullable=False),
        sa.Column("fence", Whole, nullable=False),
        sa.Column("worker_id", Text(100), nullable=False),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("ended_at", Moment),
        sa.Column("outcome", Text(16)),
        sa.Column("detail", Text(2000)),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_attempts_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "number", name=op.f("pk_attempts")),
    )
    op.create_table(
        "events",
        sa.Column("job_id", Text(40), nullable=False),
        sa.Column("number", Whole, nullable=False),
        sa.Column("kind", Text(32), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("data", Json, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_events_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "number", name=op.f("pk_events")),
    )
    op.create_table(
        "labels",
        sa.Column("project_id", Text(40), nullable=False),
        sa.Column("digest", Text(32), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("job_id", Text(40), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_labels_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "digest", "created_at", "job_id", name=op.f("pk_labels")),
    )
    op.create_index("ix_labels_job", "labels", ["job_id"])
    op.create_table(
        "points",
        sa.Column("job_id", Text(40), nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.Column("event", Whole, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("values", Json, nullable=False),
        sa.Column("nonfinite", Json),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_points_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "epoch", name=op.f("pk_points")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_points_event", "points", ["job_id", "event"], unique=True)
    op.create_table(
        "weights",
        sa.Column("job_id", Text(40), nullable=False),
        sa.Column("key", Text(400), nullable=False),
        sa.Column("sha256", Text(64), nullable=False),
        sa.Column("bytes", Whole, nullable=False),
        sa.Column("summary", Json, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_weights_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_weights")),
    )
    op.create_index("ix_weights_key", "weights", ["key"])
