"""Names and notes that change while others submit and delete: nobody waits for ever, and sums are right."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from store import datasets, jobs, projects, usage
from store.jobs import Described
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.store.examples import add_dataset, running, together

WAITING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def test_a_dataset_is_renamed_while_a_job_on_it_is_submitted(postgresql_database: Database) -> None:
    """Who submits holds the project and wants the dataset, who renames the reverse: both get both."""
    database = postgresql_database
    with database.writing() as tx:
        dataset = add_dataset(tx)
    locked, edited = threading.Barrier(2, timeout=10), threading.Barrier(2, timeout=10)

    def submit() -> None:
        with database.writing() as tx:
            projects.get(tx, DEFAULT_PROJECT, locked=True)
            locked.wait()
            edited.wait()
            jobs.add(tx, spec={}, dataset_id=dataset.id, max_epochs=1)

    def rename() -> None:
        locked.wait()
        with database.writing() as tx:
            datasets.edit(tx, dataset.id, lambda before: ("other", {}, None))
            edited.wait()
            projects.get(tx, DEFAULT_PROJECT, locked=True)

    together([submit, rename])
    with database.reading() as tx:
        assert (datasets.get(tx, dataset.id).name, len(jobs.page(tx).rows)) == ("other", 1)


def test_notes_that_are_written_while_their_job_is_deleted_are_not_counted(
    postgresql_database: Database,
) -> None:
    database = postgresql_database
    job = running(database)
    with database.writing() as tx:
        assert jobs.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={})

    def delete() -> None:
        with database.writing() as tx:
            jobs.delete(tx, job.id)

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as tx:
            jobs.edit(tx, job.id, lambda before: Described(before.name, before.metadata, "x" * 5000))
            deleting = pool.submit(delete)
            with database.reading() as other:
                while not other.execute(WAITING).scalar():
                    time.sleep(0.005)
                    other.rollback()
        deleting.result(10)
    with database.reading() as tx:
        assert not usage.has_drifted(tx)
