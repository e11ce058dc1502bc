"""An upgrade with jobs queued and running: they are worked off by the new version as if nothing had been."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from store import datasets, ids, jobs, migrate, row_sizes, tables, usage, workers
from store.columns import now
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.servers import Databases


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database as version 0.1 made it."""
    if request.param == "sqlite":
        with Database(f"sqlite:///{tmp_path}/old.db") as database:
            migrate.upgrade(database, "0001")
            yield database.of(DEFAULT_PROJECT)
    else:
        databases: Databases = request.getfixturevalue("postgres_databases")
        with databases.fresh(migrated=False) as url, Database(url) as database:
            migrate.upgrade(database, "0001")
            yield database.of(DEFAULT_PROJECT)


def _insert(tx: sa.Connection, table: str, **values: Any) -> None:
    """A row as that version's own statement wrote it; the times are the database's."""
    written = {
        name: orjson.dumps(value).decode() if isinstance(value, dict | list) else value
        for name, value in values.items()
    }
    clocks = [name for name, value in written.items() if isinstance(value, now)]
    columns = [sa.column(name, sa.DateTime(timezone=True) if name in clocks else None) for name in written]
    tx.execute(sa.insert(sa.table(table, *columns)).values(written))


def _job(tx: sa.Connection, dataset_id: str, **changes: Any) -> str:
    values: dict[str, Any] = {
        "id": ids.new("job"),
        "project_id": DEFAULT_PROJECT,
        "dataset_id": dataset_id,
        "status": "queued",
        "spec": {"dataset": "digits"},
        "warnings": [],
        "metadata": {},
        "queue": "cpu",
        "priority": 0,
        "due_at": now(),
        "fence": 0,
        "attempt": 0,
        "lost": 0,
        "last_event": 1,
        "epoch": 0,
        "max_epochs": 50,
        "created_at": now(),
    }
    _insert(tx, "jobs", **{**values, **changes})
    return str({**values, **changes}["id"])


def _dataset(tx: sa.Connection) -> str:
    dataset_id = ids.new("ds")
    _insert(
        tx, "datasets", id=dataset_id, project_id=DEFAULT_PROJECT, name="digits", bundled=True, sha256="a",
        bytes=1, target="y", task="classification", rows=10, features=2, description={"columns": []},
        table_key="datasets/x.parquet", table_sha256="b", table_bytes=1, created_at=now(),
    )  # fmt: skip
    return dataset_id


def test_jobs_queued_and_running_go_on(old: Database) -> None:
    with old.writing() as tx:
        dataset_id = _dataset(tx)
        held = {"status": "running", "fence": 1, "attempt": 1, "worker_id": "worker_old"}
        running = _job(tx, dataset_id, **held, lease_expires_at=now(30), epoch=7)
        lost = _job(tx, dataset_id, **held, lease_expires_at=now(-1))
        queued = _job(tx, dataset_id)

    migrate.upgrade(old)

    # The worker of the old version still has its job, and may go on telling of it.
    with old.writing() as tx:
        assert jobs.beat(tx, running, 1, 30).still_mine
    assert look_up(old, running).epoch == 7
    with old.writing() as tx:
        assert jobs.expire(tx, max_attempts=3, backoff_seconds=0).requeued == [lost]
    with old.writing() as tx:
        taking = {"worker": "worker_new", "queues": ["cpu"], "lease_seconds": 30, "at_most": 64}
        claimed = [[job.id for job in jobs.claim(tx, **taking)] for _ in range(2)]  # type: ignore[arg-type]
    assert sorted(claimed) == sorted([[lost], [queued]]), "from before there were stacks: each alone"


def test_workers_of_the_version_before_are_known_and_may_go_on(old: Database) -> None:
    """They say what they said: neither that a GPU has a name, nor that something is wrong."""
    migrate.upgrade(old, "0005")
    beat = {"host": "h", "pid": 7, "jobs": 0, "device": "cuda", "version": "0.1", "node": "n"}
    with old.writing() as tx:
        _insert(tx, "workers", id="before", queues=["gpu"], **beat, started_at=now(), seen_at=now())
    migrate.upgrade(old)
    with old.writing() as tx:
        _insert(tx, "workers", id="still", queues=["cpu"], **beat, started_at=now(), seen_at=now())
    with old.reading() as tx:
        found = {each.id: (each.device, each.device_name, each.problem) for each in workers.alive(tx, 30)}
    assert found == dict.fromkeys(("before", "still"), ("cuda", None, None))


def look_up(database: Database, job_id: str) -> jobs.Job:
    with database.reading() as tx:
        return jobs.get(tx, job_id)


def test_upgrading_twice_changes_nothing(old: Database) -> None:
    migrate.upgrade(old)
    migrate.upgrade(old)
    migrate.check(old)


def test_what_was_stored_before_there_were_sums(old: Database) -> None:
    """Files to the byte, open jobs exactly, rows nearly: a curve is reckoned from its last epoch."""
    migrate.upgrade(old, "0005")
    epochs, note = 40, "x" * 1_000
    with old.writing() as tx:
        bundled, mine = _dataset(tx), ids.new("ds")
        _insert(
            tx, "datasets", id=mine, project_id=DEFAULT_PROJECT, name="mine", bundled=False, sha256="b",
            bytes=9, target="y", task="regression", rows=10, features=2, description={"note": note},
            table_key="datasets/y.parquet", table_sha256="b", table_bytes=70_000, created_at=now(),
        )  # fmt: skip
        ended = {"status": "succeeded", "finished_at": now(), "attempt": 1, "result": {"note": note}}
        done = _job(tx, mine, **ended, epoch=epochs, last_event=epochs + 3)
        open_ = [_job(tx, bundled), _job(tx, bundled, status="paused", epoch=1)]
        _job(tx, bundled, project_id="other")
        _insert(
            tx, "weights", job_id=done, key="w", sha256="c", bytes=4_000, summary={"note": note},
            created_at=now(),
        )  # fmt: skip
        _insert(
            tx, "checkpoints", job_id=open_[1], number=1, fence=1, epoch=1, batch=0, key="k", sha256="c",
            bytes=600, created_at=now(),
        )  # fmt: skip
        for epoch in range(1, epochs + 1):
            _insert(
                tx, "points", job_id=done, epoch=epoch, event=epoch + 2, at=now(),
                values={"val_loss": 0.125},
            )  # fmt: skip

    migrate.upgrade(old)

    rows = 3 * len(note) + epochs * (row_sizes.EPOCH + len('{"val_loss":0.125}')) + 3 * row_sizes.JOB
    with old.reading() as tx:
        used, others = usage.of(tx, DEFAULT_PROJECT), usage.of(tx, "other")
        assert not usage.has_drifted(tx)
    assert (used.open_jobs, others.open_jobs) == (2, 1)
    assert used.stored_bytes - 70_000 - 4_000 - 600 == pytest.approx(rows, abs=3_000)
    assert 0 < others.stored_bytes < 2_000
    with old.writing() as tx:
        usage.forget_jobs(tx, [done, *open_])
        tx.execute(tables.jobs.delete().where(tables.jobs.c.project_id == DEFAULT_PROJECT))
        datasets.delete(tx, mine)
        assert usage.of(tx, DEFAULT_PROJECT).stored_bytes == 0
