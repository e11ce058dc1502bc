"""Every table, as SQLAlchemy Core sees it. `migrations/` builds the same ones, and a test holds them equal.

All lists are paged by (created_at, id), so every filter that a list offers has an index that ends in these
two: a page then costs the same at any depth.
"""

from __future__ import annotations

import sqlalchemy as sa

from store.columns import Json, Moment, Real, Text, Whole, now

DEFAULT_PROJECT = "default"

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("id", Text(40), primary_key=True),
    sa.Column("project_id", Text(40), nullable=False),
    sa.Column("name", Text(200), nullable=False),
    sa.Column("filename", Text(400)),
    sa.Column("bundled", sa.Boolean, nullable=False),
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
    sa.Column("created_at", Moment, nullable=False, default=now()),
    # The same bytes read with the same target and task are the same dataset.
    sa.UniqueConstraint("project_id", "sha256", "target", "task", name="uq_datasets_identity"),
    sa.Index("ix_datasets_created", "project_id", "created_at", "id"),
    sa.Index("ix_datasets_name", "project_id", "name", "created_at", "id"),
    sa.Index("ix_datasets_table_key", "table_key"),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", Text(40), primary_key=True),
    sa.Column("project_id", Text(40), nullable=False),
    sa.Column("dataset_id", Text(40), sa.ForeignKey("datasets.id", ondelete="RESTRICT"), nullable=False),
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
    # Who has it, and until when.
    sa.Column("queue", Text(16), nullable=False),
    sa.Column("priority", Whole, nullable=False),
    sa.Column("due_at", Moment, nullable=False, default=now()),
    sa.Column("fence", Whole, nullable=False, default=0),
    sa.Column("attempt", Whole, nullable=False, default=0),
    sa.Column("lost", Whole, nullable=False, default=0),
    sa.Column("worker_id", Text(100)),
    sa.Column("lease_expires_at", Moment),
    # How far it is.
    sa.Column("last_event", Whole, nullable=False),
    sa.Column("epoch", Whole, nullable=False, default=0),
    sa.Column("max_epochs", Whole, nullable=False),
    sa.Column("epochs_per_second", Real),
    sa.Column("progress_at", Moment),
    sa.Column("created_at", Moment, nullable=False, default=now()),
    sa.Column("started_at", Moment),
    sa.Column("finished_at", Moment),
    sa.CheckConstraint(
        "status IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')", name="status"
    ),
    sa.Index("ix_jobs_created", "project_id", "created_at", "id"),
    sa.Index("ix_jobs_status", "project_id", "status", "created_at", "id"),
    sa.Index("ix_jobs_stop_reason", "project_id", "stop_reason", "created_at", "id"),
    sa.Index("ix_jobs_name", "project_id", "name", "created_at", "id"),
    sa.Index("ix_jobs_dataset", "dataset_id", "created_at", "id"),
    sa.Index("ix_jobs_study", "study_id", "created_at", "id"),
)
sa.Index("ix_jobs_next", jobs.c.status, jobs.c.priority.desc(), jobs.c.created_at, jobs.c.id)


def _job_id(**options: object) -> sa.Column[str]:
    return sa.Column("job_id", Text(40), sa.ForeignKey("jobs.id", ondelete="CASCADE"), **options)  # type: ignore[arg-type]


labels = sa.Table(
    "labels",
    metadata,
    # One row for each entry of a job's metadata: what `metadata.team=risk` finds, in the lists' order. The
    # digest stands for key and value, whose own text would be too long for an index.
    sa.Column("project_id", Text(40), primary_key=True),
    sa.Column("digest", Text(32), primary_key=True),
    sa.Column("created_at", Moment, primary_key=True),
    _job_id(primary_key=True),
    sa.Index("ix_labels_job", "job_id"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    _job_id(primary_key=True),
    sa.Column("number", Whole, primary_key=True),
    sa.Column("fence", Whole, nullable=False),
    sa.Column("worker_id", Text(100), nullable=False),
    sa.Column("started_at", Moment, nullable=False, default=now()),
    sa.Column("ended_at", Moment),
    sa.Column("outcome", Text(16)),
    sa.Column("detail", Text(2000)),
)

points = sa.Table(
    "points",
    metadata,
    _job_id(primary_key=True),
    sa.Column("epoch", Whole, primary_key=True),
    sa.Column("event", Whole, nullable=False),
    sa.Column("at", Moment, nullable=False, default=now()),
    sa.Column("values", Json, nullable=False),
    sa.Column("nonfinite", Json),
    sa.Index("ix_points_event", "job_id", "event", unique=True),
    # A curve then lies in one piece, in the order in which it is read.
    sqlite_with_rowid=False,
)

events = sa.Table(
    "events",
    metadata,
    _job_id(primary_key=True),
    sa.Column("number", Whole, primary_key=True),
    sa.Column("kind", Text(32), nullable=False),
    sa.Column("at", Moment, nullable=False, default=now()),
    sa.Column("data", Json, nullable=False),
)

weights = sa.Table(
    "weights",
    metadata,
    _job_id(primary_key=True),
    sa.Column("key", Text(400), nullable=False),
    sa.Column("sha256", Text(64), nullable=False),
    sa.Column("bytes", Whole, nullable=False),
    sa.Column("summary", Json, nullable=False),
    sa.Column("created_at", Moment, nullable=False, default=now()),
    sa.Index("ix_weights_key", "key"),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("project_id", Text(40), primary_key=True),
    sa.Column("key", Text(255), primary_key=True),
    sa.Column("fingerprint", Text(64), nullable=False),
    sa.Column("token", Text(40), nullable=False),
    sa.Column("status", Whole),
    sa.Column("headers", Json),
    sa.Column("body", sa.LargeBinary),
    sa.Column("created_at", Moment, nullable=False, default=now()),
    sa.Index("ix_idempotency_created", "created_at"),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", Text(100), primary_key=True),
    sa.Column("host", Text(255), nullable=False),
    sa.Column("pid", Whole, nullable=False),
    sa.Column("queues", Json, nullable=False),
    sa.Column("job_id", Text(40)),
    sa.Column("started_at", Moment, nullable=False, default=now()),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Index("ix_workers_seen", "seen_at"),
)
