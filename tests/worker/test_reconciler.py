"""The reconciler's steps, each for itself, on real databases; the broker is a list of what was nudged."""

from __future__ import annotations

import functools
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from store import dispatch, jobs, outbox, projects, tables, webhooks, workers
from store.columns import now
from store.files import Files
from store.settings import Settings
from tests.worker.building import SHORT, Workshop
from worker import reconciler
from worker.reconciler import Reconciler


@dataclass
class Broker:
    """Nudges that wait, by queue."""

    queues: list[str] = field(default_factory=list)
    away: bool = False

    def nudge(self, queue: str) -> None:
        self._answer()
        self.queues.append(queue)

    def waiting(self, queue: str) -> int:
        self._answer()
        return self.queues.count(queue)

    def _answer(self) -> None:
        if self.away:
            raise ConnectionRefusedError


@pytest.fixture
def broker() -> Broker:
    return Broker()


def made(workshop: Workshop, broker: Broker, **settings: Any) -> Reconciler:
    return Reconciler(workshop.everybodys, workshop.files, Settings(backoff_seconds=0, **settings), broker)


def claim(workshop: Workshop, *, lease_seconds: float = -1) -> jobs.Job:
    with workshop.database.writing() as tx:
        (job,) = jobs.claim(tx, worker="dead", queues=["cpu"], lease_seconds=lease_seconds)
    return job


def test_as_many_nudges_wait_as_jobs_are_due(workshop: Workshop, broker: Broker) -> None:
    tick = made(workshop, broker).tick
    tick()
    assert broker.queues == []
    for _ in range(3):
        workshop.add_job()
    tick()
    tick()
    assert broker.queues == ["cpu"] * 3
    broker.queues.clear()  # the broker forgot everything
    tick()
    assert broker.queues == ["cpu"] * 3


def test_sums_that_have_drifted_are_put_right(workshop: Workshop, broker: Broker) -> None:
    """Whoever wrote rows past the code that counts them: the next sweep counts what is there."""
    workshop.add_job()
    with workshop.database.writing() as tx:
        before = projects.usage_of(tx)
        tx.execute(tables.usage.update().values(stored_bytes=5, open_jobs=-3))
    made(workshop, broker).sweep()
    with workshop.database.reading() as tx:
        assert projects.usage_of(tx) == before


def test_a_long_queue_is_not_nudged_all_at_once(
    small_workshop: Workshop, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "MOST_NUDGES", 2)
    for _ in range(4):
        small_workshop.add_job()
    tick = made(small_workshop, broker).tick
    tick()
    tick()
    assert broker.queues == ["cpu"] * 2


def test_a_job_that_is_not_due_yet_is_not_nudged(workshop: Workshop, broker: Broker) -> None:
    workshop.add_job()
    job = claim(workshop, lease_seconds=30)
    with workshop.database.writing() as tx:
        jobs.release(tx, job.id, job.fence, detail="later", delay_seconds=60)
    made(workshop, broker).tick()
    assert broker.queues == []


def test_a_lost_job_runs_again_until_it_has_cost_too_many_workers(workshop: Workshop, broker: Broker) -> None:
    job = workshop.add_job()
    tick = made(workshop, broker, max_attempts=2).tick
    claim(workshop)
    tick()
    assert (workshop.look(job).status, workshop.look(job).lost) == ("queued", 1)
    assert broker.queues == ["cpu"]
    claim(workshop)
    tick()
    lost = workshop.look(job)
    assert (lost.status, lost.stop_reason) == ("failed", "worker_lost")


def test_the_cancel_of_a_dead_workers_job_is_finished(workshop: Workshop, broker: Broker) -> None:
    job = workshop.add_job()
    claim(workshop)
    workshop.ask("cancel", job)
    made(workshop, broker).tick()
    assert workshop.look(job).status == "cancelled"


def test_a_job_whose_worker_lives_is_left_alone(workshop: Workshop, broker: Broker) -> None:
    job = workshop.add_job()
    claim(workshop, lease_seconds=30)
    before = workshop.rows()
    made(workshop, broker).tick()
    assert workshop.rows() == before
    assert workshop.look(job).status == "running"


def test_several_reconcilers_do_a_thing_once(workshop: Workshop, broker: Broker) -> None:
    job = workshop.add_job()
    claim(workshop)
    for _ in range(3):
        made(workshop, broker).tick()
    assert workshop.look(job).lost == 1


def test_a_broker_that_is_away_holds_up_nothing_else(workshop: Workshop, broker: Broker) -> None:
    job = workshop.add_job()
    claim(workshop)
    broker.away = True
    watcher = made(workshop, broker)
    watcher.tick()
    assert workshop.look(job).status == "queued"
    broker.away = False
    watcher.tick()
    assert broker.queues == ["cpu"]


def test_orphan_files_go_and_others_stay(workshop: Workshop, broker: Broker, tmp_path: Path) -> None:
    job = workshop.add_job(**SHORT)
    workshop.run()
    kept = {workshop.weights(job).key, f"datasets/{job.dataset_id}.parquet"}
    stray = tmp_path / "stray"
    stray.write_bytes(b"left behind")
    orphans = {
        "weights/job_gone.1.safetensors",
        "datasets/ds_gone.parquet",
        "weights/half.safetensors.1.partial",
    }
    fresh = "weights/job_just_now.1.safetensors"
    for key in orphans | {fresh}:
        workshop.files.put(key, stray)
    long_ago = time.time() - 2 * reconciler.SWEEP_SECONDS
    for key in orphans | kept:
        os.utime(tmp_path / "files" / key, (long_ago, long_ago))
    made(workshop, broker).tick()
    left = {found.key for prefix in ("weights", "datasets") for found in workshop.files.list(prefix)}
    assert left == kept | {fresh}


def test_workers_long_gone_are_forgotten(
    workshop: Workshop, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with workshop.database.writing() as tx:
        workers.seen(tx, "worker_dead", host="h", pid=1, queues=["cpu"])
    made(workshop, broker).tick()
    with workshop.database.reading() as tx:
        assert [one.id for one in workers.alive(tx, 60)] == ["worker_dead"]
    monkeypatch.setattr(reconciler, "SWEEP_SECONDS", -1.0)
    made(workshop, broker).tick()
    with workshop.database.reading() as tx:
        assert workers.alive(tx, 60) == []


def test_sweeping_is_rare(small_workshop: Workshop, broker: Broker) -> None:
    looked: list[str] = []

    class Watched(Files):
        def list(self, prefix: str) -> Any:
            looked.append(prefix)
            return super().list(prefix)

    small_workshop.files = Watched(small_workshop.files.url)
    tick = made(small_workshop, broker).tick
    tick()
    tick()
    assert looked == ["weights", "checkpoints", "datasets"]


def test_deliveries_that_ended_long_ago_are_forgotten(
    workshop: Workshop, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with workshop.database.writing() as tx:
        webhook, _ = webhooks.create(tx, url="https://hooks.example.com/", events=["job.queued"])
    for _ in range(5):
        workshop.add_job()
    with workshop.database.writing() as tx:
        for claimed in dispatch.claim(tx, webhook.id, limit=4, lease_seconds=30):
            dispatch.delivered(tx, claimed, response_status=200)
        old = tables.deliveries.update().where(tables.deliveries.c.status == "delivered")
        tx.execute(old.values(due_at=now(-2 * dispatch.DELIVERED_SECONDS)))
    some = functools.partial(dispatch.sweep, limit=3)
    monkeypatch.setattr(dispatch, "sweep", some)  # more than one time's worth
    made(workshop, broker).tick()
    with workshop.database.reading() as tx:
        assert [row.status for row in outbox.page(tx, webhook.id).rows] == ["pending"]
