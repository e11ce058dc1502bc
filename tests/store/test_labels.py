"""Lists narrowed by labels, where a plan that sorts or begins at the wrong end is told by its work."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from store import jobs
from store.jobs import Filters
from store.jobs.labels import digest
from store.session import Connection, Database
from store.tables import DEFAULT_PROJECT
from tests.servers import Databases
from tests.store.examples import add_dataset
from tests.store.watching import Statement, plan, sorts, statements

JOBS = 10_000
LABELS = {
    "all": "true",
    "wide": "true",
    "broad": "true",
    "even": "n % 2 = 0",
    "odd": "n % 2 = 1",
    "early": f"n <= {JOBS // 2}",
    "rare": "n % 2000 = 8",
}
_OPS = 100


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def many(request: pytest.FixtureRequest, migrated_sqlite: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        path = migrated_sqlite.with_name("many-labels.db")
        shutil.copyfile(migrated_sqlite, path)
        with Database(f"sqlite:///{path}") as database:
            _fill(database)
            yield database.of(DEFAULT_PROJECT)
        path.unlink()
    else:
        databases: Databases = request.getfixturevalue("postgres_databases")
        with databases.fresh() as url, Database(url) as database:
            _fill(database)
            yield database.of(DEFAULT_PROJECT)


def _fill(database: Database) -> None:
    """A job a second, each by one statement for all."""
    with database.of(DEFAULT_PROJECT).writing() as tx:
        dataset = add_dataset(tx).id
    if database.dialect == "postgresql":
        numbers = f"generate_series(1, {JOBS}) AS g(n)"
        at, job = "timestamptz '2026-01-01' + n * interval '1 second'", "'job_' || lpad(n::text, 8, '0')"
    else:
        counted = f"WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {JOBS})"
        numbers = f"({counted} SELECT n FROM g)"
        at, job = "strftime('%Y-%m-%d %H:%M:%f', '2026-01-01', n || ' seconds')", "printf('job_%08d', n)"
    columns = {"id": job, "created_at": at, "due_at": at, "project_id": "'default'", "queue": "'cpu'"}
    columns |= {"dataset_id": f"'{dataset}'", "status": "'succeeded'", "spec": "'{}'", "warnings": "'[]'"}
    columns |= {"metadata": "'{}'", **dict.fromkeys(("priority", "fence", "attempt", "lost", "epoch"), "0")}
    columns |= {"last_event": "1", "max_epochs": "1"}
    names, values = ", ".join(columns), ", ".join(columns.values())
    with database.writing() as tx:
        tx.execute(sa.text(f"INSERT INTO jobs ({names}) SELECT {values} FROM {numbers}"))
        for label, whose in LABELS.items():
            row = f"'default', '{digest(label, 'yes')}', {at}, {job}"
            into = "INSERT INTO labels (project_id, digest, created_at, job_id)"
            tx.execute(sa.text(f"{into} SELECT {row} FROM {numbers} WHERE {whose}"))
        tx.execute(sa.text("ANALYZE"))


def _work(tx: Connection, statement: Statement) -> int:
    """Rows that PostgreSQL took into its hands, or hundreds of SQLite's steps."""
    text, parameters = statement
    if tx.dialect.name == "postgresql":
        explained = tx.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", parameters).scalar_one()
        return round(_taken(explained[0]["Plan"]))
    driver: Any = tx.connection.driver_connection
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    driver.set_progress_handler(count, _OPS)
    try:
        tx.exec_driver_sql(text, parameters).all()
    finally:
        driver.set_progress_handler(None, 0)
    return counted


def _taken(node: dict[str, Any]) -> float:
    own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return own * node["Actual Loops"] + sum(_taken(below) for below in node.get("Plans", ()))


CASES = {
    # What a list asks for, how many jobs there are, and the most work a page of fifty may be.
    "rare": (["rare"], 5, 300),
    "common and rare": (["all", "wide", "rare"], 5, 300),
    "rare and common": (["rare", "all"], 5, 300),
    "common and common": (["all", "even"], JOBS // 2, 1_500),
    "many commons": (["all", "wide", "broad", "even"], JOBS // 2, 1_500),
    "nobody has one": (["all", "absent"], 0, 0),
    # Half of the jobs have the first; one look under the label that shuts it out is enough for each of them.
    "two that exclude each other": (["even", "odd"], 0, 3 * JOBS),
    "two among many": (["all", "wide", "broad", "even", "odd"], 0, 6 * JOBS),
}


@pytest.mark.parametrize("sort", ["created_at", "-created_at"])
@pytest.mark.parametrize("name", CASES)
def test_a_page_of_jobs_with_labels_costs_what_its_rarest_label_does(
    many: Database, name: str, sort: Any
) -> None:
    labels, number, most = CASES[name]
    filters = Filters(metadata=dict.fromkeys(labels, "yes"))
    with many.reading() as tx, statements(tx) as sent:
        page = jobs.page(tx, filters, sort=sort)
    assert len(page.rows) == min(number, 50)
    assert (page.next is not None) == (number > 50)
    with many.reading() as tx:
        pages = [each for each in sent if "FROM jobs" in each[0]]
        assert sum(_work(tx, each) for each in pages) <= most
        # What finds the order costs the same however many jobs there are.
        assert sum(_work(tx, each) for each in sent if each not in pages) <= 30_000
        assert not any(sorts(plan(tx, each)) for each in pages)


def test_pages_of_jobs_with_labels_hold_each_once(many: Database) -> None:
    filters = Filters(metadata=dict.fromkeys(["early", "even", "all"], "yes"))
    seen, cursor = [], None
    with many.reading() as tx:
        while len(seen) < 600:
            page = jobs.page(tx, filters, limit=200, cursor=cursor)
            seen += [job.id for job in page.rows]
            cursor = page.next
    assert seen == [f"job_{JOBS // 2 - 2 * place:08d}" for place in range(600)]
