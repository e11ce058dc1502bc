"""Claiming: the next best job, once, by exactly one."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import TypeVar

import pytest

from store import events, jobs, tables, weights
from store.curves import read, record
from store.errors import ActionNotAllowed, NotFound
from store.files import Stored
from store.jobs import Job, turns
from store.session import Database
from tests.store.examples import add_dataset, add_job, claim, look, points, running, together
from tests.store.watching import plan, statements

T = TypeVar("T")


def _claim(database: Database, worker: str, queues: tuple[str, ...] = ("cpu",)) -> Job | None:
    with database.writing() as tx:
        return next(iter(jobs.claim(tx, worker=worker, queues=queues, lease_seconds=30)), None)


def _claims_of_four(work: Callable[[Database, str], T], database: Database) -> list[T]:
    return together([partial(work, database, f"worker-{number}") for number in range(4)])


def test_a_claim_says_who_has_it_and_until_when(database: Database) -> None:
    queued = add_job(database, name="first", metadata={"team": "risk"})
    job = claim(database, lease_seconds=30)
    assert (job.id, job.status, job.worker_id) == (queued.id, "running", "worker-a")
    assert (job.attempt, job.fence) == (1, 1)
    assert job.started_at is not None
    assert job.lease_expires_at is not None
    assert 29 < (job.lease_expires_at - job.started_at).total_seconds() < 31
    assert job == look(database, job)


def test_nothing_waits(database: Database) -> None:
    assert _claim(database, "worker-a") is None


def test_priority_then_age(database: Database) -> None:
    low, first, second, high = (add_job(database, priority=priority).id for priority in (-1, 0, 0, 5))
    assert [claim(database).id for _ in range(4)] == [high, first, second, low]


def test_only_from_its_queues(database: Database) -> None:
    gpu = add_job(database, queue="gpu")
    cpu = add_job(database, queue="cpu")
    first = _claim(database, "cpu-worker")
    assert first is not None
    assert first.id == cpu.id
    assert _claim(database, "cpu-worker") is None
    second = _claim(database, "gpu-worker", ("gpu", "cpu"))
    assert second is not None
    assert second.id == gpu.id


def test_not_before_it_is_due(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert jobs.release(tx, job.id, job.fence, detail="disk full", delay_seconds=60)
        assert jobs.claim(tx, worker="worker-b", queues=["cpu"], lease_seconds=30) == []
        assert jobs.waiting(tx) == {}
        assert not jobs.any_waits(tx, ["cpu"])


def test_a_look_tells_whether_something_waits(database: Database) -> None:
    def waits(*queues: str) -> bool:
        with database.reading() as tx:
            return jobs.any_waits(tx, queues)

    assert not waits("cpu")
    add_job(database)
    assert waits("cpu")
    assert waits("gpu", "cpu")
    assert not waits("gpu")
    claim(database)
    assert not waits("cpu")


def test_two_claims_race_and_one_wins(database: Database) -> None:
    for _ in range(6):
        job = add_job(database)
        claims = _claims_of_four(_claim, database)
        (won,) = [claimed for claimed in claims if claimed]
        assert won.id == job.id
        assert look(database, job).worker_id == won.worker_id
        assert look(database, job).fence == 1


def test_what_another_is_just_taking_is_passed_over(postgresql_database: Database) -> None:
    """Where rows are locked one by one, nobody waits for a claim or reconciler that has not committed yet."""
    database = postgresql_database
    first, second = add_job(database), add_job(database)
    with database.writing() as slow:
        (taken,) = jobs.claim(slow, worker="slow", queues=["cpu"], lease_seconds=-1)
        assert taken.id == first.id
        assert claim(database, lease_seconds=-1).id == second.id
    with database.writing() as slow, database.writing() as other:
        assert len(jobs.expire(slow, max_attempts=3, backoff_seconds=0).requeued) == 2
        other.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
        assert jobs.expire(other, max_attempts=3, backoff_seconds=0) == jobs.Expired()


def test_many_claims_take_each_job_once(database: Database) -> None:
    queued = {add_job(database).id for _ in range(16)}

    def take_all(database: Database, worker: str) -> list[str]:
        return [job.id for job in iter(partial(_claim, database, worker), None)]

    taken = _claims_of_four(take_all, database)
    assert sorted(chain.from_iterable(taken)) == sorted(queued)


def _cancel(database: Database, job: Job) -> bool:
    try:
        with database.writing() as tx:
            jobs.request_cancel(tx, job.id)
    except ActionNotAllowed:
        return False
    return True


def _succeed(database: Database, job: Job) -> bool:
    with database.writing() as tx:
        return jobs.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={})


def test_an_acknowledged_cancel_is_never_followed_by_succeeded(database: Database) -> None:
    """P5, with the two racing: either the cancel is refused because it came too late, or it is kept."""
    seen = set()
    for _ in range(12):
        job = running(database)

        acknowledged, succeeded = together(
            [partial(_cancel, database, job), partial(_succeed, database, job)]
        )
        assert acknowledged != succeeded
        assert (look(database, job).status == "succeeded") is succeeded
        seen.add(acknowledged)
        if acknowledged:
            with database.writing() as tx:
                assert jobs.cancelled(tx, job.id, job.fence)
    assert seen


def test_cancelling_and_claiming_race(database: Database) -> None:
    for _ in range(8):
        job = add_job(database)

        works: list[Callable[[], object]] = [
            partial(_cancel, database, job),
            partial(_claim, database, "worker-a"),
        ]
        acknowledged, claimed = together(works)
        assert acknowledged
        now = look(database, job)
        if claimed is None:
            assert now.status == "cancelled"
        else:
            assert (now.status, now.requested_action) == ("running", "cancel")
            with database.writing() as tx:
                assert jobs.cancelled(tx, job.id, now.fence)


def test_the_curve_is_gapless_after_a_requeue(database: Database) -> None:
    job = running(database, lease_seconds=-1)
    with database.writing() as tx:
        assert record(tx, job.id, job.fence, points(1, 7))
        assert weights.put(tx, job.id, job.fence, Stored("weights/old", "c" * 64, 10), {})
        jobs.expire(tx, max_attempts=3, backoff_seconds=0)
    with database.reading() as tx:
        assert read(tx, job.id).epochs == list(range(1, 8)), "what was measured stays readable while it waits"

    again = claim(database, worker="worker-b")
    assert again.epoch == 0
    with database.writing() as tx:
        assert record(tx, again.id, again.fence, points(1, 2))
        assert record(tx, again.id, again.fence, points(3, 4))
        with pytest.raises(NotFound):
            weights.get(tx, job.id)
    with database.reading() as tx:
        assert read(tx, job.id).epochs == [1, 2, 3, 4]
        stream = events.stream_after(tx, job.id, 0)
    told = [(event.kind, event.data.get("status") or event.data["epoch"]) for event in stream]
    assert told == [
        ("status", "queued"),
        ("status", "running"),
        ("status", "queued"),
        ("rewound", 0),
        ("status", "running"),
        *(("epoch", epoch) for epoch in range(1, 5)),
    ]
    numbers = [event.number for event in stream]
    assert numbers == sorted(set(numbers))
    assert numbers[3] > 9, "numbers of what was deleted are not given out again"


def test_nothing_is_rewound_where_nothing_was_recorded(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert jobs.release(tx, job.id, job.fence, detail="draining")
    claim(database)
    with database.reading() as tx:
        assert "rewound" not in [event.kind for event in events.log(tx, job.id)]


def test_a_released_attempt_does_not_count_as_lost(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert jobs.release(tx, job.id, job.fence, detail="draining")
    assert (look(database, job).lost, claim(database).attempt) == (0, 2)


def test_the_first_start_stays(database: Database) -> None:
    job = running(database)
    with database.writing() as tx:
        assert jobs.release(tx, job.id, job.fence, detail="draining")
    assert claim(database).started_at == job.started_at


def test_jobs_of_a_dataset_that_is_gone_are_refused(database: Database) -> None:
    with pytest.raises(NotFound, match="dataset"), database.writing() as tx:
        jobs.add(tx, spec={}, dataset_id="ds_gone", max_epochs=1)
    with database.writing() as tx:
        assert jobs.add(tx, spec={}, dataset_id=add_dataset(tx).id, max_epochs=1).status == "queued"


# ── pauses, and who is faster ───────────────────────────────────────────────────────────────────────────────


def _act(database: Database, job: Job, action: str) -> str | None:
    """What a request answered, as a status with what is asked; None where it was refused."""
    try:
        with database.writing() as tx:
            now = getattr(jobs, f"request_{action}")(tx, job.id)
    except ActionNotAllowed:
        return None
    return now.requested_action or now.status


def _worker_pauses(database: Database, job: Job) -> bool:
    with database.writing() as tx:
        return jobs.paused(tx, job.id, job.fence)


def test_pausing_and_cancelling_race_and_the_cancel_holds(database: Database) -> None:
    for build in (add_job, running):
        for _ in range(6):
            job = build(database)
            together([partial(_act, database, job, "pause"), partial(_act, database, job, "cancel")])
            now = look(database, job)
            assert "cancel" in (now.requested_action, now.status.removesuffix("led"))
            assert not _worker_pauses(database, now)
            if now.status == "running":
                with database.writing() as tx:
                    assert jobs.cancelled(tx, job.id, now.fence)


def test_pausing_and_finishing_race_and_one_wish_is_left(database: Database) -> None:
    for _ in range(6):
        job = running(database)
        paused, finished = together(
            [partial(_act, database, job, "pause"), partial(_act, database, job, "finish")]
        )
        assert finished == "finish"
        assert paused in ("pause", None)
        assert look(database, job).requested_action == "finish"
        assert _succeed(database, job)


def test_resuming_and_the_pause_itself_race_and_the_job_goes_on(database: Database) -> None:
    for _ in range(6):
        job = running(database)
        _act(database, job, "pause")
        paused, resumed = together(
            [partial(_worker_pauses, database, job), partial(_act, database, job, "resume")]
        )
        now = look(database, job)
        assert resumed == now.status == ("queued" if paused else "running")
        assert now.requested_action is None
        if paused:
            now = claim(database)
        assert _succeed(database, now)


def test_resuming_and_claiming_race(database: Database) -> None:
    for _ in range(6):
        job = add_job(database)
        _act(database, job, "pause")
        works: list[Callable[[], object]] = [
            partial(_act, database, job, "resume"),
            partial(_act, database, job, "resume"),
            partial(_claim, database, "worker-a"),
            partial(_claim, database, "worker-b"),
        ]
        *resumed, first, second = together(works)
        assert set(resumed) <= {"queued", "running"}
        assert first is None or second is None
        if first is None and second is None:
            claim(database)
        assert look(database, job).fence == 2
        assert _succeed(database, look(database, job))


def test_pausing_and_claiming_race(database: Database) -> None:
    for _ in range(6):
        job = add_job(database)
        works: list[Callable[[], object]] = [
            partial(_act, database, job, "pause"),
            partial(_claim, database, "worker-a"),
        ]
        answer, claimed = together(works)
        now = look(database, job)
        if claimed is None:
            assert answer == now.status == "paused"
            _cancel(database, job)
        else:
            assert (answer, now.status, now.requested_action) == ("pause", "running", "pause")
            assert _worker_pauses(database, now)
            _cancel(database, job)


def test_a_paused_job_is_never_claimed(database: Database) -> None:
    job = add_job(database)
    _act(database, job, "pause")
    assert _claim(database, "worker-a") is None
    with database.reading() as tx:
        assert jobs.waiting(tx) == {}


# ── each project its turn ───────────────────────────────────────────────────────────────────────────────────


def _projects(database: Database, *names: str) -> list[Database]:
    with database.writing() as tx:
        for name in names:
            tx.execute(tables.projects.insert().values(id=name, name=name))
    return [database.of(name) for name in names]


def test_among_equals_each_project_has_its_turn(database: Database) -> None:
    for project, number in zip(_projects(database, "a", "b", "c"), (5, 2, 1), strict=True):
        for _ in range(number):
            add_job(project)
    assert [claim(database).project_id for _ in range(8)] == ["a", "b", "c", "a", "b", "a", "a", "a"]


def test_priority_comes_before_the_turn(database: Database) -> None:
    a, b = _projects(database, "a", "b")
    for priority in (0, 0, 5, 5):
        add_job(a, priority=priority)
    add_job(b, priority=1)
    taken = [claim(database) for _ in range(5)]
    assert [(job.project_id, job.priority) for job in taken] == [
        ("a", 5),
        ("a", 5),
        ("b", 1),
        ("a", 0),
        ("a", 0),
    ]


def test_a_project_that_had_nothing_is_not_owed_more_than_one_turn(database: Database) -> None:
    a, b = _projects(database, "a", "b")
    for _ in range(4):
        add_job(a)
    assert {claim(database).project_id for _ in range(2)} == {"a"}
    for _ in range(2):
        add_job(b)
    assert [claim(database).project_id for _ in range(4)] == ["b", "a", "b", "a"]


def test_fairness_holds_between_claims_of_the_same_moment(postgresql_database: Database) -> None:
    """A claim that has not committed counts as its project's turn, and holds up nobody."""
    a, b = _projects(postgresql_database, "a", "b")
    for _ in range(3):
        add_job(a)
    add_job(b)
    with postgresql_database.writing() as slow:
        (first,) = jobs.claim(slow, worker="slow", queues=["cpu"], lease_seconds=30)
        assert first.project_id == "a"
        assert [claim(postgresql_database).project_id for _ in range(3)] == ["b", "a", "a"]
        assert _claim(postgresql_database, "late") is None


def test_a_claim_probes_an_index_for_each_project(database: Database) -> None:
    for project in _projects(database, "a", "b"):
        add_job(project)
    with database.writing() as tx:
        with statements(tx) as sent:
            assert turns.next_job(tx, ["gpu", "cpu"]) is not None
        found = plan(tx, sent[0])
    assert "Seq Scan on jobs" not in found
    if database.dialect == "sqlite":
        assert "SEARCH step USING INDEX ix_jobs_turn (queue=? AND project_id>?)" in found
    else:
        assert re.search("Index (Only )?Scan using ix_jobs_turn on jobs step", found), found
