"""Tables filled by the database itself: a hundred thousand jobs in a second or two."""

from __future__ import annotations

import importlib

import sqlalchemy as sa

from store.jobs.labels import digest
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


def add_results(tx: Connection, number: int) -> None:
    """So many jobs of the default project, nearly all with results, on three datasets whose scores lie apart.

    A tenth have failed, half of these without a result; a twentieth was cancelled; the oldest twenty wait.
    Labels: `team` for a third, `even` and `odd`, `early` for the jobs of the first dataset, `rare`.
    """
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql("SET LOCAL session_replication_role = replica")
    for place, name in enumerate(("first", "second", "third")):
        tx.exec_driver_sql(
            f"""INSERT INTO datasets (id, project_id, name, bundled, sha256, bytes, target, task, rows,
                features, description, table_key, table_sha256, table_bytes, row_bytes, created_at)
            VALUES ('ds_{name}', 'default', '{name}', {_false(tx)}, '{place}', 1, 'y', 'classification', 1, 1,
                '{{}}', '{name}', '{name}', 100, 0, {_clock(tx)})"""
        )
    tenth, draw = _rest("n", 10), f"({_rest('CAST(n AS BIGINT) * 48271', 100_003)} / 100003.0)"
    dataset = f"CASE WHEN {tenth} < 6 THEN 'first' WHEN {tenth} < 9 THEN 'second' ELSE 'third' END"
    floor = f"CASE WHEN {tenth} < 6 THEN 0.9 WHEN {tenth} < 9 THEN 0.7 ELSE 0.5 END"
    twentieth = _rest("n / 10", 20)
    status = (
        f"CASE WHEN n <= 20 THEN 'queued' WHEN {twentieth} = 1 THEN 'cancelled' "
        f"WHEN {twentieth} IN (2, 3) THEN 'failed' ELSE 'succeeded' END"
    )
    reason = (
        f"CASE WHEN n <= 20 THEN NULL WHEN {twentieth} = 1 THEN 'cancelled' "
        f"WHEN {twentieth} IN (2, 3) THEN 'diverged' ELSE 'max_epochs' END"
    )
    result = f"CASE WHEN n > 20 AND {twentieth} NOT IN (1, 2) THEN {_result(tx, floor, draw)} END"
    at, begun = _ago(tx, "2000000 - n"), _ago(tx, f"2000000.5 - n + 40 * {draw}")
    padding = 600 * "x"
    tx.exec_driver_sql(
        f"""INSERT INTO jobs (id, project_id, dataset_id, name, status, stop_reason, spec, warnings, metadata,
            queue, priority, due_at, fence, attempt, lost, last_event, epoch, max_epochs, stack_limit,
            row_bytes, created_at, started_at, finished_at, result)
        SELECT 'job_r' || {_digits(tx, "n", 30)}, 'default', 'ds_' || {dataset},
            CASE WHEN {tenth} = 3 THEN NULL ELSE 'credit-' || {_digits(tx, "n", 6)} END, {status}, {reason},
            '{{"padding":"{padding}"}}', '[]', '{{}}', 'cpu', 0, {at}, 0, 1, 0, 1, 50, 50, 16, 1000, {at},
            CASE WHEN n > 20 THEN {begun} END, CASE WHEN n > 20 THEN {_ago(tx, "1999900 - n")} END, {result}
        FROM {_numbers(tx, number)}"""
    )
    labels = {
        ("team", "risk"): _rest("n", 3) + " = 0",
        ("even", "yes"): _rest("n", 2) + " = 0",
        ("odd", "yes"): _rest("n", 2) + " = 1",
        ("early", "yes"): f"{tenth} < 6",
        ("rare", "yes"): _rest("n", 2000) + " = 8",
    }
    for (key, value), whose in labels.items():
        tx.exec_driver_sql(
            f"""INSERT INTO labels (project_id, digest, created_at, job_id)
            SELECT 'default', '{digest(key, value)}', created_at, id FROM (
                SELECT id, created_at, CAST(substr(id, 6) AS INTEGER) AS n FROM jobs
                WHERE project_id = 'default'
            ) AS numbered WHERE {whose}"""
        )


def _result(tx: Connection, floor: str, draw: str) -> str:
    """The JSON text of a result with four numbers for each split."""
    measured = '{{"loss":%s,"accuracy":%s,"f1":%s,"roc_auc":%s,"loss_se":0.01}}'.replace("{{", "{").replace(
        "}}", "}"
    )
    document = (
        f'{{"best_epoch":%s,"last_epoch":50,"restored_epoch":7,"parameters":4810,"train":{measured},'
        f'"validation":{measured},"test":{measured},"generalization_gap":%s}}'
    )
    score = f"round(CAST({floor} + 0.1 * {draw} AS numeric), 6)"
    values = ["7", *(3 * [score, score, score, score]), score]
    parts = document.split("%s")
    pieces = [f"'{parts[0]}'"]
    for value, part in zip(values, parts[1:], strict=True):
        pieces += [f"CAST({value} AS text)", f"'{part}'"]
    return f"CAST({' || '.join(pieces)} AS json)" if tx.dialect.name == "postgresql" else " || ".join(pieces)


def add_scores(tx: Connection) -> None:
    """What the results of all jobs are sorted by, as the upgrade puts it down."""
    migration = importlib.import_module("store.migrations.versions.0009_finding_the_best")
    tx.exec_driver_sql(migration.scores_of_results(tx.dialect.name))
    tx.exec_driver_sql(migration.shapes_of_scores(tx))


def _rest(number: str, divisor: int) -> str:
    """The remainder, without the sign that drivers take for a parameter."""
    return f"(({number}) - ({number}) / {divisor} * {divisor})"


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
