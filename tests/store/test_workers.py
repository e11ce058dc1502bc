"""Presence: who has been heard of lately, by the database's clock."""

from __future__ import annotations

import time

from store import workers
from store.session import Database


def _seen(database: Database, worker_id: str, **changes: object) -> None:
    with database.writing() as tx:
        workers.seen(tx, worker_id, **{"host": "here", "pid": 7, "queues": ["gpu", "cpu"], **changes})  # type: ignore[arg-type]


def test_a_worker_that_beats_is_alive(database: Database) -> None:
    _seen(database, "worker-a")
    _seen(database, "worker-b", job_ids=["job_1", "job_2"])
    with database.reading() as tx:
        found = {worker.id: worker for worker in workers.alive(tx, 30)}
    assert set(found) == {"worker-a", "worker-b"}
    assert (found["worker-a"].host, found["worker-a"].pid) == ("here", 7)
    assert found["worker-a"].queues == ["gpu", "cpu"]
    assert (found["worker-a"].job_id, found["worker-a"].jobs) == (None, 0)
    assert (found["worker-b"].job_id, found["worker-b"].jobs) == ("job_1", 2)
    assert 0 <= found["worker-a"].quiet_seconds < 30


def test_a_worker_says_what_it_trains_on_and_what_is_wrong(database: Database) -> None:
    _seen(database, "worker-a", device="cuda:1", device_name="NVIDIA H200", problem="x" * 600 + "\0")
    with database.reading() as tx:
        (found,) = workers.alive(tx, 30)
    assert (found.device, found.device_name) == ("cuda:1", "NVIDIA H200")
    assert len(found.problem or "") == 500, "what is longer is cut"
    _seen(database, "worker-a", device="cpu")
    with database.reading() as tx:
        (found,) = workers.alive(tx, 30)
    assert (found.device, found.device_name, found.problem) == ("cpu", None, None)


def test_one_that_goes_quiet_is_not_and_is_forgotten(database: Database) -> None:
    _seen(database, "quiet")
    time.sleep(0.3)
    _seen(database, "fresh")
    with database.writing() as tx:
        assert [worker.id for worker in workers.alive(tx, 0.2)] == ["fresh"]
        assert [worker.id for worker in workers.alive(tx, 30)] == ["fresh", "quiet"]
        assert workers.sweep(tx, 0.2) == 1
        assert [worker.id for worker in workers.alive(tx, 30)] == ["fresh"]


def test_beating_again_keeps_the_start(database: Database) -> None:
    _seen(database, "worker-a", job_ids=["job_1", "job_2"])
    with database.reading() as tx:
        (first,) = workers.alive(tx, 30)
    time.sleep(0.01)
    _seen(database, "worker-a", job_ids=[])
    with database.reading() as tx:
        (again,) = workers.alive(tx, 30)
    assert again.started_at == first.started_at
    assert again.seen_at > first.seen_at
    assert again.job_id is None


def test_one_that_leaves_is_gone(database: Database) -> None:
    _seen(database, "worker-a")
    with database.writing() as tx:
        workers.gone(tx, "worker-a")
        workers.gone(tx, "worker-a")
        assert workers.alive(tx, 30) == []
