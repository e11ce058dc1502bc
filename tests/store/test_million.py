"""What is asked again and again touches few rows beside a hundred thousand jobs, whatever the planner knows.

The sizes are those at which plans turn: with a few thousand rows the planner is right to read them all. Each
statement is the product's own. On PostgreSQL the database itself counts the rows that a transaction touched,
on SQLite the steps of its virtual machine.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.quotas import Counted, Quotas
from store import datasets, gauges, jobs, projects, tables, usage
from store.errors import DatasetInUse
from store.jobs import MOST_COUNTED
from store.jobs.row import select_jobs, to_job
from store.session import Connection, Database
from store.settings import Settings
from tests.servers import Databases
from tests.store import filling
from tests.store.watching import Statement, plan, statements

QUEUED, ENDED, IDLE = 50_000, 50_000, 9_000
SMALLER = 4
"""So many times fewer jobs on SQLite, whose plans do not depend on it."""
PROJECTS = {"few": 50, "many": 1_000}
"""Prefix → projects that have something queued; the jobs are shared out among both."""
ACTIVE = sum(PROJECTS.values())
PROJECT = "full_000001"
FULL = "ds_full_000001"
"""The dataset of more than a thousand jobs."""

Act = Callable[[Connection], object]


def _claim(*queues: str, at_most: int = 1) -> Act:
    def act(tx: Connection) -> object:
        claimed = jobs.claim(tx, worker="worker", queues=queues, lease_seconds=30, at_most=at_most)
        assert claimed
        return claimed

    return act


def _delete_what_is_used(tx: Connection) -> None:
    with pytest.raises(DatasetInUse, match="1,000 jobs or more"):
        datasets.delete(tx, FULL)


def _submit(tx: Connection) -> None:
    Quotas(Settings(), Counted("memory://")).make_room_for_job(tx)
    jobs.add(tx, spec={}, dataset_id=FULL, max_epochs=1)


def _place(tx: Connection) -> object:
    """Of the last job of a project that has many, in the middle of all others."""
    first = tables.jobs.c.project_id == "many_000500"
    newest = sa.select(tables.jobs.c.id).where(first).order_by(tables.jobs.c.created_at.desc()).limit(1)
    if (job_id := tx.execute(newest).scalar()) is None:
        pytest.fail("nothing waits")
    job = to_job(tx.execute(select_jobs().where(tables.jobs.c.id == job_id)).one())
    assert jobs.place(tx, job).ahead > 0
    return job


ASKED: dict[str, tuple[Act, int]] = {
    # One row for each project that waits, and what a claim then writes.
    "claim": (_claim("cpu"), 2 * ACTIVE + 100),
    "claim from the near-empty queue": (_claim("gpu"), 100),
    "claim from both queues": (_claim("gpu", "cpu"), 2 * ACTIVE + 100),
    "claim a stack": (_claim("cpu", at_most=64), 2 * ACTIVE + 64 * 20),
    "claim a stack from the near-empty queue": (_claim("gpu", at_most=64), 300),
    "does anything wait": (lambda tx: jobs.any_waits(tx, ["gpu", "cpu"]), 4),
    "does anything wait in a queue without jobs": (lambda tx: jobs.any_waits(tx, ["tpu"]), 1),
    "nudge": (lambda tx: jobs.waiting(tx, at_most=64), 64 + 20),
    "expire": (lambda tx: jobs.expire(tx, max_attempts=3, backoff_seconds=0), 20),
    "gauges": (lambda tx: gauges.read(tx, alive_seconds=30), 2 * MOST_COUNTED + ACTIVE + 100),
    "a job's place in a queue of many projects": (_place, jobs.MOST_AHEAD * (jobs.MOST_AHEAD + 4)),
    "what a project uses": (projects.usage_of, usage.PARTS),
    "submit": (_submit, 50),
    "delete a dataset of many jobs": (_delete_what_is_used, DatasetInUse.MOST_COUNTED + 10),
}
"""What → the act, and how many rows it may touch."""
READING_ONLY = (
    "does anything wait",
    "nudge",
    "gauges",
    "a job's place in a queue of many projects",
    "what a project uses",
)


class _Undone(Exception):
    """The act has been looked at, and leaves nothing."""


@contextmanager
def undone(database: Database) -> Iterator[Connection]:
    try:
        with database.writing() as tx:
            yield tx
            raise _Undone
    except _Undone:
        pass


def fill(database: Database) -> None:
    """First what has ended, of which the planner is told; then, all at once, what waits."""
    share = SMALLER if database.dialect == "sqlite" else 1
    with database.writing() as tx:
        for prefix, number in PROJECTS.items():
            filling.add_projects(tx, number, prefix=prefix)
        filling.add_projects(tx, IDLE, prefix="idle")
        filling.add_projects(tx, 1, prefix="full")
        filling.add_jobs(tx, 4_000, projects=1, prefix="full", status="failed", mark="f")
        filling.add_jobs(tx, ENDED // share, projects=50, prefix="few", status="succeeded", mark="e")
    know(database)
    with database.writing() as tx:
        if database.dialect == "postgresql":
            tx.exec_driver_sql("SET LOCAL session_replication_role = replica")  # the datasets are there
        for prefix, number in PROJECTS.items():
            filling.add_jobs(
                tx, QUEUED // share // 2, projects=number, prefix=prefix, mark=f"q{prefix[0]}", stack_key="k"
            )
        filling.add_jobs(tx, 3, projects=3, prefix="many", queue="gpu", mark="g", stack_key="k")
        usage.correct(tx)


def know(database: Database) -> None:
    """Let the planner look at the tables; SQLite, as we run it, never does."""
    if database.dialect == "postgresql":
        with database.writing() as tx:
            tx.exec_driver_sql("ANALYZE")


# ── PostgreSQL ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def on_postgresql(postgres_databases: Databases) -> Iterator[Database]:
    """Filled while a connection was open that had prepared every statement for empty tables."""
    with postgres_databases.fresh() as url, Database(url, pool_size=1) as database:
        mine = database.of(PROJECT)
        _prepare(mine)
        with Database(url) as another:
            fill(another)
        yield mine


def _prepare(database: Database) -> None:
    """Ask everything often enough for the driver to prepare it and the server to keep its plan."""
    with undone(database) as tx:
        filling.add_projects(tx, 1, prefix="full")
        for _ in range(12):
            for what in ("cpu", "gpu"):
                jobs.add(
                    tx, spec={}, dataset_id=FULL, max_epochs=1, queue=what, stack_key="k", stack_limit=16
                )
                jobs.add(
                    tx, spec={}, dataset_id=FULL, max_epochs=1, queue=what, stack_key="k", stack_limit=16
                )
            for act, _ in ASKED.values():
                try:
                    act(tx)
                except (AssertionError, pytest.fail.Exception):
                    continue  # Nothing waits, or too few use the dataset: what counts is that it was asked.


_TOUCHED = sa.text(
    "SELECT coalesce(sum(seq_tup_read), 0), coalesce(sum(idx_tup_fetch), 0) FROM pg_stat_xact_user_tables"
    " WHERE relname IN ('jobs', 'usage', 'deliveries', 'attempts', 'workers')"
)


def touched(tx: Connection) -> tuple[int, int]:
    """Rows that this connection has read so far by going through a table, and by an index."""
    through, by_index = tx.execute(_TOUCHED).one()
    return int(through), int(by_index)


@pytest.fixture(scope="module", params=["prepared when empty", "stale", "fresh"])
def known(request: pytest.FixtureRequest, on_postgresql: Database) -> Iterator[Database]:
    """The planner's three states of mind, in the order in which they come about."""
    if request.param == "prepared when empty":
        yield on_postgresql
        return
    if request.param == "fresh":
        know(on_postgresql)
    with Database(on_postgresql.url.render_as_string(hide_password=False)) as database:
        yield database.of(PROJECT)


@pytest.mark.parametrize("what", ASKED)
def test_few_rows_are_touched_whatever_the_planner_knows(known: Database, what: str) -> None:
    act, most = ASKED[what]
    with undone(known) as tx:
        before = touched(tx)
        act(tx)
        through, by_index = (after - first for first, after in zip(before, touched(tx), strict=True))
    assert by_index <= most
    # What is kept of all projects together is read as it lies.
    assert through <= (ACTIVE + IDLE + 10 if what == "gauges" else 0)


def _nodes(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield found
    for below in found.get("Plans", []):
        yield from _nodes(below)


def _explained(tx: Connection, statement: Statement) -> dict[str, Any]:
    text, parameters = statement
    found = tx.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {text}", parameters).scalar_one()
    document = json.loads(found) if isinstance(found, str) else found
    return dict(document[0]["Plan"])


@pytest.mark.parametrize("what", ASKED)
def test_plans_go_by_indexes_and_hash_no_jobs(on_postgresql: Database, what: str) -> None:
    with undone(on_postgresql) as tx, statements(tx) as sent:
        ASKED[what][0](tx)
    with undone(on_postgresql) as tx:
        for statement in [
            one for one in sent if one[0].lstrip().startswith(("SELECT", "WITH", "UPDATE", "DELETE"))
        ]:
            if isinstance(statement[1], list):
                continue  # Many at once, each by its key.
            found = _explained(tx, statement)
            for node in _nodes(found):
                assert (node["Node Type"], node.get("Relation Name")) != ("Seq Scan", "jobs"), (
                    statement[0],
                    found,
                )
                if node["Node Type"] in ("Hash", "Sort", "Materialize", "Bitmap Heap Scan"):
                    below = {each.get("Relation Name") for each in _nodes(node)}
                    assert "jobs" not in below or node["Plan Rows"] <= 2 * ACTIVE, (statement[0], found)


def test_the_order_of_a_queue_is_its_indexs(on_postgresql: Database) -> None:
    with undone(on_postgresql) as tx:
        with statements(tx) as sent:
            _claim("gpu", "cpu")(tx)
        found = plan(tx, sent[0])
    assert "using ix_jobs_turn on jobs step" in found
    assert "Sort Key: step" not in found


# ── SQLite ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def on_sqlite(migrated_sqlite: Path) -> Iterator[Database]:
    path = migrated_sqlite.with_name("million.db")
    shutil.copyfile(migrated_sqlite, path)
    with Database(f"sqlite:///{path}") as database:
        fill(database)
        yield database.of(PROJECT)


@contextmanager
def counted_steps(tx: Connection) -> Iterator[list[int]]:
    """How many hundreds of steps SQLite's machine takes meanwhile."""
    driver: Any = tx.connection.driver_connection
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    driver.set_progress_handler(count, 100)
    try:
        yield steps
    finally:
        driver.set_progress_handler(None, 0)


@pytest.mark.parametrize("what", ASKED)
def test_sqlite_takes_few_steps(on_sqlite: Database, what: str) -> None:
    """Some forty for each row that may be touched."""
    act, most = ASKED[what]
    with undone(on_sqlite) as tx:
        act(tx)  # Once before, so that what is built and kept is there.
    with undone(on_sqlite) as tx, counted_steps(tx) as steps:
        act(tx)
    assert 100 * steps[0] <= 5_000 + 60 * most
