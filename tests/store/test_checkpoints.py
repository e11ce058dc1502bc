"""Checkpoints' rows: the last two of a job, never ahead of its curve, and what a claim makes of them."""

from __future__ import annotations

from functools import partial

import pytest

from store import checkpoints, events, jobs
from store.curves import read, record
from store.errors import GapInCurve
from store.jobs import Job
from store.session import Database
from tests.store.examples import add_job, claim, keep, look, points, running, together


def _with_two(database: Database, *, lease_seconds: float = 30) -> Job:
    """Checkpoints of epochs 3 and 5, and seven epochs."""
    job = running(database, lease_seconds=lease_seconds)
    for number, (first, last) in enumerate([(1, 3), (4, 5)], 1):
        with database.writing() as tx:
            assert record(tx, job.id, job.fence, points(first, last))
        assert keep(database, job, number, last) == []
    with database.writing() as tx:
        assert record(tx, job.id, job.fence, points(6, 7))
    return job


def _epochs(database: Database, job: Job) -> list[int]:
    with database.reading() as tx:
        return [one.epoch for one in checkpoints.of(tx, job.id)]


def test_the_last_two_are_kept_the_newest_first(database: Database) -> None:
    job = _with_two(database)
    assert keep(database, job, 3, 7) == [checkpoints.key(job.id, job.fence, 1)]
    assert _epochs(database, job) == [7, 5]


@pytest.mark.parametrize("epoch", [6, 8])
def test_none_is_ahead_of_its_curve_or_behind_it(database: Database, epoch: int) -> None:
    job = _with_two(database)
    with pytest.raises(GapInCurve):
        keep(database, job, 3, epoch)
    assert _epochs(database, job) == [5, 3]


def test_a_claim_goes_on_from_the_newest(database: Database) -> None:
    job = _with_two(database, lease_seconds=-1)
    with database.writing() as tx:
        jobs.expire(tx, max_attempts=3, backoff_seconds=0)
    assert look(database, job).epoch == 7, "what was measured stays readable while it waits"
    again = claim(database)
    assert again.epoch == 5
    with database.writing() as tx:
        assert read(tx, job.id).epochs == [1, 2, 3, 4, 5]
        told = [(event.kind, event.data) for event in events.log(tx, job.id)][-2:]
        assert record(tx, again.id, again.fence, points(6, 6))
    assert told == [
        ("rewound", {"epoch": 5, "attempt": 2}),
        ("status", {"status": "running", "attempt": 2}),
    ]


def test_nothing_is_rewound_where_the_curve_ends_with_the_checkpoint(database: Database) -> None:
    job = _with_two(database)
    assert keep(database, job, 3, 7, batch=2) is not None
    with database.writing() as tx:
        assert jobs.release(tx, job.id, job.fence, detail="draining")
    assert claim(database).epoch == 7
    with database.reading() as tx:
        assert "rewound" not in [event.kind for event in events.log(tx, job.id)]


def test_a_damaged_one_falls_back_to_the_one_before_it_and_then_to_the_start(database: Database) -> None:
    job = _with_two(database)
    with database.reading() as tx:
        newest, older = checkpoints.of(tx, job.id)
    for damaged, epoch in ((newest, 3), (older, 0)):
        with database.writing() as tx:
            assert checkpoints.fall_back(tx, job.id, job.fence, damaged, why="its digest is another")
        assert look(database, job).epoch == epoch
        with database.reading() as tx:
            assert read(tx, job.id).epochs == list(range(1, epoch + 1))
            warning, rewound = events.log(tx, job.id)[-2:]
        assert "its digest is another" in warning.data["detail"]
        assert (rewound.kind, rewound.data) == ("rewound", {"epoch": epoch, "attempt": 1})
    assert _epochs(database, job) == []


def test_rows_know_their_files(database: Database) -> None:
    job = _with_two(database)
    mine = [checkpoints.key(job.id, job.fence, number) for number in (1, 2)]
    with database.reading() as tx:
        assert checkpoints.known(tx, [*mine, "checkpoints/other"]) == set(mine)


def test_a_deleted_job_names_every_file(database: Database) -> None:
    job = _with_two(database)
    with database.writing() as tx:
        assert jobs.fail(tx, job.id, job.fence, stop_reason="internal_error")
        assert jobs.delete(tx, job.id) == []
        assert checkpoints.of(tx, job.id) == []


def test_the_time_spent_is_kept_over_attempts(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert jobs.beat(tx, job.id, job.fence, 30, runtime_seconds=12.5).still_mine
        assert jobs.beat(tx, job.id, job.fence, 30).still_mine
        assert jobs.release(tx, job.id, job.fence, detail="draining")
    assert claim(database).runtime_seconds == 12.5


def test_a_checkpoint_and_the_loss_of_the_job_race(database: Database) -> None:
    """Either the checkpoint is kept and its loss does not count, or it is refused and it does."""
    for _ in range(10):
        job = running(database, lease_seconds=-1)
        with database.writing() as tx:
            assert record(tx, job.id, job.fence, points(1, 2))

        def expire() -> list[str] | None:
            with database.writing() as tx:
                return jobs.expire(tx, max_attempts=9, backoff_seconds=3600).requeued

        kept, requeued = together([partial(keep, database, job, 1, 2), expire])
        if kept is None:
            assert requeued == [job.id]
        if not requeued:  # passed over, because the checkpoint was just being written
            assert expire() == [job.id]
        assert look(database, job).lost == (kept is None)
        assert _epochs(database, job) == ([] if kept is None else [2])


def test_a_claim_reads_one_jobs_checkpoints(database: Database) -> None:
    first = _with_two(database)
    with database.writing() as tx:
        assert jobs.release(tx, first.id, first.fence, detail="draining", delay_seconds=60)
    add_job(database)
    assert claim(database).epoch == 0
