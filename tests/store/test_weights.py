"""Weights: one file a job, under a key that no stale worker can overwrite."""

from __future__ import annotations

import pytest

from store import jobs, weights
from store.errors import NotFound
from store.files import Stored
from store.session import Database
from tests.store.examples import claim, elsewhere, running, snapshot


def test_weights_come_back_with_their_summary(database: Database) -> None:
    job = running(database)
    stored = Stored(weights.key(job.id, job.fence), "c" * 64, 4321)
    summary = {"layers": [{"name": "output", "max_abs": float("inf")}], "inputs": []}
    with database.writing() as tx:
        assert weights.put(tx, job.id, job.fence, stored, summary)
    with database.reading() as tx:
        found = weights.get(tx, job.id)
        assert weights.known(tx, [stored.key, "weights/orphan"]) == {stored.key}
        assert weights.file(tx, job.id) == stored
        for look in (weights.get, weights.file):
            with elsewhere(tx), pytest.raises(NotFound):
                look(tx, job.id)
            with pytest.raises(NotFound):
                look(tx, "nothing")
    assert Stored(found.key, found.sha256, found.bytes) == stored
    assert found.summary["layers"] == [{"name": "output", "max_abs": None, "nonfinite": {"max_abs": "inf"}}]


def test_the_last_word_counts(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        for digit in "cd":
            assert weights.put(tx, job.id, job.fence, Stored("weights/w", digit * 64, 1), {})
        assert weights.get(tx, job.id).sha256 == "d" * 64


def test_each_attempt_has_a_key_of_its_own(database: Database) -> None:
    first = running(database)
    with database.writing() as tx:
        assert jobs.release(tx, first.id, first.fence, detail="draining")
    second = claim(database)
    assert first.id == second.id
    assert weights.key(first.id, first.fence) != weights.key(second.id, second.fence)


def test_a_job_cannot_be_lost_while_its_weights_are_written(postgresql_database: Database) -> None:
    """Where rows are locked one by one: whoever was asked for the fence holds it until the commit."""
    database = postgresql_database
    job = running(database, lease_seconds=-1)
    with database.writing() as tx, database.writing() as other:
        assert weights.put(tx, job.id, job.fence, Stored("weights/w", "c" * 64, 1), {})
        assert jobs.expire(other, max_attempts=3, backoff_seconds=0) == jobs.Expired()


def test_they_go_with_the_job(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert weights.put(tx, job.id, job.fence, Stored("weights/w", "c" * 64, 1), {})
        assert jobs.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={})
        assert jobs.delete(tx, job.id) == ["weights/w"]
    assert {name for name, rows in snapshot(database).items() if rows} == {"datasets", "projects", "usage"}


@pytest.mark.parametrize("job_id", ["job_unknown", "", "\x00", "\ud800", "x" * 999])
def test_none_without_a_job(database: Database, job_id: str) -> None:
    with database.reading() as tx, pytest.raises(NotFound):
        weights.get(tx, job_id)
