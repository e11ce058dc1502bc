"""Claiming a job with its companions: which, how many, each once, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any

import pytest

from store import attempts, events, jobs, outbox, tables, webhooks, workers
from store.columns import now
from store.curves import record
from store.jobs import Job, companions, turns
from store.session import Database
from tests.store.examples import add_dataset, add_job, look, points, together
from tests.store.watching import plan, sorts, statements

KEY = "k" * 64
ALIKE: dict[str, Any] = {"stack_key": KEY, "stack_limit": 64}


@pytest.fixture
def dataset_id(database: Database) -> str:
    with database.writing() as tx:
        return add_dataset(tx).id


def add_alike(database: Database, dataset_id: str, number: int, **changes: Any) -> list[str]:
    """So many queued jobs that may be trained together, oldest first."""
    values: dict[str, Any] = {"spec": {"dataset": "digits"}, "max_epochs": 50, **ALIKE, **changes}
    with database.writing() as tx:
        return [jobs.add(tx, dataset_id=dataset_id, **values).id for _ in range(number)]


def claim(
    database: Database, worker: str = "worker-a", *, queues: Sequence[str] = ("cpu",), at_most: int = 64
) -> list[Job]:
    with database.writing() as tx:
        return jobs.claim(tx, worker=worker, queues=queues, lease_seconds=30, at_most=at_most)


def names(claimed: Sequence[Job]) -> list[str]:
    return [job.id for job in claimed]


def listen(
    database: Database, *workers_: str, queues: Sequence[str] = ("cpu",), device: str | None = "cpu"
) -> None:
    with database.writing() as tx:
        for worker in workers_:
            workers.seen(tx, worker, host="h", pid=1, queues=queues, device=device)


# ── who ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_companions_are_claimed_oldest_first_each_for_itself(database: Database, dataset_id: str) -> None:
    added = add_alike(database, dataset_id, 5)
    claimed = claim(database)
    assert names(claimed) == added
    for job in claimed:
        assert (job.status, job.worker_id, job.attempt, job.fence) == ("running", "worker-a", 1, 1)
        assert job == look(database, job)
        with database.reading() as tx:
            assert [(one.number, one.together) for one in attempts.of(tx, job.id)] == [(1, 5)]
            log = events.log(tx, job.id)
        assert [(one.number, one.data["status"]) for one in log] == [(1, "queued"), (2, "running")]
        assert log[1].data["attempt"] == 1
    assert claim(database) == []


@pytest.mark.parametrize(
    "other",
    [
        {"stack_key": "j" * 64},
        {"stack_key": None},
        {"queue": "gpu"},
        {"priority": -1},
        {"dataset_id": None},
    ],
)
def test_only_what_is_alike_is_taken_along(
    database: Database, dataset_id: str, other: dict[str, Any]
) -> None:
    first = add_alike(database, dataset_id, 2)
    different = add_job(database, **{"dataset_id": dataset_id, **ALIKE, **other}).id
    last = add_alike(database, dataset_id, 1)
    assert names(claim(database, queues=["cpu", "gpu"])) == [*first, *last]
    assert names(claim(database, queues=["cpu", "gpu"])) == [different]


def test_another_projects_jobs_are_not_taken_along(database: Database, dataset_id: str) -> None:
    """Not even on a dataset that both had: each project has its turn."""
    with database.writing() as tx:
        tx.execute(tables.projects.insert().values(id="other", name="other"))
    mine, theirs = add_alike(database, dataset_id, 2), add_alike(database.of("other"), dataset_id, 2)
    assert sorted([names(claim(database)), names(claim(database))]) == sorted([mine, theirs])


def test_jobs_without_a_key_are_trained_alone(database: Database, dataset_id: str) -> None:
    added = add_alike(database, dataset_id, 3, stack_key=None)
    assert [names(claim(database)) for _ in added] == [[job_id] for job_id in added]


def test_a_job_that_ran_before_is_alone(database: Database, dataset_id: str) -> None:
    """Whether it leads or might come along; so a job that kills its worker is found out the next time."""
    first, *others = add_alike(database, dataset_id, 4)
    for job in claim(database):
        with database.writing() as tx:
            assert jobs.release(tx, job.id, job.fence, detail="out of the stack")
    fresh = add_alike(database, dataset_id, 2)
    claims = [names(claim(database)) for _ in range(5)]
    assert claims == [[first], *([job_id] for job_id in others), fresh]


def test_what_is_asked_for_or_not_due_stays(database: Database, dataset_id: str) -> None:
    first, paused, late, last = add_alike(database, dataset_id, 4)
    with database.writing() as tx:
        jobs.request_pause(tx, paused)
        tx.execute(tables.jobs.update().where(tables.jobs.c.id == late).values(due_at=now(60)))
    assert names(claim(database)) == [first, last]


# ── how many ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("limit", "at_most"), [(3, 64), (64, 3), (3, 3)])
def test_no_more_than_the_limits_allow(database: Database, dataset_id: str, limit: int, at_most: int) -> None:
    added = add_alike(database, dataset_id, 7, stack_limit=limit)
    claims = [names(claim(database, at_most=at_most)) for _ in range(3)]
    assert claims == [added[:3], added[3:6], added[6:]]


def test_one_at_a_time_where_that_is_wished(database: Database, dataset_id: str) -> None:
    added = add_alike(database, dataset_id, 2)
    assert [names(claim(database, at_most=1)) for _ in range(2)] == [added[:1], added[1:]]


def test_idle_workers_share_evenly(database: Database, dataset_id: str) -> None:
    added = add_alike(database, dataset_id, 16)
    listen(database, "worker-a", "worker-b")
    assert names(claim(database, "worker-a")) == added[:8]
    assert names(claim(database, "worker-b")) == added[8:]


@pytest.mark.parametrize(
    ("gpus", "cpus", "asked", "first", "second"),
    [
        (1, 9, "auto", math.ceil(34 * 8 / 17), math.ceil(34 / 17)),
        (1, 9, "cpu", math.ceil(34 / 10), math.ceil(34 / 10)),
        (2, 0, "auto", 17, 17),
        (1, 1, "auto", math.ceil(34 * 8 / 9), 34 - math.ceil(34 * 8 / 9)),
    ],
)
def test_a_process_with_a_gpu_weighs_as_much_as_a_machine_without(
    database: Database, dataset_id: str, gpus: int, cpus: int, asked: str, first: int, second: int
) -> None:
    """Beside nine processes with a thread each it would have got a tenth; what is for the CPU stays even."""
    with_gpu = [f"gpu-{number}" for number in range(gpus)]
    listen(database, *with_gpu, queues=("gpu", "cpu"), device="cuda:0")
    listen(database, *(f"cpu-{number}" for number in range(cpus)))
    add_alike(database, dataset_id, 34, spec={"training": {"device": asked}})
    taken = claim(database, "gpu-0")
    assert len(taken) == first
    other = "cpu-0" if cpus else "gpu-1"
    assert len(claim(database, other)) == second


def test_weights_change_nothing_where_more_waits_than_all_can_take(
    database: Database, dataset_id: str
) -> None:
    listen(database, "gpu", queues=("gpu", "cpu"), device="cuda:0")
    listen(database, "worker-a")
    add_alike(database, dataset_id, 40, stack_limit=4)
    assert [len(claim(database, worker)) for worker in ("worker-a", "gpu", "worker-a")] == [4, 4, 4]


def test_a_worker_of_before_there_were_weights_counts_as_one(database: Database, dataset_id: str) -> None:
    listen(database, "worker-a", "worker-b", device=None)
    add_alike(database, dataset_id, 16)
    assert len(claim(database, "worker-a")) == 8


def test_who_is_nearly_done_counts_as_free_again(database: Database, dataset_id: str) -> None:
    """What others have still to do is part of what is shared, as far as it is still to be done."""
    listen(database, "worker-a", "worker-b")
    add_alike(database, dataset_id, 8, max_epochs=4)
    assert len(claim(database, "worker-a")) == 4
    others = claim(database, "worker-b")
    for job in others:
        with database.writing() as tx:
            assert record(tx, job.id, job.fence, points(1, 3))
    add_alike(database, dataset_id, 7)
    assert len(others) == 4
    assert len(claim(database, "worker-c")) == math.ceil((7 + 4 * 1 + 4 * 1 / 4) / 3)


@pytest.mark.parametrize("other", [{"queues": ["gpu"]}, {"seen_at": -31.0}])
def test_workers_that_do_not_listen_get_no_share(
    database: Database, dataset_id: str, other: dict[str, Any]
) -> None:
    added = add_alike(database, dataset_id, 6)
    listen(database, "worker-a")
    listen(database, "worker-b", queues=other.get("queues", ["cpu"]))
    if seconds := other.get("seen_at"):
        with database.writing() as tx:
            quiet = tables.workers.c.id == "worker-b"
            tx.execute(tables.workers.update().where(quiet).values(seen_at=now(seconds)))
    assert names(claim(database, "worker-a")) == added


def test_a_full_stack_for_everybody_is_not_divided_further(database: Database, dataset_id: str) -> None:
    added = add_alike(database, dataset_id, 9)
    listen(database, "worker-a", "worker-b")
    assert names(claim(database, "worker-a", at_most=3)) == added[:3]


# ── once ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("listening", [0, 4])
def test_stacks_race_and_no_job_is_taken_twice(database: Database, dataset_id: str, listening: int) -> None:
    added = add_alike(database, dataset_id, 40, stack_limit=7)
    workers_ = [f"worker-{number}" for number in range(4)]
    listen(database, *workers_[:listening])

    def take_all(worker: str) -> list[list[str]]:
        return [names(claimed) for claimed in iter(partial(claim, database, worker), [])]

    stacks = list(chain.from_iterable(together([partial(take_all, worker) for worker in workers_])))
    assert sorted(chain.from_iterable(stacks)) == sorted(added)
    assert max(map(len, stacks)) <= 7
    with database.reading() as tx:
        found = {job_id: attempts.of(tx, job_id) for job_id in added}
    assert {job_id: len(one) for job_id, one in found.items()} == dict.fromkeys(added, 1)
    for stack in stacks:
        assert {(one.worker_id, one.together) for job_id in stack for one in found[job_id]} == {
            (found[stack[0]][0].worker_id, len(stack))
        }


def test_cancelling_and_claiming_together_race(database: Database, dataset_id: str) -> None:
    """A cancel that was acknowledged before the claim keeps its job out; after it, the worker is asked."""
    for _ in range(6):
        added = add_alike(database, dataset_id, 3)

        def cancel(job_id: str) -> list[Job]:
            with database.writing() as tx:
                return [jobs.request_cancel(tx, job_id)]

        claimed, *_ = together([partial(claim, database), *(partial(cancel, one) for one in added[1:])])
        for job_id in added:
            with database.writing() as tx:
                now = jobs.get(tx, job_id)
                if job_id in names(claimed):
                    assert now.status == "running"
                    jobs.fail(tx, job_id, now.fence, stop_reason="internal_error")
                else:
                    assert now.status == "cancelled"


def test_what_another_is_just_taking_is_passed_over(postgresql_database: Database) -> None:
    database = postgresql_database
    with database.writing() as tx:
        dataset_id = add_dataset(tx).id
    added = add_alike(database, dataset_id, 6)
    with database.writing() as slow:
        taking = {"worker": "slow", "queues": ["cpu"], "lease_seconds": 30}
        assert names(jobs.claim(slow, **taking, at_most=4)) == added[:4]  # type: ignore[arg-type]
        assert names(claim(database)) == added[4:]


# ── each project its turn, and everybody is told ────────────────────────────────────────────────────────────


def test_a_stack_is_one_turn_of_its_project(database: Database) -> None:
    with database.writing() as tx:
        for name in ("a", "b"):
            tx.execute(tables.projects.insert().values(id=name, name=name))
    own = {}
    for name in ("a", "b"):
        with database.of(name).writing() as tx:
            own[name] = add_dataset(tx).id
    add_alike(database.of("a"), own["a"], 9, stack_limit=3)
    add_job(database.of("b"))
    add_job(database.of("b"))
    turns_ = [claim(database) for _ in range(5)]
    assert [(stack[0].project_id, len(stack)) for stack in turns_] == [
        ("a", 3),
        ("b", 1),
        ("a", 3),
        ("b", 1),
        ("a", 3),
    ]


def test_webhooks_are_told_of_each(database: Database, dataset_id: str) -> None:
    with database.writing() as tx:
        hook, _ = webhooks.create(tx, url="https://example.com/", events=["job.running"])
    added = add_alike(database, dataset_id, 3)
    claim(database)
    with database.reading() as tx:
        listed = outbox.page(tx, hook.id, sort="created_at").rows
        told = [outbox.get(tx, hook.id, one.id) for one in listed]
    assert sorted(one.job_id or "" for one in told) == added
    assert all(one.job_id and one.job_id in one.payload for one in told)


# ── what it costs ───────────────────────────────────────────────────────────────────────────────────────────


def _sent_for_a_claim(database: Database, **taking: Any) -> list[tuple[str, Any]]:
    with database.writing() as tx, statements(tx) as sent:
        assert jobs.claim(tx, worker="worker-a", queues=["cpu"], lease_seconds=30, **taking)
    return sent


def test_a_stack_takes_hardly_more_statements_than_one_job(database: Database, dataset_id: str) -> None:
    listen(database, "worker-a", "worker-b")
    add_alike(database, dataset_id, 1)
    alone = len(_sent_for_a_claim(database, at_most=64))
    add_alike(database, dataset_id, 140)
    assert len(_sent_for_a_claim(database, at_most=64)) <= alone + 5
    assert alone <= 9


def test_companions_are_found_by_one_probe(database: Database, dataset_id: str) -> None:
    add_alike(database, dataset_id, 4)
    listen(database, "worker-a", "worker-b")
    with database.writing() as tx:
        leader = turns.next_job(tx, ["cpu"])
        assert leader is not None
        with statements(tx) as sent:
            assert companions.hold(tx, leader, "worker-a", at_most=3, lease_seconds=30)
        found = [plan(tx, one) for one in sent if "FROM workers" not in one[0]]
    assert len(found) == 4
    # PostgreSQL chooses among the indexes by what it believes to be in the table.
    assert not any("Seq Scan on jobs" in one for one in found)
    if database.dialect == "sqlite":
        alike = ("dataset_id", "stack_key", "queue", "priority", "attempt", "status")
        probe = f"ix_jobs_stack ({' AND '.join(f'{name}=?' for name in alike)})"
        assert all(probe in one and not sorts(one) for one in found)
