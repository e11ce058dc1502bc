"""Warnings that come while a job runs: under the fence, once each, in the row and in the log."""

from __future__ import annotations

from typing import Any

import pytest

from store import curves, events, jobs
from store.session import Database
from tests.store.examples import STATES, add_job, claim, look, points, snapshot
from tests.store.trials import rows_of

FIRST = {"pointer": "/split", "detail": "class 'a' has no training row", "kind": "spec"}
SECOND = {"pointer": "/dataset", "detail": "row 3 is row 7", "kind": "data_problem"}
AT_SUBMISSION = {"pointer": "/training", "detail": "small batches", "kind": "spec"}


def add(database: Database, job: jobs.Job, *warnings: dict[str, Any]) -> bool:
    with database.writing() as tx:
        return jobs.add_warnings(tx, job.id, job.fence, warnings)


def test_they_stand_beside_those_of_the_submission(database: Database) -> None:
    add_job(database, warnings=[AT_SUBMISSION])
    job = claim(database)
    assert add(database, job, FIRST, SECOND)
    assert look(database, job).warnings == [AT_SUBMISSION, FIRST, SECOND]
    with database.reading() as tx:
        log = events.log(tx, job.id)
    assert [each.data for each in log if each.kind == "warning"] == [AT_SUBMISSION, FIRST, SECOND]
    assert [each.number for each in log] == list(range(1, len(log) + 1))
    assert look(database, job).last_event == len(log)


def test_what_is_known_already_changes_nothing(database: Database) -> None:
    add_job(database, warnings=[AT_SUBMISSION])
    job = claim(database)
    assert add(database, job, AT_SUBMISSION, FIRST, FIRST)
    before = snapshot(database)
    assert add(database, job, FIRST)
    assert add(database, job)
    assert snapshot(database) == before


def test_another_attempt_finds_the_same_and_adds_nothing(database: Database) -> None:
    add_job(database)
    lost = claim(database, lease_seconds=-1)
    assert add(database, lost, FIRST)
    with database.writing() as tx:
        jobs.expire(tx, max_attempts=3, backoff_seconds=0)
    job = claim(database)
    assert add(database, job, FIRST)
    assert look(database, job).warnings == [FIRST]
    before = snapshot(database)
    assert not add(database, lost, SECOND)
    assert snapshot(database) == before


@pytest.mark.parametrize("state", STATES)
def test_a_job_that_nobody_has_is_left_alone(sqlite_database: Database, state: str) -> None:
    job = STATES[state](sqlite_database)
    before = rows_of(sqlite_database)
    assert add(sqlite_database, job, FIRST) is (job.status == "running")
    assert (rows_of(sqlite_database) == before) is (job.status != "running")


def test_they_take_their_numbers_among_the_epochs(database: Database) -> None:
    add_job(database)
    job = claim(database)
    with database.writing() as tx:
        curves.record(tx, job.id, job.fence, points(1, 2))
        jobs.add_warnings(tx, job.id, job.fence, [FIRST])
        curves.record(tx, job.id, job.fence, points(3, 4))
    with database.reading() as tx:
        stream = events.stream_after(tx, job.id, 0)
    kinds = [each.kind for each in stream]
    assert kinds == ["status", "status", "epoch", "epoch", "warning", "epoch", "epoch"]
    assert [each.number for each in stream] == list(range(1, 8))


def test_what_a_database_would_refuse_is_replaced(database: Database) -> None:
    add_job(database)
    job = claim(database)
    assert add(database, job, {"pointer": "/split", "detail": "class 'a\x00\ud800' " + "x" * 5000})
    (warning,) = look(database, job).warnings
    assert len(warning["detail"]) <= 2000
    assert "\x00" not in warning["detail"]
