"""A stale fence can write nothing: whoever lost a job is told so, and leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from store import checkpoints, curves, events, jobs, weights
from store.checkpoints import Checkpoint
from store.events import Entry
from store.files import Stored
from store.jobs import Job, arrows
from store.session import Connection, Database
from tests.store.examples import add_job, claim, points
from tests.store.trials import on_trial, rows_of

STORED = Stored("weights/job.1.safetensors", "c" * 64, 10)
KEPT = Stored("checkpoints/job.1.1.safetensors", "c" * 64, 10)
GIVEN_UP = Checkpoint("job", 1, 1, 3, 0, KEPT.key, KEPT.sha256, 10, datetime.now(UTC))

WRITES: dict[str, Callable[[Connection, Job], object]] = {
    "epoch": lambda tx, job: curves.record(tx, job.id, job.fence, points(1, 2)),
    "next epoch": lambda tx, job: curves.record(tx, job.id, job.fence, points(4, 4)),
    "weights": lambda tx, job: weights.put(tx, job.id, job.fence, STORED, {}),
    "event": lambda tx, job: events.append(tx, job.id, Entry("warning", {}), fence=job.fence),
    "beat": lambda tx, job: jobs.beat(tx, job.id, job.fence, 30).still_mine,
    "succeed": lambda tx, job: arrows.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={}),
    "fail": lambda tx, job: arrows.fail(tx, job.id, job.fence, stop_reason="internal_error"),
    "cancelled": lambda tx, job: arrows.cancelled(tx, job.id, job.fence),
    "checkpoint": lambda tx, job: checkpoints.add(tx, job.id, job.fence, KEPT, number=1, epoch=3, batch=0),
    "fallback": lambda tx, job: checkpoints.fall_back(tx, job.id, job.fence, GIVEN_UP, why="damaged"),
    "paused": lambda tx, job: arrows.paused(tx, job.id, job.fence),
    "shelve": lambda tx, job: arrows.shelve(tx, job.id, job.fence, detail="quiet"),
    "release": lambda tx, job: arrows.release(tx, job.id, job.fence, detail="draining"),
    "lose": lambda tx, job: arrows.lose(tx, job.id, job.fence, detail="quiet", delay_seconds=0),
    "give_up": lambda tx, job: arrows.give_up(tx, job.id, job.fence, detail="quiet"),
    "bury": lambda tx, job: arrows.bury(tx, job.id, job.fence, detail="quiet"),
}


def _lost(database: Database) -> Job:
    """A job as a worker has it that was given up for dead; it waits in the queue again."""
    add_job(database)
    job = claim(database, lease_seconds=-1)
    with database.writing() as tx:
        assert curves.record(tx, job.id, job.fence, points(1, 3))
        assert jobs.expire(tx, max_attempts=3, backoff_seconds=0).requeued == [job.id]
    return job


def _taken(database: Database) -> Job:
    """…and that another has by now, quiet itself and asked to cancel, so that no other rule protects it."""
    job = _lost(database)
    other = claim(database, worker="worker-b", lease_seconds=-1)
    with database.writing() as tx:
        assert curves.record(tx, other.id, other.fence, points(1, 3))
        jobs.request_cancel(tx, other.id)
    return job


@pytest.mark.parametrize("fate", [_lost, _taken], ids=["requeued", "taken by another"])
def test_a_stale_fence_writes_nothing(database: Database, fate: Callable[[Database], Job]) -> None:
    _assert_that_nothing_is_written(database, fate(database))


def test_nobody_writes_to_a_finished_job(database: Database) -> None:
    add_job(database)
    job = claim(database, lease_seconds=-1)
    with database.writing() as tx:
        assert curves.record(tx, job.id, job.fence, points(1, 3))
        assert arrows.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={})
    _assert_that_nothing_is_written(database, job)


def _assert_that_nothing_is_written(database: Database, job: Job) -> None:
    before = rows_of(database)
    for name, write in WRITES.items():
        with on_trial(database) as trial:
            assert not write(trial.tx, job), name
        assert trial.after == before, name


def test_the_fresh_fence_may(database: Database) -> None:
    """The other half: what the tests above refuse does work for whoever has the job."""
    _lost(database)
    job = claim(database, worker="worker-b")
    with database.writing() as tx:
        assert curves.record(tx, job.id, job.fence, points(1, 3))
    before = rows_of(database)
    for name in ("next epoch", "weights", "event", "beat", "succeed", "fail", "release"):
        with on_trial(database) as trial:
            assert WRITES[name](trial.tx, job), name
        assert trial.after != before, name


def test_each_claim_and_each_loss_raises_the_fence(database: Database) -> None:
    lost = _lost(database)
    again = claim(database)
    assert lost.fence == 1
    assert again.fence == 3
    assert again.attempt == 2
