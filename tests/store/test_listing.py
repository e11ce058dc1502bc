"""Lists: every filter, every order, every page, and each page by index alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import StatementError

from store import jobs, tables
from store.columns import now
from store.errors import BadCursor, NotFound
from store.jobs import Filters, Job
from store.pages import cursor_of
from store.projects import here, own
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.servers import Databases
from tests.store.examples import add_dataset, add_job, claim, elsewhere, look, running
from tests.store.watching import plan, scans, sorts, statements

TEAMS = ("risk", "fraud", "research")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest, migrated_sqlite: Path) -> Iterator[Database]:
    """A database of this module's own, on which its tests only look."""
    if request.param == "sqlite":
        path = migrated_sqlite.with_name("full.db")
        shutil.copyfile(migrated_sqlite, path)
        with Database(f"sqlite:///{path}") as database:
            yield database.of(DEFAULT_PROJECT)
    else:
        databases: Databases = request.getfixturevalue("postgres_databases")
        with databases.fresh() as url, Database(url) as database:
            yield database.of(DEFAULT_PROJECT)


@pytest.fixture(scope="module")
def thirty(full: Database) -> list[Job]:
    """Thirty jobs, oldest first: two datasets, three teams, some names; the first ten ended in two ways."""
    with full.writing() as tx:
        datasets = [add_dataset(tx, name=name).id for name in ("digits", "wine")]
    added = [
        add_job(
            full,
            dataset_id=datasets[n % 2],
            name=f"job-{n % 5}",
            study_id=f"study_{n % 4}",
            metadata={"team": TEAMS[n % 3], "n": n, "half": n / 2, "even": n % 2 == 0, "none": None},
        )
        for n in range(30)
    ]
    for n in range(10):
        job = claim(full)
        with full.writing() as tx:
            if n % 2:
                jobs.fail(tx, job.id, job.fence, stop_reason="diverged")
            else:
                jobs.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={})
    return [look(full, job) for job in added]


def _all(database: Database, filters: Filters | None = None, *, limit: int = 7, **options: Any) -> list[Job]:
    """Every page, one behind the other."""
    rows: list[Job] = []
    cursor = None
    with database.reading() as tx:
        while True:
            page = jobs.page(tx, filters, limit=limit, cursor=cursor, **options)
            assert len(page.rows) <= limit
            rows += page.rows
            if page.next is None:
                return rows
            assert len(page.rows) == limit
            cursor = page.next


def test_pages_hold_every_job_once_in_order(full: Database, thirty: list[Job]) -> None:
    for limit in (1, 7, 10, 29, 30, 31):
        assert _all(full, limit=limit) == thirty[::-1]
        assert _all(full, limit=limit, sort="created_at") == thirty


def test_jobs_of_the_same_moment_are_paged_by_id(database: Database) -> None:
    with database.writing() as tx:
        dataset = add_dataset(tx).id
        added = [jobs.add(tx, spec={}, dataset_id=dataset, max_epochs=1).id for _ in range(9)]
        tx.execute(tables.jobs.update().values(created_at=now()))
    assert [job.id for job in _all(database, limit=2, sort="created_at")] == added
    assert [job.id for job in _all(database, limit=2)] == added[::-1]


FILTERS: dict[str, tuple[Callable[[list[Job]], Filters], Callable[[Job], bool]]] = {
    "status": (lambda _: Filters(status=["failed"]), lambda job: job.status == "failed"),
    "statuses": (
        lambda _: Filters(status=["failed", "queued"]),
        lambda job: job.status in ("failed", "queued"),
    ),
    "stop_reason": (lambda _: Filters(stop_reason=["diverged"]), lambda job: job.stop_reason == "diverged"),
    "dataset's name": (lambda _: Filters(dataset="wine"), lambda job: job.dataset_name == "wine"),
    "dataset's id": (
        lambda thirty: Filters(dataset=thirty[0].dataset_id),
        lambda job: job.dataset_name == "digits",
    ),
    "no such dataset": (lambda _: Filters(dataset="iris"), lambda job: False),
    "study": (lambda _: Filters(study="study_1"), lambda job: job.study_id == "study_1"),
    "name": (lambda _: Filters(name="job-3"), lambda job: job.name == "job-3"),
    "text label": (lambda _: Filters(metadata={"team": "risk"}), lambda job: job.metadata["team"] == "risk"),
    "whole label": (lambda _: Filters(metadata={"n": "7"}), lambda job: job.metadata["n"] == 7),
    "decimal label": (lambda _: Filters(metadata={"half": "3.5"}), lambda job: job.metadata["n"] == 7),
    "true label": (lambda _: Filters(metadata={"even": "true"}), lambda job: job.metadata["even"]),
    "null label": (lambda _: Filters(metadata={"none": "null"}), lambda job: True),
    "two labels": (
        lambda _: Filters(metadata={"team": "risk", "even": "false"}),
        lambda job: job.metadata["team"] == "risk" and not job.metadata["even"],
    ),
    "label and status": (
        lambda _: Filters(metadata={"team": "risk"}, status=["queued"]),
        lambda job: job.metadata["team"] == "risk" and job.status == "queued",
    ),
    "no such label": (lambda _: Filters(metadata={"team": "riskier"}), lambda job: False),
    "several": (
        lambda _: Filters(name="job-3", dataset="wine", status=["queued"]),
        lambda job: (job.name, job.dataset_name, job.status) == ("job-3", "wine", "queued"),
    ),
}


@pytest.mark.parametrize("sort", ["created_at", "-created_at"])
@pytest.mark.parametrize("name", FILTERS)
def test_filters(full: Database, thirty: list[Job], name: str, sort: str) -> None:
    filters, matches = FILTERS[name]
    expected = [job for job in thirty if matches(job)]
    found = _all(full, filters(thirty), limit=4, sort=sort)
    assert found == (expected if sort == "created_at" else expected[::-1])


def test_created_after_and_before_leave_the_moments_themselves_out(full: Database, thirty: list[Job]) -> None:
    after, before = thirty[4].created_at, thirty[20].created_at
    expected = [job for job in thirty if after < job.created_at < before]
    assert 0 < len(expected) < 30
    assert _all(full, Filters(created_after=after, created_before=before), sort="created_at") == expected
    team = Filters(created_after=after, created_before=before, metadata={"team": "risk"})
    assert _all(full, team, sort="created_at") == [job for job in expected if job.metadata["team"] == "risk"]


PLANNED = {name: FILTERS[name][0] for name in FILTERS if name not in ("statuses", "no such dataset")}
PLANNED["nothing"] = lambda _: Filters()
PLANNED["created"] = lambda thirty: Filters(
    created_after=thirty[0].created_at, created_before=thirty[9].created_at
)


@pytest.mark.parametrize("sort", ["created_at", "-created_at"])
@pytest.mark.parametrize("name", PLANNED)
def test_every_page_comes_from_an_index_in_its_order(
    full: Database, thirty: list[Job], name: str, sort: Any
) -> None:
    """Neither a scan nor a sort: what makes page 1,000 cost what page 1 does."""
    cursor = cursor_of(thirty[15].created_at, thirty[15].id)
    with full.reading() as tx:
        with statements(tx) as sent:
            jobs.page(tx, PLANNED[name](thirty), sort=sort, cursor=cursor)
        found = plan(tx, sent[-1])
    assert not sorts(found), found
    assert not scans(found), found


def test_a_kept_statement_says_nothing_without_its_project(database: Database) -> None:
    job = add_job(database)
    kept = sa.select(tables.jobs.c.id).where(own(tables.jobs))
    with database.reading() as tx:
        assert tx.execute(kept, here(tx)).scalars().all() == [job.id]
        with pytest.raises(StatementError, match="own_project_id"):
            tx.execute(kept)


def test_a_job_is_one_query(database: Database) -> None:
    job = add_job(database)
    with database.reading() as tx, statements(tx) as sent:
        assert jobs.get(tx, job.id) == job
        assert len(sent) == 1
        found = jobs.glance(tx, job.id)
        assert len(sent) == 2
    assert (found.status, found.requested_action, found.last_event) == ("queued", None, 1)


def test_beating_for_many_jobs_takes_as_many_statements_as_for_one(database: Database) -> None:
    for number in (1, 5):
        held = [running(database) for _ in range(number)]
        with database.writing() as tx, statements(tx) as sent:
            beats = jobs.beat_all(tx, [jobs.Renewal(job.id, job.fence) for job in held], 30)
        assert all(beat.still_mine for beat in beats)
        assert len(sent) == 2


@pytest.mark.parametrize(
    "cursor", ["", "x", "ä", "!!!!", "MTIz", "eA", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5LmE", "MS4A", "MQ"]
)
def test_a_made_up_cursor_is_refused(database: Database, cursor: str) -> None:
    with database.reading() as tx, pytest.raises(BadCursor):
        jobs.page(tx, cursor=cursor)


def test_a_cursor_of_a_deleted_job_still_leads_on(database: Database) -> None:
    added = [add_job(database) for _ in range(4)]
    with database.writing() as tx:
        page = jobs.page(tx, sort="created_at", limit=2)
        jobs.request_cancel(tx, added[1].id)
        jobs.delete(tx, added[1].id)
        assert jobs.page(tx, sort="created_at", limit=2, cursor=page.next).rows == added[2:]


@pytest.mark.parametrize("job_id", ["job_unknown", "", "job_\x00", "job_\ud800", "x" * 10_000, "jöb"])
def test_an_id_of_nothing_is_not_found(database: Database, job_id: str) -> None:
    with database.writing() as tx:
        for look_up in (jobs.get, jobs.glance, jobs.request_cancel, jobs.request_finish, jobs.delete):
            with pytest.raises(NotFound) as absence:
                look_up(tx, job_id)
            assert len(str(absence.value)) < 200


def test_another_projects_jobs_are_not_there(database: Database) -> None:
    job = add_job(database, metadata={"team": "risk"}, name="mine")
    with database.writing() as tx:
        for filters in (
            Filters(),
            Filters(name="mine"),
            Filters(metadata={"team": "risk"}),
            Filters(dataset="digits"),
        ):
            assert jobs.page(tx, filters).rows == [job]
            with elsewhere(tx):
                assert jobs.page(tx, filters).rows == []
        for look_up in (jobs.get, jobs.glance, jobs.request_cancel, jobs.request_finish, jobs.delete):
            with elsewhere(tx), pytest.raises(NotFound):
                look_up(tx, job.id)
    assert look(database, job) == job


def test_times_of_a_filter_need_their_zone(database: Database) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with database.reading() as tx, pytest.raises(ValueError, match="zone"):
        jobs.page(tx, Filters(created_after=naive))
