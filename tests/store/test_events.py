"""The log and the stream: every number once, in order, from wherever one resumes."""

from __future__ import annotations

import random
import threading

import pytest

from store import curves, events, jobs
from store.events import Entry, Event
from store.jobs import Job
from store.session import Database
from tests.store.examples import add_job, claim, points, running


def _eventful(database: Database) -> Job:
    """A job with warnings, a lost attempt, a rewind and an end."""
    add_job(database, warnings=[{"pointer": "/training", "detail": "small batches"}])
    first = claim(database, lease_seconds=-1)
    with database.writing() as tx:
        assert curves.record(tx, first.id, first.fence, points(1, 4))
        jobs.expire(tx, max_attempts=3, backoff_seconds=0)
    job = claim(database)
    with database.writing() as tx:
        assert curves.record(tx, job.id, job.fence, points(1, 3))
        assert events.append(tx, job.id, Entry("warning", {"detail": "slow disk"}), fence=job.fence)
        assert curves.record(tx, job.id, job.fence, points(4, 9))
        assert jobs.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={})
    return job


def _kinds(stream: list[Event]) -> list[str]:
    return [event.kind for event in stream]


def test_the_log_tells_all_but_the_epochs(database: Database) -> None:
    job = _eventful(database)
    with database.reading() as tx:
        log = events.log(tx, job.id)
        assert events.log(tx, job.id, after=log[2].number) == log[3:]
        assert events.log(tx, job.id, limit=2) == log[:2]
    kinds = ["status", "warning", "status", "status", "rewound", "status", "warning", "status", "end"]
    assert _kinds(log) == kinds
    assert log[1].data == {"pointer": "/training", "detail": "small batches"}
    assert [event.data.get("status") for event in log if event.kind == "status"] == [
        "queued",
        "running",
        "queued",
        "running",
        "succeeded",
    ]


def test_the_stream_merges_log_and_curve(database: Database) -> None:
    job = _eventful(database)
    with database.reading() as tx:
        stream = events.stream_after(tx, job.id, 0)
        assert [event for event in stream if event.kind != "epoch"] == events.log(tx, job.id)
    epochs = [event.data for event in stream if event.kind == "epoch"]
    assert [data["epoch"] for data in epochs] == list(range(1, 10))
    assert epochs[1] == {"epoch": 2, "values": {"train_loss": 0.5, "val_loss": 0.6}, "nonfinite": {}}
    assert _kinds(stream)[-1] == "end"
    assert all(event.at.tzinfo is not None for event in stream)


def test_resuming_anywhere_loses_and_repeats_nothing(database: Database) -> None:
    job = _eventful(database)
    chance = random.Random(0)
    with database.reading() as tx:
        whole = events.stream_after(tx, job.id, 0)
        for after in range(whole[-1].number + 2):
            rest = events.stream_after(tx, job.id, after)
            assert rest == [event for event in whole if event.number > after]
        for _ in range(10):
            gathered: list[Event] = []
            while piece := events.stream_after(
                tx, job.id, gathered[-1].number if gathered else 0, limit=chance.randint(1, 5)
            ):
                gathered += piece
            assert gathered == whole


def test_reading_while_it_is_written_loses_and_repeats_nothing(database: Database) -> None:
    """A reader that polls while epochs and warnings are committed sees each number once, in order."""
    job = running(database)
    done = threading.Event()
    seen: list[Event] = []

    def follow() -> None:
        finished = False
        while not finished:
            finished = done.is_set()
            with database.reading() as tx:
                seen.extend(events.stream_after(tx, job.id, seen[-1].number if seen else 0, limit=7))

    reader = threading.Thread(target=follow)
    reader.start()
    chance = random.Random(1)
    epoch = 0
    while epoch < 150:
        with database.writing() as tx:
            count = chance.randint(1, 5)
            assert curves.record(tx, job.id, job.fence, points(epoch + 1, epoch + count))
            epoch += count
            if chance.random() < 0.3:
                assert events.append(tx, job.id, Entry("warning", {"detail": "…"}), fence=job.fence)
    done.set()
    reader.join()
    with database.reading() as tx:
        whole = events.stream_after(tx, job.id, 0, limit=10_000)
        seen.extend(events.stream_after(tx, job.id, seen[-1].number, limit=10_000))
    assert [event.number for event in seen] == list(range(1, len(whole) + 1))
    assert seen == whole


def test_a_reader_from_before_the_rewind_is_told(database: Database) -> None:
    """Who saw epochs of a lost attempt hears that they are void before it hears the new ones."""
    add_job(database)
    lost = claim(database, lease_seconds=-1)
    with database.writing() as tx:
        assert curves.record(tx, lost.id, lost.fence, points(1, 4))
        last_seen = events.stream_after(tx, lost.id, 0)[3].number
        jobs.expire(tx, max_attempts=3, backoff_seconds=0)
    job = claim(database)
    with database.writing() as tx:
        assert curves.record(tx, job.id, job.fence, points(1, 2))
        stream = events.stream_after(tx, job.id, last_seen)
    assert _kinds(stream) == ["status", "rewound", "status", "epoch", "epoch"]
    assert stream[1].data == {"epoch": 0, "attempt": 2}
    assert [event.data["epoch"] for event in stream[3:]] == [1, 2]


@pytest.mark.parametrize("after", [-1, 10**6])
def test_odd_places_to_resume(database: Database, after: int) -> None:
    job = running(database)
    with database.reading() as tx:
        assert len(events.stream_after(tx, job.id, after)) == (2 if after < 0 else 0)
        assert events.stream_after(tx, "job_unknown", 0) == []
