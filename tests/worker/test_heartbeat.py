"""The heartbeat: it keeps a lease, hears what is asked, and knows when the lease is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store import jobs, workers
from store.jobs import Job
from store.session import Database
from tests.worker import clocks
from tests.worker.building import Workshop
from tests.worker.clocks import Beating, Clock
from worker.heartbeat import Lease, node
from worker.memory import Memory

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks.beat_often(monkeypatch)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which leases run out and jobs hang."""
    return Clock.of(monkeypatch, "worker.heartbeat")


@pytest.fixture
def beating(small_workshop: Workshop) -> Iterator[Callable[..., Beating]]:
    """Heartbeats on their way, stopped at the end."""
    begun: list[Beating] = []

    def begin(lease_seconds: float = 30, **options: Any) -> Beating:
        database = small_workshop.everybodys
        begun.append(Beating(database, queues=("cpu",), lease_seconds=lease_seconds, **options))
        begun[-1].start()
        return begun[-1]

    yield begin
    for heartbeat in begun:
        heartbeat.stop()


def claimed(workshop: Workshop, lease_seconds: float) -> Job:
    workshop.add_job()
    with workshop.database.writing() as tx:
        (job,) = jobs.claim(tx, worker="me", queues=["cpu"], lease_seconds=lease_seconds)
    return job


@pytest.mark.parametrize(("lease_seconds", "most"), [(3600, 1.0), (4, 1.0), (2, 0.5)])
def test_beats_come_once_a_second_and_four_times_in_a_lease(
    small_workshop: Workshop, monkeypatch: pytest.MonkeyPatch, lease_seconds: float, most: float
) -> None:
    """So what is asked of a job is heard within a second; the other tests let beats come more often."""
    monkeypatch.undo()
    heartbeat = Beating(small_workshop.everybodys, queues=("cpu",), lease_seconds=lease_seconds)
    pauses: list[float | None] = []

    def wait(seconds: float | None = None) -> bool:
        pauses.append(seconds)
        return len(pauses) == 3

    monkeypatch.setattr(heartbeat._stopping, "wait", wait)
    heartbeat._run()
    assert (heartbeat.beats, pauses) == (3, [most] * 3)


def test_a_lease_is_renewed_before_it_runs_out(
    small_workshop: Workshop, beating: Callable[..., Beating], clock: Clock
) -> None:
    """Here by the clock of this process, and in the database by its own."""
    job, heartbeat = claimed(small_workshop, -1), beating(10)
    with heartbeat.keeping([job], since=clock.now) as (lease,):
        for _ in range(4):
            clock.now += 6
            heartbeat.beat_again()
            assert not lease.lost
        with small_workshop.database.writing() as tx:
            assert jobs.expire(tx, max_attempts=3, backoff_seconds=0).requeued == []


def test_what_is_asked_is_heard_with_the_next_beat(
    small_workshop: Workshop, beating: Callable[..., Beating]
) -> None:
    job, heartbeat = claimed(small_workshop, 30), beating()
    with heartbeat.keeping([job], since=time.monotonic()) as (lease,):
        assert lease.requested_action is None
        for action in ("finish", "cancel"):
            small_workshop.ask(action, job)
            heartbeat.beat_again()
            assert lease.requested_action == action


def test_a_job_that_is_somebody_elses_is_noticed(
    small_workshop: Workshop, beating: Callable[..., Beating]
) -> None:
    job, heartbeat = claimed(small_workshop, 30), beating()
    with heartbeat.keeping([job], since=time.monotonic()) as (lease,):
        with small_workshop.database.writing() as tx:
            jobs.release(tx, job.id, job.fence, detail="taken away")
        heartbeat.beat_again()
        assert lease.lost


def test_a_lease_runs_out_where_nobody_can_renew_it(small_workshop: Workshop, clock: Clock) -> None:
    """The process's own clock decides: a thread that hangs in the network could not."""
    lease = Lease(claimed(small_workshop, 30), 10, since=clock.now)
    clock.now += 10
    assert not lease.lost
    clock.now += 0.1
    assert lease.lost


def test_a_lease_is_as_old_as_its_question_not_its_answer(small_workshop: Workshop, clock: Clock) -> None:
    lease = Lease(claimed(small_workshop, 30), 10, since=clock.now - 9)
    lease.heard(jobs.Beat(still_mine=True), asked_at=clock.now - 11)
    assert not lease.lost
    lease.heard(jobs.Beat(still_mine=True), asked_at=clock.now)
    clock.now += 9
    assert not lease.lost
    lease.heard(jobs.Beat(still_mine=False), asked_at=clock.now)
    assert lease.lost


def test_presence_from_the_start_to_the_end(
    small_workshop: Workshop, beating: Callable[..., Beating]
) -> None:
    heartbeat = beating()

    def present() -> list[tuple[str, str | None]]:
        with small_workshop.database.reading() as tx:
            return [(one.id, one.job_id) for one in workers.alive(tx, 60)]

    heartbeat.beat_again()
    assert present() == [(heartbeat.worker_id, None)]
    job = claimed(small_workshop, 30)
    with heartbeat.keeping([job], since=time.monotonic()):
        heartbeat.beat_again()
        assert present() == [(heartbeat.worker_id, job.id)]
    heartbeat.stop()
    assert present() == []


@pytest.mark.parametrize("stopped_first", [True, False])
def test_a_database_that_cannot_be_reached_harms_nothing(
    tmp_path_factory: pytest.TempPathFactory, stopped_first: bool
) -> None:
    nowhere = tmp_path_factory.mktemp("nowhere") / "missing" / "folder" / "ridgeline.db"
    heartbeat = Beating(Database(f"sqlite:///{nowhere}"), queues=("cpu",), lease_seconds=1)
    heartbeat.start()
    if not stopped_first:
        heartbeat.beat_again()
    heartbeat.stop()


def test_a_job_that_hangs_takes_its_process_with_it(
    small_workshop: Workshop, beating: Callable[..., Beating], clock: Clock
) -> None:
    job, ended = claimed(small_workshop, 2), list[float]()
    heartbeat = beating(2000, progress_seconds=600, end=lambda: ended.append(clock.now))
    with heartbeat.keeping([job], since=clock.now) as (lease,):
        for _ in range(4):
            clock.now += 500
            heartbeat.beat_again()
            lease.pulse(1.5)
        heartbeat.beat_again()
        assert not ended, "it gets on, if slowly"
        assert small_workshop.look(job).runtime_seconds == 1.5
        clock.now += 601
        heartbeat.beat_again()
        assert ended == [clock.now]
        before = small_workshop.look(job).lease_expires_at
        heartbeat.beat_again()
        assert small_workshop.look(job).lease_expires_at == before, "nobody renews it any more"


def test_processes_of_one_worker_share_its_node(
    small_workshop: Workshop, beating: Callable[..., Beating]
) -> None:
    heartbeats = [beating(), beating()]
    for heartbeat in heartbeats:
        heartbeat.beat_again()
    with small_workshop.database.reading() as tx:
        nodes = [one.node for one in workers.alive(tx, 60)]
    assert nodes == [node()] * 2
    assert str(os.getppid()) in node()


def test_a_job_that_holds_more_than_it_may_is_noticed(
    small_workshop: Workshop, beating: Callable[..., Beating]
) -> None:
    job, heartbeat = claimed(small_workshop, 1), beating(memory=Memory(64 * 1024**2))
    with heartbeat.keeping([job], since=time.monotonic()) as (lease,):
        heartbeat.beat_again()
        assert not lease.out_of_memory
        held = b"x" * (128 * 1024**2)
        heartbeat.beat_again()
        assert lease.out_of_memory
        assert held


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
