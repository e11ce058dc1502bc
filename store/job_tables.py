"""The tables of a job and of all that goes with it; whoever uses them takes them from `store.tables`."""

from __future__ import annotations

import sqlalchemy as sa

from store import job_indexes
from store.columns import Json, Moment, Name, Real, Text, Whole, now
from store.schema import metadata

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", Text(40), primary_key=True),
    sa.Column("project_id", Text(40), nullable=False),
    sa.Column("dataset_id", Text(40), sa.ForeignKey("datasets.id", ondelete="RESTRICT"), nullable=False),
    sa.Column("study_id", Text(40)),
    sa.Column("name", Name(200)),
    sa.Column("notes", Text(10_000)),
    sa.Column("status", Text(16), nullable=False),
    sa.Column("stop_reason", Text(32)),
    sa.Column("stop_detail", Text(2000)),
    sa.Column("requested_action", Text(16)),
    sa.Column("spec", Json, nullable=False),
    sa.Column("equivalents", Json),
    sa.Column("warnings", Json, nullable=False),
    sa.Column("metadata", Json, nullable=False),
    sa.Column("result", Json),
    sa.Column(
        "shape", Whole
    ),  # equal for jobs that have the same numbers in `scores`; NULL where they have none
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
    sa.Column("stack_key", Text(64)),  # equal: may be trained together; None: alone
    sa.Column("stack_limit", Whole, nullable=False, default=1, server_default="1"),
    sa.Column("row_bytes", Whole, nullable=False, default=0, server_default="0"),  # with its curve and log
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

scores = sa.Table(
    "scores",
    metadata,
    # One row for each finite number that came of a job, in the order of the lists: see `store.scores`.
    sa.Column("project_id", Text(40), primary_key=True),
    sa.Column("name", Text(100), primary_key=True),
    sa.Column("value", Real, primary_key=True),
    _job_id(primary_key=True),
    sa.Index("ix_scores_job", "job_id", "name", "value"),
    sqlite_with_rowid=False,
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
