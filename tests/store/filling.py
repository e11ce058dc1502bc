"""Tables filled by the database itself: a hundred thousand jobs in a second or two."""

from __future__ import annotations

import sqlalchemy as sa

from store.session import Connection

SPEC = "{}"


def add_projects(tx: Connection, number: int, *, prefix: str = "project") -> None:
    """So many projects, each with a dataset: `project_000001`, `ds_project_000001`."""
    one = f"'{prefix}_' || {_digits(tx, 'n', 6)}"
    tx.exec_driver_sql(
        f"""INSERT INTO projects (id, name, created_at)
        SELECT {one}, {one}, {_clock(tx)} FROM {_numbers(tx, number)}"""
    )
    tx.exec_driver_sql(
        f"""INSERT INTO datasets (id, project_id, name, bundled, sha256, bytes, target, task, rows, features,
            description, table_key, table_sha256, table_bytes, row_bytes, created_at)
        SELECT 'ds_' || {one}, {one}, 'digits', {_false(tx)}, {one}, 1, 'y', 'classification', 1, 1,
            '{{}}', {one}, {one}, 100, 0, {_clock(tx)} FROM {_numbers(tx, number)}"""
    )


def add_jobs(
    tx: Connection,
    number: int,
    *,
    projects: int,
    status: str = "queued",
    queue: str = "cpu",
    prefix: str = "project",
    mark: str = "a",
    spec: str = SPEC,
    stack_key: str | None = None,
) -> None:
    """So many jobs over the first projects in turn, a second apart, the oldest first."""
    # The remainder, without the sign that drivers take for a parameter.
    project = f"'{prefix}_' || {_digits(tx, f'1 + n - n / {projects} * {projects}', 6)}"
    final = status in ("succeeded", "failed", "cancelled")
    at = _ago(tx, "2000000 - n")
    reason = "'max_epochs'" if final else "NULL"
    key = f"'{stack_key}'" if stack_key else "NULL"
    tx.exec_driver_sql(
        f"""INSERT INTO jobs (id, project_id, dataset_id, status, stop_reason, spec, warnings, metadata,
            queue, priority, due_at, fence, attempt, lost, last_event, epoch, max_epochs, stack_key,
            stack_limit, row_bytes, created_at, finished_at)
        SELECT 'job_{mark}' || {_digits(tx, "n", 30)}, {project}, 'ds_' || {project}, '{status}', {reason},
            '{spec}', '[]', '{{}}', '{queue}', 0, {at}, 0, 0, 0, 1, 0, 50, {key}, 16,
            1000, {at}, {at if final else "NULL"} FROM {_numbers(tx, number)}"""
    )


def add_weights(tx: Connection, size: int) -> None:
    """A file of so many bytes for each job that has ended."""
    tx.execute(
        sa.text(
            "INSERT INTO weights (job_id, key, sha256, bytes, row_bytes, summary, created_at) "
            "SELECT id, 'weights/' || id, 'c', :size, 350, '{}', created_at FROM jobs "
            "WHERE finished_at IS NOT NULL"
        ),
        {"size": size},
    )


def _numbers(tx: Connection, last: int) -> str:
    """A table of one column `n`, from 1."""
    if tx.dialect.name == "postgresql":
        return f"generate_series(1, {last}) AS numbers (n)"
    return (
        f"(WITH RECURSIVE some (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM some WHERE n < {last}) "
        "SELECT n FROM some) AS numbers"
    )


def _digits(tx: Connection, number: str, width: int) -> str:
    if tx.dialect.name == "postgresql":
        return f"lpad(({number})::text, {width}, '0')"
    return f"printf('%0{width}d', {number})"


def _clock(tx: Connection) -> str:
    return "now()" if tx.dialect.name == "postgresql" else "strftime('%Y-%m-%d %H:%M:%f', 'now')"


def _ago(tx: Connection, seconds: str) -> str:
    if tx.dialect.name == "postgresql":
        return f"now() - make_interval(secs => {seconds})"
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', printf('-%d seconds', {seconds}))"


def _false(tx: Connection) -> str:
    return "false" if tx.dialect.name == "postgresql" else "0"
