"""Claiming: the next best job, once, by exactly one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import TypeVar

import pytest

from store import events, jobs, weights
from store.curves import read, record
from store.errors import ActionNotAllowed, NotFound
from store.files import Stored
from store.jobs import Job
from store.session import Database
from tests.store.examples import add_dataset, add_job, claim, look, points, running, together

T = TypeVar("T")


def _claim(database: Database, worker: str, queues: tuple[str, ...] = ("cpu",)) -> Job | None:
    with database.writing() as tx:
        return jobs.claim(tx, worker=worker, queues=queues, lease_seconds=30)


def _claims_of_four(work: Callable[[Database, str], T], database: Database) -> list[T]:
    return together([partial(work, database, f"worker-{number}") for number in range(4)])


def test_a_claim_says_who_has_it_and_until_when(database: Database) -> None:
    queued = add_job(database, name="first", metadata={"team": "risk"})
    job = claim(database, lease_seconds=30)
    assert (job.id, job.status, job.worker_id) == (queued.id, "running", "worker-a")
    assert (job.attempt, job.fence) == (1, 1)
    assert job.started_at is not None
    assert job.lease_expires_at is not None
    assert 29 < (job.lease_expires_at - job.started_at).total_seconds() < 31
    assert job == look(database, job)


def test_nothing_waits(database: Database) -> None:
    assert _claim(database, "worker-a") is None


def test_priority_then_age(database: Database) -> None:
    low, first, second, high = (add_job(database, priority=priority).id for priority in (-1, 0, 0, 5))
    assert [claim(database).id for _ in range(4)] == [high, first, second, low]


def test_only_from_its_queues(database: Database) -> None:
    gpu = add_job(database, queue="gpu")
    cpu = add_job(database, queue="cpu")
    first = _claim(database, "cpu-worker")
    assert first is not None
    assert first.id == cpu.id
    assert _claim(database, "cpu-worker") is None
    second = _claim(database, "gpu-worker", ("gpu", "cpu"))
    assert second is not None
    assert second.id == gpu.id


def test_not_before_it_is_due(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert jobs.release(tx, job.id, job.fence, detail="disk full", delay_seconds=60)
        assert jobs.claim(tx, worker="worker-b", queues=["cpu"], lease_seconds=30) is None
        assert jobs.waiting(tx) == {}


def test_two_claims_race_and_one_wins(database: Database) -> None:
    for _ in range(10):
        job = add_job(database)
        claims = _claims_of_four(_claim, database)
        (won,) = [claimed for claimed in claims if claimed]
        assert won.id == job.id
        assert look(database, job).worker_id == won.worker_id
        assert look(database, job).fence == 1


def test_what_another_is_just_taking_is_passed_over(postgres_url: str) -> None:
    """Where rows are locked one by one, nobody waits for a claim or reconciler that has not committed yet."""
    with Database(postgres_url) as database:
        first, second = add_job(database), add_job(database)
        with database.writing() as slow:
            taken = jobs.claim(slow, worker="slow", queues=["cpu"], lease_seconds=-1)
            assert taken is not None
            assert taken.id == first.id
            assert claim(database, lease_seconds=-1).id == second.id
        with database.writing() as slow, database.writing() as other:
            assert len(jobs.expire(slow, max_attempts=3, backoff_seconds=0).requeued) == 2
            other.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
            assert jobs.expire(other, max_attempts=3, backoff_seconds=0) == jobs.Expired()


def test_many_claims_take_each_job_once(database: Database) -> None:
    queued = {add_job(database).id for _ in range(30)}

    def take_all(database: Database, worker: str) -> list[str]:
        return [job.id for job in iter(partial(_claim, database, worker), None)]

    taken = _claims_of_four(take_all, database)
    assert sorted(chain.from_iterable(taken)) == sorted(queued)


def _cancel(database: Database, job: Job) -> bool:
    try:
        with database.writing() as tx:
            jobs.request_cancel(tx, job.id)
    except ActionNotAllowed:
        return False
    return True


def _succeed(database: Database, job: Job) -> bool:
    with database.writing() as tx:
        return jobs.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={})


def test_an_acknowledged_cancel_is_never_followed_by_succeeded(database: Database) -> None:
    """P5, with the two racing: either the cancel is refused because it came too late, or it is kept."""
    seen = set()
    for _ in range(30):
        job = running(database)

        acknowledged, succeeded = together(
            [partial(_cancel, database, job), partial(_succeed, database, job)]
        )
        assert acknowledged != succeeded
        assert (look(database, job).status == "succeeded") is succeeded
        seen.add(acknowledged)
        if acknowledged:
            with database.writing() as tx:
                assert jobs.cancelled(tx, job.id, job.fence)
    assert seen


def test_cancelling_and_claiming_race(database: Database) -> None:
    for _ in range(20):
        job = add_job(database)

        works: list[Callable[[], object]] = [
            partial(_cancel, database, job),
            partial(_claim, database, "worker-a"),
        ]
        acknowledged, claimed = together(works)
        assert acknowledged
        now = look(database, job)
        if claimed is None:
            assert now.status == "cancelled"
        else:
            assert (now.status, now.requested_action) == ("running", "cancel")
            with database.writing() as tx:
                assert jobs.cancelled(tx, job.id, now.fence)


def test_the_curve_is_gapless_after_a_requeue(database: Database) -> None:
    job = running(database, lease_seconds=-1)
    with database.writing() as tx:
        assert record(tx, job.id, job.fence, points(1, 7))
        assert weights.put(tx, job.id, job.fence, Stored("weights/old", "c" * 64, 10), {})
        jobs.expire(tx, max_attempts=3, backoff_seconds=0)
    with database.reading() as tx:
        assert read(tx, job.id).epochs == list(range(1, 8)), "what was measured stays readable while it waits"

    again = claim(database, worker="worker-b")
    assert again.epoch == 0
    with database.writing() as tx:
        assert record(tx, again.id, again.fence, points(1, 2))
        assert record(tx, again.id, again.fence, points(3, 4))
        with pytest.raises(NotFound):
            weights.get(tx, job.id)
    with database.reading() as tx:
        assert read(tx, job.id).epochs == [1, 2, 3, 4]
        stream = events.stream_after(tx, job.id, 0)
    told = [(event.kind, event.data.get("status") or event.data["epoch"]) for event in stream]
    assert told == [
        ("status", "queued"),
        ("status", "running"),
        ("status", "queued"),
        ("rewound", 0),
        ("status", "running"),
        *(("epoch", epoch) for epoch in range(1, 5)),
    ]
    numbers = [event.number for event in stream]
    assert numbers == sorted(set(numbers))
    assert numbers[3] > 9, "numbers of what was deleted are not given out again"


def test_nothing_is_rewound_where_nothing_was_recorded(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert jobs.release(tx, job.id, job.fence, detail="draining")
    claim(database)
    with database.reading() as tx:
        assert "rewound" not in [event.kind for event in events.log(tx, job.id)]


def test_a_released_attempt_does_not_count_as_lost(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert jobs.release(tx, job.id, job.fence, detail="draining")
    assert (look(database, job).lost, claim(database).attempt) == (0, 2)


def test_the_first_start_stays(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert jobs.release(tx, job.id, job.fence, detail="draining")
    assert claim(database).started_at == job.started_at


def test_jobs_of_a_dataset_that_is_gone_are_refused(database: Database) -> None:
    with pytest.raises(NotFound, match="dataset"), database.writing() as tx:
        jobs.add(tx, spec={}, dataset_id="ds_gone", max_epochs=1)
    with database.writing() as tx:
        assert jobs.add(tx, spec={}, dataset_id=add_dataset(tx).id, max_epochs=1).status == "queued"
