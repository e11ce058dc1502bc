"""What jobs are sorted by, in rows of its own; names in the order of their code points; notes."""

from __future__ import annotations

import hashlib
from typing import Final

import sqlalchemy as sa
from alembic import op

from store.columns import Json, Name, Real, Text, Whole

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_SCORE_BYTES: Final = 300
_PARTS: Final = {"train": "train_", "validation": "val_", "test": "test_"}
_PLAIN: Final = {"generalization_gap": "gap", "best_epoch": "best_epoch", "parameters": "parameters"}


def upgrade() -> None:
    """The numbers are taken out of the results by the database itself, in one statement for all jobs."""
    op.add_column("jobs", sa.Column("notes", Text(10_000)))
    op.add_column("jobs", sa.Column("shape", Whole))
    op.add_column("datasets", sa.Column("metadata", Json, nullable=False, server_default="{}"))
    op.add_column("datasets", sa.Column("user_notes", Text(10_000)))
    _sort_names_by_code_points()
    op.create_table(
        "scores",
        sa.Column("project_id", Text(40), nullable=False),
        sa.Column("name", Text(100), nullable=False),
        sa.Column("value", Real, nullable=False),
        sa.Column("job_id", Text(40), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_scores_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "name", "value", "job_id", name=op.f("pk_scores")),
        sqlite_with_rowid=False,
    )
    op.execute(sa.text(scores_of_results(op.get_bind().dialect.name)))
    op.create_index("ix_scores_job", "scores", ["job_id", "name", "value"])
    _charge()
    _shape()
    op.create_index("ix_jobs_shape", "jobs", ["project_id", "shape", "created_at", "id"])


def _sort_names_by_code_points() -> None:
    """As SQLite does anyway; of PostgreSQL's rows none is written again."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("jobs", "name", type_=Name(200))
        op.alter_column("datasets", "name", type_=Name(200))


def scores_of_results(dialect: str) -> str:
    """The statement that fills the table from the results that are there."""
    return _of_sqlite() if dialect == "sqlite" else _of_postgresql()


def _of_sqlite() -> str:
    """JSON trees: at the top the plain numbers, and those in each part of a split."""
    return f"""
        INSERT OR IGNORE INTO scores (project_id, name, value, job_id)
        SELECT project_id, name, value, id FROM (
            SELECT jobs.id, jobs.project_id, {_named(_PLAIN, "top.key")} AS name, top.type, top.value
            FROM jobs, json_each(jobs.result) AS top
            WHERE jobs.finished_at IS NOT NULL AND json_type(jobs.result) = 'object'
              AND top.key IN ({_listed(_PLAIN)})
            UNION ALL
            SELECT jobs.id, jobs.project_id, {_named(_PARTS, "part.key")} || one.key, one.type, one.value
            FROM jobs, json_each(jobs.result) AS part,
                 json_each(CASE part.type WHEN 'object' THEN part.value ELSE '{{}}' END) AS one
            WHERE jobs.finished_at IS NOT NULL AND json_type(jobs.result) = 'object'
              AND part.key IN ({_listed(_PARTS)}) AND one.key <> 'loss_se'
            UNION ALL
            SELECT id, project_id, 'duration', 'real', round(max(
                (julianday(finished_at) - julianday(started_at)) * 86400.0, 0.0), 3)
            FROM jobs WHERE finished_at IS NOT NULL AND started_at IS NOT NULL
        ) AS every
        WHERE type IN ('real', 'integer') AND abs(value) <= 1.7976931348623157e308 AND length(name) <= 100
        ORDER BY project_id, name, value, id
    """  # noqa: S608 - our own names


def _of_postgresql() -> str:
    return f"""
        INSERT INTO scores (project_id, name, value, job_id)
        SELECT project_id, name, value::text::double precision, id FROM (
            SELECT jobs.id, jobs.project_id, {_named(_PLAIN, "top.key")} AS name, top.value::text AS value
            FROM jobs, json_each(jobs.result) AS top
            WHERE jobs.finished_at IS NOT NULL AND json_typeof(jobs.result) = 'object'
              AND top.key IN ({_listed(_PLAIN)}) AND json_typeof(top.value) = 'number'
            UNION ALL
            SELECT jobs.id, jobs.project_id, {_named(_PARTS, "part.key")} || one.key, one.value::text
            FROM jobs, json_each(jobs.result) AS part,
                 json_each(CASE json_typeof(part.value) WHEN 'object' THEN part.value ELSE '{{}}' END) AS one
            WHERE jobs.finished_at IS NOT NULL AND json_typeof(jobs.result) = 'object'
              AND part.key IN ({_listed(_PARTS)}) AND one.key <> 'loss_se'
              AND json_typeof(one.value) = 'number'
            UNION ALL
            SELECT id, project_id, 'duration',
                   round(greatest(extract(epoch FROM finished_at - started_at), 0)::numeric, 3)::text
            FROM jobs WHERE finished_at IS NOT NULL AND started_at IS NOT NULL
        ) AS every
        WHERE length(name) <= 100
        ORDER BY project_id, name, 3, id
    """  # noqa: S608 - our own names


def _named(names: dict[str, str], column: str) -> str:
    cases = " ".join(f"WHEN '{key}' THEN '{name}'" for key, name in names.items())
    return f"CASE {column} {cases} END"


def _listed(names: dict[str, str]) -> str:
    return ", ".join(f"'{key}'" for key in names)


def _shape() -> None:
    """What stands for all names of a job's numbers: the sum of what stands for each."""
    statement = shapes_of_scores(op.get_bind())
    if statement:
        op.execute(sa.text(statement))


def shapes_of_scores(connection: sa.Connection) -> str:
    """The statement that gives jobs their shapes; empty where there are none."""
    names = connection.exec_driver_sql("SELECT DISTINCT name FROM scores ORDER BY name").scalars().all()
    known = [name for name in names if name.replace("_", "").isalnum()]
    if not known:
        return ""
    cases = " ".join(f"WHEN '{name}' THEN {_weight_of(name)}" for name in known)
    # A name that no version has written counts for nothing, for every job alike.
    total = f"CAST(sum(CASE name {cases} ELSE 0 END) AS BIGINT)"
    return f"""
        UPDATE jobs SET shape = (SELECT {total} FROM scores WHERE scores.job_id = jobs.id)
        WHERE finished_at IS NOT NULL
    """  # noqa: S608 - our own names


def _weight_of(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest())


def _charge() -> None:
    """Count the rows as taken by their jobs, and so by their projects."""
    op.execute(f"""
        UPDATE jobs SET row_bytes = row_bytes + {_SCORE_BYTES} * (
            SELECT count(*) FROM scores WHERE scores.job_id = jobs.id
        ) WHERE finished_at IS NOT NULL
    """)  # noqa: S608 - our own number
    op.execute(f"""
        INSERT INTO usage (project_id, part, stored_bytes, open_jobs)
        SELECT project_id, 0, {_SCORE_BYTES} * count(*), 0 FROM scores WHERE true GROUP BY project_id
        ON CONFLICT (project_id, part) DO UPDATE SET stored_bytes = usage.stored_bytes + excluded.stored_bytes
    """)  # noqa: S608 - our own number
