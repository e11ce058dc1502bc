"""Leases: renewed and judged by the database's clock alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa

from store import attempts, jobs, tables, workers
from store.columns import now
from store.curves import record
from store.jobs import Expired, Job
from store.jobs.leases import Beat, Renewal
from store.session import Database
from tests.store.examples import (
    add_dataset,
    add_job,
    claim,
    keep,
    look,
    points,
    running,
    snapshot,
    together,
)


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


def test_several_leases_are_renewed_together_each_for_itself(database: Database) -> None:
    mine, finishing, gone = (running(database) for _ in range(3))
    with database.writing() as tx:
        jobs.request_finish(tx, finishing.id)
        assert jobs.release(tx, gone.id, gone.fence, detail="taken away")
    before = snapshot(database)
    held = [Renewal(gone.id, 1, 9.0), Renewal(finishing.id, 1), Renewal(mine.id, 1, 2.5)]
    with database.writing() as tx:
        assert jobs.beat_all(tx, held, 60) == [Beat(False), Beat(True, "finish"), Beat(True, None)]
    assert look(database, gone).runtime_seconds == 0
    assert look(database, mine).runtime_seconds == 2.5
    for job in (mine, finishing):
        assert (look(database, job).lease_expires_at or job.created_at) > job.lease_expires_at  # type: ignore[operator]
    with database.writing() as tx:
        assert jobs.beat_all(tx, [Renewal(gone.id, gone.fence)], 60) == [Beat(False)]
    changed = {name for name, rows in snapshot(database).items() if rows != before[name]}
    assert changed == {"jobs"}


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


# ── what a loss counts ──────────────────────────────────────────────────────────────────────────────────────

LEASE = 8.0
"""So a beat is due every two seconds."""


def _seen(database: Database, worker: str, *, node: str | None, ago: float, job: Job | None = None) -> None:
    with database.writing() as tx:
        workers.seen(tx, worker, host="h", pid=1, queues=["cpu"], node=node, job_ids=[job.id] if job else [])
        row = tables.workers.c.id == worker
        tx.execute(tables.workers.update().where(row).values(seen_at=now(-ago)))


def _went_quiet(database: Database, *, worker: str = "one", node: str | None = "node") -> Job:
    """A job whose worker was last heard of ten seconds ago."""
    job = add_job(database)
    job = claim(database, worker=worker, lease_seconds=LEASE - 10)
    _seen(database, worker, node=node, ago=10, job=job)
    return job


def _expired(database: Database, max_attempts: int = 3) -> Expired:
    with database.writing() as tx:
        return jobs.expire(tx, max_attempts=max_attempts, backoff_seconds=0, lease_seconds=LEASE)


def _account(database: Database, job: Job) -> tuple[int, int]:
    now_ = look(database, job)
    return now_.lost, now_.lost_together


def test_a_loss_alone_counts(database: Database) -> None:
    job = _went_quiet(database)
    _seen(database, "its successor", node="node", ago=0.5)
    assert _expired(database).requeued == [job.id]
    assert _account(database, job) == (1, 0)


def test_a_loss_behind_a_newer_checkpoint_does_not_count(database: Database) -> None:
    job = _went_quiet(database)
    _seen(database, "its successor", node="node", ago=0.5)
    with database.writing() as tx:
        assert record(tx, job.id, job.fence, points(1, 2))
    keep(database, job, 1, 2)
    assert _expired(database, max_attempts=1).requeued == [job.id]
    assert _account(database, job) == (0, 0)
    again = claim(database, worker="somebody elsewhere", lease_seconds=LEASE - 10)
    assert again.epoch == 2
    assert _expired(database, max_attempts=1).failed == [job.id], "that checkpoint was not this attempt's"


def test_a_loss_with_its_whole_node_does_not_count(database: Database) -> None:
    job = _went_quiet(database)
    _seen(database, "an idle sibling", node="node", ago=9)
    _seen(database, "somebody elsewhere", node="another", ago=0)
    assert _expired(database).requeued == [job.id]
    assert _account(database, job) == (0, 1)


def test_two_jobs_lost_at_the_same_moment_do_not_count(database: Database) -> None:
    """The pool lives, and has replaced both children."""
    both = [_went_quiet(database, worker="one"), _went_quiet(database, worker="two")]
    _seen(database, "a successor", node="node", ago=0.5)
    assert set(_expired(database).requeued) == {job.id for job in both}
    assert [_account(database, job) for job in both] == [(0, 1), (0, 1)]


def test_a_job_lost_long_before_is_no_company(database: Database) -> None:
    job, other = _went_quiet(database), add_job(database)
    _seen(database, "dead for minutes", node="node", ago=300, job=other)
    _seen(database, "its successor", node="node", ago=0.5)
    _expired(database)
    assert _account(database, job) == (1, 0)


def test_the_loss_of_a_stack_does_not_count_and_then_each_is_alone(database: Database) -> None:
    """Any of them may be to blame. The one that is kills its worker alone next time, and then it counts."""
    with database.writing() as tx:
        dataset_id = add_dataset(tx).id
    stack = [add_job(database, dataset_id=dataset_id, stack_key="k", stack_limit=8) for _ in range(3)]
    with database.writing() as tx:
        claimed = jobs.claim(tx, worker="one", queues=["cpu"], lease_seconds=LEASE - 10, at_most=8)
    assert len(claimed) == 3
    _seen(database, "one", node="node", ago=10, job=claimed[0])
    _seen(database, "its successor", node="node", ago=0.5)
    assert sorted(_expired(database).requeued) == [job.id for job in stack]
    assert {_account(database, job) for job in stack} == {(0, 1)}
    _seen(database, "one", node="node", ago=60, job=claimed[0])
    again = claim(database, worker="two", lease_seconds=LEASE - 10)
    _seen(database, "two", node="node", ago=10, job=again)
    assert _expired(database).requeued == [again.id]
    assert _account(database, again) == (1, 1)


def test_without_a_node_nobody_is_company(database: Database) -> None:
    job = _went_quiet(database, node=None)
    _expired(database)
    assert _account(database, job) == (1, 0)


def test_a_job_that_takes_its_machine_down_is_found_out(database: Database) -> None:
    job = add_job(database)
    for number in range(1, 100):
        claim(database, worker=f"worker-{number}", lease_seconds=LEASE - 10)
        _seen(database, f"worker-{number}", node=f"node-{number}", ago=10, job=job)
        if _expired(database).failed:
            break
    assert number == 6, "three times it may have been chance"
    assert look(database, job).stop_reason == "worker_lost"


def test_the_pause_of_the_dead_is_finished_for_them(database: Database) -> None:
    job = running(database, lease_seconds=-1)
    with database.writing() as tx:
        assert record(tx, job.id, job.fence, points(1, 4))
    keep(database, job, 1, 4)
    with database.writing() as tx:
        jobs.request_pause(tx, job.id)
    assert _expire(database) == Expired(paused=[job.id])
    assert look(database, job).status == "paused"
    with database.writing() as tx:
        jobs.request_resume(tx, job.id)
    assert claim(database).epoch == 4


def test_a_pause_does_not_save_a_job_that_has_cost_too_many_workers(database: Database) -> None:
    job = running(database, lease_seconds=-1)
    with database.writing() as tx:
        jobs.request_pause(tx, job.id)
    assert _expire(database, max_attempts=1) == Expired(failed=[job.id])


def test_a_pause_and_the_loss_of_the_job_race(database: Database) -> None:
    for _ in range(6):
        job = running(database, lease_seconds=-1)

        def pause(job: Job = job) -> str:
            with database.writing() as tx:
                return jobs.request_pause(tx, job.id).status

        works: list[Callable[[], object]] = [pause, partial(_expire, database, max_attempts=99)]
        together(works)
        _expire(database, max_attempts=99)
        assert look(database, job).status == "paused"


# ── what a worker loses itself ──────────────────────────────────────────────────────────────────────────────

WHY = "its GPU was lost: CUDA error: an illegal memory access was encountered"


def _surrender(database: Database, job: Job, **options: Any) -> bool:
    with database.writing() as tx:
        return jobs.surrender(tx, job.id, job.fence, **{"why": WHY, "max_attempts": 3, **options})


def test_an_attempt_that_its_worker_gives_up_counts_at_once(database: Database) -> None:
    job = running(database)
    assert _surrender(database, job)
    left = look(database, job)
    assert (left.status, left.lost, left.lost_together, left.worker_id) == ("queued", 1, 0, None)
    with database.reading() as tx:
        (attempt,) = attempts.of(tx, job.id)
    assert (attempt.outcome, attempt.detail) == ("lost", WHY)
    assert not _surrender(database, job), "under a stale fence nothing is written"
    assert look(database, job) == left


def test_what_broke_for_others_too_counts_as_lost_together(database: Database) -> None:
    """Up to the limit, from which on it counts like any other."""
    add_job(database)
    for number in range(1, 4):
        job = claim(database)
        assert _surrender(database, job, with_others=True)
        assert _account(database, job) == (0, number)
    assert _surrender(database, claim(database), with_others=True)
    assert _account(database, job) == (1, 4)


def test_a_job_that_breaks_each_process_fails(database: Database) -> None:
    add_job(database)
    for lost in (1, 2, 3):
        job = claim(database)
        assert _surrender(database, job)
        assert look(database, job).lost == lost
    failed = look(database, job)
    assert (failed.status, failed.stop_reason) == ("failed", "worker_lost")
    assert failed.stop_detail == f"{WHY}; 3 attempts were lost, and that is the limit"


def test_giving_up_behind_a_checkpoint_does_not_count(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert record(tx, job.id, job.fence, points(1, 2))
    keep(database, job, 1, 2)
    assert _surrender(database, job, max_attempts=1)
    assert _account(database, job) == (0, 0)


def test_what_was_asked_of_it_is_done(database: Database) -> None:
    for asked, status in (("cancel", "cancelled"), ("pause", "paused")):
        job = running(database)
        with database.writing() as tx:
            getattr(jobs, f"request_{asked}")(tx, job.id)
        assert _surrender(database, job)
        assert look(database, job).status == status


def test_one_who_gives_up_waits_as_long_as_one_that_was_lost(database: Database) -> None:
    job = running(database)
    assert _surrender(database, job, backoff_seconds=8)
    with database.reading() as tx:
        due = tx.execute(sa.select(tables.jobs.c.due_at, now()).where(tables.jobs.c.id == job.id)).one()
    assert 1 < (due[0] - due[1]).total_seconds() <= 2
