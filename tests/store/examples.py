"""Jobs and datasets for the store's tests, and jobs brought into every state there is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy as sa

from store import datasets, ids, jobs, tables
from store.curves import Point, record
from store.files import Stored
from store.jobs import Job, actions, arrows
from store.session import Connection, Database

T = TypeVar("T")


def together(works: Sequence[Callable[[], T]]) -> list[T]:
    """Run them in threads that begin at the same moment."""
    start = threading.Barrier(len(works))

    def begin(work: Callable[[], T]) -> T:
        start.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(begin, works))


def add_dataset(tx: Connection, **changes: Any) -> datasets.Dataset:
    values: dict[str, Any] = {
        "name": "digits",
        "sha256": ids.new("ds").rjust(64, "0"),
        "size": 1000,
        "target": "digit",
        "task": "classification",
        "rows": 1797,
        "features": 64,
        "description": {"columns": []},
        "table": Stored("datasets/example.parquet", "b" * 64, 900),
    }
    return datasets.add(tx, **{**values, **changes})[0]


def add_job(database: Database, **changes: Any) -> Job:
    """A queued job, with a dataset of its own unless one is given."""
    with database.writing() as tx:
        values = {"spec": {"dataset": "digits"}, "max_epochs": 50, **changes}
        values.setdefault("dataset_id", None)
        values["dataset_id"] = values["dataset_id"] or add_dataset(tx).id
        return jobs.add(tx, **values)


def claim(database: Database, *, worker: str = "worker-a", lease_seconds: float = 30) -> Job:
    with database.writing() as tx:
        job = jobs.claim(tx, worker=worker, queues=["cpu"], lease_seconds=lease_seconds)
    assert job is not None
    return job


def running(database: Database, *, lease_seconds: float = 30) -> Job:
    add_job(database)
    return claim(database, lease_seconds=lease_seconds)


def points(first: int, last: int) -> list[Point]:
    return [
        Point(epoch, {"train_loss": 1 / epoch, "val_loss": 1 / epoch + 0.1})
        for epoch in range(first, last + 1)
    ]


def look(database: Database, job: Job) -> Job:
    with database.reading() as tx:
        return jobs.get(tx, job.id)


def snapshot(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table: two that are equal mean that nothing at all was written."""
    with database.reading() as tx:
        return {
            table.name: sorted((tuple(row) for row in tx.execute(sa.select(table))), key=repr)
            for table in tables.metadata.sorted_tables
        }


_REQUESTS = {"cancel": actions.request_cancel, "finish": actions.request_finish}


def _asked(action: str, lease_seconds: float = 30) -> Callable[[Database], Job]:
    def build(database: Database) -> Job:
        job = running(database, lease_seconds=lease_seconds)
        with database.writing() as tx:
            return _REQUESTS[action](tx, job.id)

    return build


def _ended(end: Callable[[Connection, Job], bool], *, asked: str | None = None) -> Callable[[Database], Job]:
    def build(database: Database) -> Job:
        job = _asked(asked)(database) if asked else running(database)
        with database.writing() as tx:
            assert record(tx, job.id, job.fence, points(1, 3))
            assert end(tx, job)
        return look(database, job)

    return build


def _paused(database: Database) -> Job:
    """No arrow of this version leads here; later ones will, and those out of it are there."""
    job = add_job(database)
    with database.writing() as tx:
        tx.execute(tables.jobs.update().where(tables.jobs.c.id == job.id).values(status="paused"))
    return look(database, job)


STATES: dict[str, Callable[[Database], Job]] = {
    "queued": add_job,
    "running": running,
    "asked to cancel": _asked("cancel"),
    "asked to finish": _asked("finish"),
    "quiet": lambda database: running(database, lease_seconds=-1),
    "quiet, asked to cancel": _asked("cancel", lease_seconds=-1),
    "paused": _paused,
    "succeeded": _ended(
        lambda tx, job: arrows.succeed(
            tx, job.id, job.fence, stop_reason="max_epochs", result={"best_epoch": 3}
        )
    ),
    "finished": _ended(
        lambda tx, job: arrows.succeed(tx, job.id, job.fence, stop_reason="finished", result={}),
        asked="finish",
    ),
    "failed": _ended(lambda tx, job: arrows.fail(tx, job.id, job.fence, stop_reason="diverged")),
    "cancelled": _ended(lambda tx, job: arrows.cancelled(tx, job.id, job.fence), asked="cancel"),
}
