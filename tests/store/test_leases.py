"""Leases: renewed and judged by the database's clock alone."""

from __future__ import annotations

import time
from functools import partial

import sqlalchemy as sa

from store import jobs
from store.columns import now
from store.jobs import Expired
from store.jobs.leases import Beat
from store.session import Database
from tests.store.examples import add_job, claim, look, running, together


def _expire(database: Database, *, max_attempts: int = 3, backoff_seconds: float = 0) -> Expired:
    with database.writing() as tx:
        return jobs.expire(tx, max_attempts=max_attempts, backoff_seconds=backoff_seconds)


def test_a_beat_renews_the_lease_by_the_databases_clock(database: Database) -> None:
    job = running(database, lease_seconds=5)
    with database.writing() as tx:
        before = tx.execute(sa.select(now(30))).scalar_one()
        assert jobs.beat(tx, job.id, job.fence, 30) == Beat(True, None)
        after = tx.execute(sa.select(now(30))).scalar_one()
    renewed = look(database, job).lease_expires_at
    assert renewed is not None
    assert before <= renewed <= after


def test_a_beat_tells_what_is_asked(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        jobs.request_finish(tx, job.id)
        assert jobs.beat(tx, job.id, job.fence, 30) == Beat(True, "finish")
        jobs.request_cancel(tx, job.id)
        assert jobs.beat(tx, job.id, job.fence, 30) == Beat(True, "cancel")


def test_who_beats_keeps_the_job_and_who_goes_quiet_loses_it(database: Database) -> None:
    quiet, beating = running(database, lease_seconds=0.3), running(database, lease_seconds=0.3)
    assert _expire(database) == Expired()
    deadline = time.monotonic() + 5
    while not (expired := _expire(database)).requeued and time.monotonic() < deadline:
        with database.writing() as tx:
            assert jobs.beat(tx, beating.id, beating.fence, 0.3).still_mine
        time.sleep(0.02)
    assert expired == Expired(requeued=[quiet.id])
    assert look(database, beating).status == "running"
    assert (look(database, quiet).status, look(database, quiet).lost) == ("queued", 1)


def test_a_late_beat_saves_a_job_that_nobody_took(database: Database) -> None:
    job = running(database, lease_seconds=-1)
    with database.writing() as tx:
        assert jobs.beat(tx, job.id, job.fence, 30).still_mine
    assert _expire(database) == Expired()


def test_a_job_that_loses_its_workers_fails_at_last(database: Database) -> None:
    job = add_job(database)
    for _ in range(2):
        claim(database, lease_seconds=-1)
        assert _expire(database) == Expired(requeued=[job.id])
    claim(database, lease_seconds=-1)
    assert _expire(database) == Expired(failed=[job.id])
    failed = look(database, job)
    assert (failed.status, failed.stop_reason, failed.attempt, failed.lost) == ("failed", "worker_lost", 3, 3)
    assert failed.error == {
        "code": "worker_lost",
        "detail": "worker worker-a went quiet; 3 attempts were lost, and that is the limit",
    }
    assert _expire(database) == Expired()


def test_a_cancel_of_the_dead_is_finished_for_them(database: Database) -> None:
    job = running(database, lease_seconds=-1)
    with database.writing() as tx:
        jobs.request_cancel(tx, job.id)
    assert _expire(database) == Expired(cancelled=[job.id])
    assert look(database, job).status == "cancelled"


def test_a_lost_job_waits_longer_each_time(database: Database) -> None:
    delays = []
    job = add_job(database)
    for _ in range(4):
        with database.writing() as tx:
            tx.execute(sa.text("UPDATE jobs SET due_at = created_at"))
        claim(database, lease_seconds=-1)
        _expire(database, max_attempts=9, backoff_seconds=8)
        with database.reading() as tx:
            clock = tx.execute(sa.select(now())).scalar_one()
        delays.append(round((look(database, job).due_at - clock).total_seconds()))
    assert delays == [2, 4, 8, 8]


def test_reconcilers_share_the_work(database: Database) -> None:
    for _ in range(12):
        running(database, lease_seconds=-1)
    expired = together([partial(_expire, database)] * 4)
    requeued = [job_id for one in expired for job_id in one.requeued]
    assert len(requeued) == len(set(requeued)) == 12
    with database.reading() as tx:
        assert {job.lost for job in jobs.page(tx).rows} == {1}


def test_what_waits_is_counted_by_queue(database: Database) -> None:
    for queue in ("cpu", "cpu", "gpu"):
        add_job(database, queue=queue)
    running_job = claim(database)
    with database.reading() as tx:
        waiting = jobs.waiting(tx)
        assert {queue: found.jobs for queue, found in waiting.items()} == {"cpu": 1, "gpu": 1}
        assert all(0 <= found.oldest_seconds < 60 for found in waiting.values())
        assert jobs.counts(tx) == {"queued": 2, "running": 1}
    assert running_job.queue == "cpu"
