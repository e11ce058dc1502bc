"""Every table, as SQLAlchemy Core sees it. `migrations/` builds the same ones, and a test holds them equal.

All lists are paged by (created_at, id), so each of their filters has an index that ends in these two.
"""

from __future__ import annotations

import sqlalchemy as sa

from store.columns import Json, Moment, Name, Text, Whole, now
from store.job_tables import (
    attempts,
    checkpoints,
    events,
    jobs,
    labels,
    points,
    scores,
    stretches,
    weights,
)
from store.schema import metadata

__all__ = [
    "DEFAULT_PROJECT",
    "attempts",
    "checkpoints",
    "counters",
    "datasets",
    "deliveries",
    "events",
    "idempotency",
    "jobs",
    "keys",
    "labels",
    "metadata",
    "points",
    "projects",
    "scores",
    "stretches",
    "usage",
    "webhooks",
    "weights",
    "workers",
]

DEFAULT_PROJECT = "default"

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("id", Text(40), primary_key=True),
    sa.Column("name", Text(200), nullable=False),
    # Quotas of its own; None takes what the settings say, 0 means no limit.
    sa.Column("max_open_jobs", Whole),
    sa.Column("max_stored_bytes", Whole),
    sa.Column("max_requests_per_minute", Whole),
    sa.Column("turn_at", Moment),  # when a job of it was last claimed: among equals, whose turn it is
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
    sa.Column("name", Name(200), nullable=False),
    sa.Column("metadata", Json, nullable=False, default=dict, server_default="{}"),
    sa.Column("user_notes", Text(10_000)),
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
    sa.Column("holder", Text(300)),  # the process that is still answering
    sa.Column("held_until", Moment),  # its place is given up then, unless it is renewed
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
    sa.Column("node", Text(300)),  # the worker whose child this process is: its children die with it
    sa.Column("version", Text(40)),
    sa.Column("device", Text(16)),
    sa.Column("device_name", Text(100)),
    sa.Column("problem", Text(500)),
    sa.Column("started_at", Moment, nullable=False, default=now()),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Index("ix_workers_seen", "seen_at"),
)
