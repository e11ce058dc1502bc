"""The heartbeat: it keeps a lease, hears what is asked, and knows when the lease is gone."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from store import jobs, workers
from store.jobs import Job
from store.session import Database
from tests.worker.building import Workshop
from worker.heartbeat import Heartbeat, Lease


def until(true: Callable[[], bool], seconds: float = 3.0) -> None:
    """Wait for something that must come soon."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def claimed(workshop: Workshop, lease_seconds: float) -> Job:
    workshop.add_job()
    with workshop.database.writing() as tx:
        job = jobs.claim(tx, worker="me", queues=["cpu"], lease_seconds=lease_seconds)
    assert job is not None
    return job


def test_a_lease_is_renewed_before_it_runs_out(workshop: Workshop) -> None:
    job = claimed(workshop, 1.0)
    with workshop.heartbeat(1.0).keeping(job, since=time.monotonic()) as lease:
        time.sleep(1.5)
        assert not lease.lost
        with workshop.database.writing() as tx:
            assert jobs.expire(tx, max_attempts=3, backoff_seconds=0).requeued == []


def test_what_is_asked_is_heard_within_a_second(workshop: Workshop) -> None:
    job = claimed(workshop, 30)
    with workshop.heartbeat(30).keeping(job, since=time.monotonic()) as lease:
        assert lease.requested_action is None
        workshop.ask("finish", job)
        until(lambda: lease.requested_action == "finish", 1.3)
        workshop.ask("cancel", job)
        until(lambda: lease.requested_action == "cancel", 1.3)


def test_a_job_that_is_somebody_elses_is_noticed(workshop: Workshop) -> None:
    job = claimed(workshop, 30)
    with workshop.heartbeat(30).keeping(job, since=time.monotonic()) as lease:
        with workshop.database.writing() as tx:
            jobs.release(tx, job.id, job.fence, detail="taken away")
        until(lambda: lease.lost, 1.3)


def test_a_lease_runs_out_where_nobody_can_renew_it(workshop: Workshop) -> None:
    """The process's own clock decides: a thread that hangs in the network could not."""
    job = claimed(workshop, 30)
    lease = Lease(job, 0.2, since=time.monotonic())
    assert not lease.lost
    time.sleep(0.25)
    assert lease.lost


def test_a_lease_is_as_old_as_its_question_not_its_answer(workshop: Workshop) -> None:
    job = claimed(workshop, 30)
    lease = Lease(job, 10, since=time.monotonic() - 9)
    lease.heard(jobs.Beat(still_mine=True), asked_at=time.monotonic() - 11)
    assert not lease.lost
    lease.heard(jobs.Beat(still_mine=True), asked_at=time.monotonic())
    assert not lease.lost
    lease.heard(jobs.Beat(still_mine=False), asked_at=time.monotonic())
    assert lease.lost


def test_presence_from_the_start_to_the_end(workshop: Workshop) -> None:
    heartbeat = workshop.heartbeat()

    def present() -> list[tuple[str, str | None]]:
        with workshop.database.reading() as tx:
            return [(one.id, one.job_id) for one in workers.alive(tx, 60)]

    until(lambda: present() == [(heartbeat.worker_id, None)])
    job = claimed(workshop, 30)
    with heartbeat.keeping(job, since=time.monotonic()):
        until(lambda: present() == [(heartbeat.worker_id, job.id)])
    heartbeat.stop()
    assert present() == []


@pytest.mark.parametrize("stopped_first", [True, False])
def test_a_database_that_cannot_be_reached_harms_nothing(
    tmp_path_factory: pytest.TempPathFactory, stopped_first: bool
) -> None:
    nowhere = tmp_path_factory.mktemp("nowhere") / "missing" / "folder" / "ridgeline.db"
    heartbeat = Heartbeat(Database(f"sqlite:///{nowhere}"), queues=("cpu",), lease_seconds=1)
    heartbeat.start()
    if not stopped_first:
        time.sleep(0.4)
    heartbeat.stop()
