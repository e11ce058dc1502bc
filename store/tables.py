"""Every table, as SQLAlchemy Core sees it. `migrations/` builds the same ones, and a test holds them equal.

All lists are paged by (created_at, id), so each of their filters has an index that ends in these two.
"""

from __future__ import annotations

import sqlalchemy as sa

from store import job_indexes
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

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("id", Text(40), primary_key=True),
    sa.Column("name", Text(200), nullable=False),
    # Quotas of its own; None takes what the settings say, 0 means no limit.
    sa.Column("max_open_jobs", Whole),
    sa.Column("max_stored_bytes", Whole),
    sa.Column("max_requests_per_minute", Whole),
    # When a job of this project was last claimed: among equals, whose turn it is.
    sa.Column("turn_at", Moment),
    sa.Column("created_at", Moment, nullable=False, default=now()),
    sa.UniqueConstraint("name", name="uq_projects_name"),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", Text(40), primary_key=True),
    sa.Column("project_id", Text(40), sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", Text(200), nullable=False),
    sa.Column("scopes", Json, nullable=False),
    sa.Column("sha256", Text(64), nullable=False),  # of the secret, which is told once and kept nowhere
    sa.Column("created_at", Moment, nullable=False, default=now()),
    sa.Column("expires_at", Moment),
    sa.Column("revoked_at", Moment),
    sa.Column("last_used_at", Moment),
    sa.Index("ix_keys_created", "project_id", "created_at", "id"),
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
    sa.Column("row_bytes", Whole, nullable=False, default=0, server_default="0"),  # see `store.row_sizes`
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
    sa.Column("queue", Text(16), nullable=False),
    sa.Column("priority", Whole, nullable=False),
    sa.Column("due_at", Moment, nullable=False, default=now()),
    sa.Column("fence", Whole, nullable=False, default=0),
    sa.Column("attempt", Whole, nullable=False, default=0),
    # Attempts lost without a newer checkpoint, alone and together with other jobs of the same worker.
    sa.Column("lost", Whole, nullable=False, default=0),
    sa.Column("lost_together", Whole, nullable=False, default=0, server_default="0"),
    sa.Column("worker_id", Text(100)),
    sa.Column("lease_expires_at", Moment),
    sa.Column("last_event", Whole, nullable=False),
    sa.Column("epoch", Whole, nullable=False, default=0),
    sa.Column("max_epochs", Whole, nullable=False),
    sa.Column("epochs_per_second", Real),
    sa.Column("progress_at", Moment),
    # Over all its attempts, as far as is known: what `max_runtime_seconds` limits.
    sa.Column("runtime_seconds", Real, nullable=False, default=0.0, server_default="0"),
    sa.Column("traceparent", Text(100)),
    # Trained together with others of an equal key, and how many at most; None: alone.
    sa.Column("stack_key", Text(64)),
    sa.Column("stack_limit", Whole, nullable=False, default=1, server_default="1"),
    # What this row takes with the job's curve and log: see `store.row_sizes`.
    sa.Column("row_bytes", Whole, nullable=False, default=0, server_default="0"),
    sa.Column("created_at", Moment, nullable=False, default=now()),
    sa.Column("started_at", Moment),
    sa.Column("finished_at", Moment),
    sa.CheckConstraint(
        "status IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')", name="status"
    ),
)
job_indexes.index(jobs)


def _job_id(**options: object) -> sa.Column[str]:
    return sa.Column("job_id", Text(40), sa.ForeignKey("jobs.id", ondelete="CASCADE"), **options)  # type: ignore[arg-type]


labels = sa.Table(
    "labels",
    metadata,
    # One row for each entry of a job's metadata, in the lists' order; an index takes no text of any length.
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
    sa.Column("together", Whole, nullable=False, default=1, server_default="1"),
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
    sqlite_with_rowid=False,  # a curve then lies in one piece, in the order in which it is read
)

stretches = sa.Table(
    "stretches",
    metadata,
    # Some hundred epochs of a curve once more, in packed columns: see `store.stretches`.
    _job_id(primary_key=True),
    sa.Column("last", Whole, primary_key=True),
    sa.Column("series", Json, nullable=False),
    sa.Column("nonfinite", Json),
    sa.Column("data", sa.LargeBinary, nullable=False),
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
    sa.Column("row_bytes", Whole, nullable=False, default=0, server_default="0"),
    sa.Column("summary", Json, nullable=False),
    sa.Column("created_at", Moment, nullable=False, default=now()),
    sa.Index("ix_weights_key", "key"),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    # All that is needed to go on from an epoch, or from a batch within it; the last two are kept.
    _job_id(primary_key=True),
    sa.Column("number", Whole, primary_key=True),
    sa.Column("fence", Whole, nullable=False),
    sa.Column("epoch", Whole, nullable=False),
    sa.Column("batch", Whole, nullable=False),
    sa.Column("key", Text(400), nullable=False),
    sa.Column("sha256", Text(64), nullable=False),
    sa.Column("bytes", Whole, nullable=False),
    sa.Column("created_at", Moment, nullable=False, default=now()),
    sa.Index("ix_checkpoints_key", "key"),
)

usage = sa.Table(
    "usage",
    metadata,
    # What a project stores and has open, in parts that add up: see `store.usage`.
    sa.Column("project_id", Text(40), primary_key=True),
    sa.Column("part", Whole, primary_key=True),
    sa.Column("stored_bytes", Whole, nullable=False),
    sa.Column("open_jobs", Whole, nullable=False),
)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", Text(40), primary_key=True),
    sa.Column("project_id", Text(40), nullable=False),
    sa.Column("url", Text(2000), nullable=False),
    sa.Column("secret", Text(100), nullable=False),
    # The secret before the last rotation; until then what is sent is signed with both.
    sa.Column("old_secret", Text(100)),
    sa.Column("old_secret_until", Moment),
    sa.Column("events", Json, nullable=False),
    sa.Column("description", Text(500)),
    sa.Column("enabled", sa.Boolean, nullable=False, default=True),
    sa.Column("disabled_detail", Text(500)),  # where nobody asked for it
    sa.Column("created_at", Moment, nullable=False, default=now()),
    sa.Index("ix_webhooks_created", "project_id", "created_at", "id"),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    # The outbox: written in the transaction of the status change that it tells of.
    sa.Column("id", Text(40), primary_key=True),
    sa.Column("project_id", Text(40), nullable=False),
    sa.Column("webhook_id", Text(40), sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    sa.Column("job_id", Text(40)),
    sa.Column("event", Text(40), nullable=False),
    sa.Column("payload", Text(100_000), nullable=False),  # the very bytes that are signed and sent
    sa.Column("status", Text(16), nullable=False),
    sa.Column("attempts", Whole, nullable=False, default=0),
    # When it is to be sent next; while it is being sent, when it counts as not sent.
    sa.Column("due_at", Moment, nullable=False, default=now()),
    sa.Column("fence", Whole, nullable=False, default=0),
    sa.Column("response_status", Whole),
    sa.Column("detail", Text(2000)),
    sa.Column("created_at", Moment, nullable=False, default=now()),
    sa.Column("ended_at", Moment),
    sa.CheckConstraint("status IN ('pending', 'delivered', 'dead')", name="status"),
    sa.Index("ix_deliveries_due", "status", "due_at"),
    sa.Index("ix_deliveries_webhook_due", "webhook_id", "status", "due_at"),
    sa.Index("ix_deliveries_webhook", "webhook_id", "created_at", "id"),
    sa.Index("ix_deliveries_webhook_status", "webhook_id", "status", "created_at", "id"),
    sa.Index("ix_deliveries_job", "job_id", "created_at", "id"),
)

counters = sa.Table(
    "counters",
    metadata,
    # What several processes count together and one of them tells: it never goes down.
    sa.Column("name", Text(100), primary_key=True),
    sa.Column("value", Whole, nullable=False),
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
    sa.Column("job_id", Text(40)),  # the first of those it trains
    sa.Column("jobs", Whole, nullable=False, default=0, server_default="0"),
    # The worker whose child this process is: its children die with it.
    sa.Column("node", Text(300)),
    sa.Column("version", Text(40)),
    sa.Column("device", Text(16)),
    sa.Column("started_at", Moment, nullable=False, default=now()),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Index("ix_workers_seen", "seen_at"),
)
