"""Jobs and datasets for the store's tests, and jobs brought into every state there is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa

from store import checkpoints, datasets, ids, jobs, tables
from store.curves import Point, record
from store.files import Stored
from store.jobs import Job, actions, arrows
from store.session import PROJECT, Connection, Database

T = TypeVar("T")


def together(works: Sequence[Callable[[], T]]) -> list[T]:
    """Run them in threads that begin at the same moment."""
    start = threading.Barrier(len(works))

    def begin(work: Callable[[], T]) -> T:
        start.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(begin, works))


@contextmanager
def elsewhere(tx: Connection) -> Iterator[Connection]:
    """The same transaction, as another project sees it."""
    mine = tx.get_execution_options()[PROJECT]
    yield tx.execution_options(**{PROJECT: "other"})
    tx.execution_options(**{PROJECT: mine})


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
        (job,) = jobs.claim(tx, worker=worker, queues=["cpu"], lease_seconds=lease_seconds)
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


def keep(
    database: Database, job: Job, number: int, epoch: int, *, batch: int = 0, size: int = 100
) -> list[str] | None:
    """Point to a checkpoint of a running job; what `checkpoints.add` answers."""
    stored = Stored(checkpoints.key(job.id, job.fence, number), "c" * 64, size)
    with database.writing() as tx:
        return checkpoints.add(tx, job.id, job.fence, stored, number=number, epoch=epoch, batch=batch)


_REQUESTS = {
    "cancel": actions.request_cancel,
    "finish": actions.request_finish,
    "pause": actions.request_pause,
}


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
    """By its worker, after three epochs and a checkpoint."""
    job = running(database)
    with database.writing() as tx:
        actions.request_pause(tx, job.id)
        assert record(tx, job.id, job.fence, points(1, 3))
    assert keep(database, job, 1, 3) == []
    with database.writing() as tx:
        assert arrows.paused(tx, job.id, job.fence)
    return look(database, job)


def _paused_before_it_ran(database: Database) -> Job:
    job = add_job(database)
    with database.writing() as tx:
        return actions.request_pause(tx, job.id)


def _queued_again(database: Database) -> Job:
    """It ran, kept a checkpoint, and its worker was told to stop."""
    job = _paused(database)
    with database.writing() as tx:
        return actions.request_resume(tx, job.id)


def _queued_to_finish(database: Database) -> Job:
    job = _paused(database)
    with database.writing() as tx:
        return actions.request_finish(tx, job.id)


STATES: dict[str, Callable[[Database], Job]] = {
    "queued": add_job,
    "queued again": _queued_again,
    "queued to finish": _queued_to_finish,
    "running": running,
    "asked to cancel": _asked("cancel"),
    "asked to finish": _asked("finish"),
    "asked to pause": _asked("pause"),
    "quiet": lambda database: running(database, lease_seconds=-1),
    "quiet, asked to cancel": _asked("cancel", lease_seconds=-1),
    "quiet, asked to pause": _asked("pause", lease_seconds=-1),
    "paused": _paused,
    "paused before it ran": _paused_before_it_ran,
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
