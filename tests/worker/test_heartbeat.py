"""The heartbeat: it keeps a lease, hears what is asked, and knows when the lease is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from store import jobs, workers
from store.jobs import Job
from store.session import Database
from tests.worker.building import Workshop
from worker.heartbeat import Heartbeat, Lease, node
from worker.memory import Memory

ROOT = Path(__file__).parents[2]


def until(true: Callable[[], bool], seconds: float = 3.0) -> None:
    """Wait for something that must come soon."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def claimed(workshop: Workshop, lease_seconds: float) -> Job:
    workshop.add_job()
    with workshop.database.writing() as tx:
        (job,) = jobs.claim(tx, worker="me", queues=["cpu"], lease_seconds=lease_seconds)
    return job


def test_a_lease_is_renewed_before_it_runs_out(workshop: Workshop) -> None:
    job = claimed(workshop, 1.0)
    with workshop.heartbeat(1.0).keeping([job], since=time.monotonic()) as (lease,):
        time.sleep(1.5)
        assert not lease.lost
        with workshop.database.writing() as tx:
            assert jobs.expire(tx, max_attempts=3, backoff_seconds=0).requeued == []


def test_what_is_asked_is_heard_within_a_second(workshop: Workshop) -> None:
    job = claimed(workshop, 30)
    with workshop.heartbeat(30).keeping([job], since=time.monotonic()) as (lease,):
        assert lease.requested_action is None
        workshop.ask("finish", job)
        until(lambda: lease.requested_action == "finish", 1.3)
        workshop.ask("cancel", job)
        until(lambda: lease.requested_action == "cancel", 1.3)


def test_a_job_that_is_somebody_elses_is_noticed(workshop: Workshop) -> None:
    job = claimed(workshop, 30)
    with workshop.heartbeat(30).keeping([job], since=time.monotonic()) as (lease,):
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
    with heartbeat.keeping([job], since=time.monotonic()):
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


def test_a_job_that_hangs_takes_its_process_with_it(small_workshop: Workshop) -> None:
    job, ended = claimed(small_workshop, 2), []
    heartbeat = Heartbeat(
        small_workshop.everybodys,
        queues=("cpu",),
        lease_seconds=2,
        progress_seconds=0.6,
        end=lambda: ended.append(time.monotonic()),
    )
    heartbeat.start()
    with heartbeat.keeping([job], since=time.monotonic()) as (lease,):
        for _ in range(8):
            time.sleep(0.1)
            lease.pulse(1.5)
        assert not ended, "it gets on, if slowly"
        assert small_workshop.look(job).runtime_seconds == 1.5
        until(lambda: bool(ended), 3)
        before = small_workshop.look(job).lease_expires_at
        time.sleep(0.7)
        assert small_workshop.look(job).lease_expires_at == before, "nobody renews it any more"
    heartbeat.stop()


def test_processes_of_one_worker_share_its_node(small_workshop: Workshop) -> None:
    heartbeats = [small_workshop.heartbeat(), small_workshop.heartbeat()]

    def nodes() -> list[str | None]:
        with small_workshop.database.reading() as tx:
            return [one.node for one in workers.alive(tx, 60)]

    until(lambda: len(nodes()) == len(heartbeats))
    assert set(nodes()) == {node()}
    assert str(os.getppid()) in node()


def test_a_job_that_holds_more_than_it_may_is_noticed(small_workshop: Workshop) -> None:
    job = claimed(small_workshop, 1)
    memory = Memory(64 * 1024**2)
    heartbeat = Heartbeat(small_workshop.everybodys, queues=("cpu",), lease_seconds=1, memory=memory)
    heartbeat.start()
    with heartbeat.keeping([job], since=time.monotonic()) as (lease,):
        time.sleep(0.4)
        assert not lease.out_of_memory
        held = b"x" * (128 * 1024**2)
        until(lambda: lease.out_of_memory)
        assert held
    heartbeat.stop()


REFUSED = """
from worker import memory
memory.ROOM_BYTES = 64 * 1024**2
memory.refuse_beyond(64 * 1024**2)
small = bytearray(16 * 1024**2)
try:
    bytearray(512 * 1024**2)
except MemoryError:
    print("refused, and alive")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts private memory")
def test_the_kernel_refuses_what_goes_beyond(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSED], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stdout == "refused, and alive\n", done.stderr
