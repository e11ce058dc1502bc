"""Whose turn it is, against a sort in plain Python: the same on both databases, whatever is in the table."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from store import tables
from store.columns import now
from store.jobs import turns
from store.session import Connection, Database
from tests.store.examples import add_dataset

QUEUES = ("cpu", "gpu")
LISTENED = (("cpu",), ("gpu",), ("gpu", "cpu"), ("cpu", "gpu", "cpu"), ("tpu",), ())
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Queued:
    """A job as far as the order goes."""

    id: str
    project_id: str
    queue: str
    priority: int
    created_at: datetime
    is_due: bool
    status: str


def fill_with_ties(tx: Connection, chance: random.Random) -> tuple[list[Queued], dict[str, datetime | None]]:
    """Jobs of a few projects with many ties, and when each project had its last turn."""
    for table in (tables.jobs, tables.projects):
        tx.execute(table.delete())
    turn_at = {
        f"project_{chance.randrange(100)}": chance.choice([None, BEGAN, BEGAN + timedelta(hours=1)])
        for _ in range(chance.randrange(1, 7))
    }
    rows = [{"id": name, "name": name, "turn_at": at} for name, at in turn_at.items()]
    tx.execute(tables.projects.insert(), rows)
    dataset_id = add_dataset(tx).id
    queued = [
        Queued(
            id=f"job_{number}",
            # One that has no row is never claimed.
            project_id=chance.choice([*turn_at, *turn_at, "project_none"]),
            queue=chance.choice(QUEUES),
            priority=chance.choice([-1, 0, 0, 0, 5]),
            created_at=BEGAN + timedelta(seconds=chance.randrange(4)),
            is_due=chance.random() < 0.8,
            status=chance.choice(["queued", "queued", "queued", "paused", "running"]),
        )
        for number in chance.sample(range(1000), chance.randrange(25))
    ]
    for job in queued:
        values = {"spec": {}, "warnings": [], "metadata": {}, "last_event": 0, "max_epochs": 1}
        known = {name: getattr(job, name) for name in ("id", "project_id", "queue", "priority", "status")}
        tx.execute(
            tables.jobs.insert().values(
                **known,
                **values,
                dataset_id=dataset_id,
                created_at=job.created_at,
                due_at=now(-1 if job.is_due else 60),
            )
        )
    return queued, turn_at


def _best(
    queued: list[Queued],
    turn_at: dict[str, datetime | None],
    listened: tuple[str, ...],
    held: Collection[str] = (),
) -> str | None:
    """One at a time: a job that another holds is passed over, and its project counts as served."""
    waiting = [
        job
        for job in queued
        if job.status == "queued" and job.is_due and job.queue in listened and job.project_id in turn_at
    ]
    served: set[str] = set()

    def order(job: Queued) -> tuple[object, ...]:
        turn = turn_at[job.project_id]
        known = (turn is not None, turn or BEGAN, job.created_at, job.id)
        return (-job.priority, job.project_id in served, *known)

    while waiting:
        best = min(waiting, key=order)
        if best.id not in held:
            return best.id
        waiting.remove(best)
        served.add(best.project_id)
    return None


@pytest.mark.parametrize("seed", range(12))
def test_the_next_is_who_comes_first_in_the_order(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    with database.writing() as tx:
        queued, turn_at = fill_with_ties(tx, chance)
        clock = BEGAN + timedelta(days=1)
        for _ in range(len(queued) + 1):
            for listened in LISTENED:
                found = turns.next_job(tx, listened)
                assert (found and found.job_id) == _best(queued, turn_at, listened)
            taken = turns.next_job(tx, QUEUES)
            if taken is None:
                break
            next(job for job in queued if job.id == taken.job_id).status = "running"
            tx.execute(tables.jobs.update().where(tables.jobs.c.id == taken.job_id).values(status="running"))
            clock += timedelta(seconds=1)
            turn_at[taken.project_id] = clock
            tx.execute(
                tables.projects.update().where(tables.projects.c.id == taken.project_id).values(turn_at=clock)
            )
        assert tx.execute(sa.select(sa.func.count()).select_from(tables.jobs)).scalar() == len(queued)


def test_what_others_hold_is_passed_over_in_the_same_order(postgresql_database: Database) -> None:
    """Several of the best are looked at in one go, and it is as if each had been asked for by itself."""
    database, passed_over = postgresql_database, 0
    for seed in range(15):
        chance = random.Random(seed)
        with database.writing() as tx:
            queued, turn_at = fill_with_ties(tx, chance)
        held = {job.id for job in queued if chance.random() < 0.5}
        some = tables.jobs.c.id.in_(held)
        with database.writing() as other, database.writing() as tx:
            other.execute(sa.select(tables.jobs.c.id).where(some).with_for_update())
            for listened in LISTENED:
                found = turns.next_job(tx, listened)
                assert (found and found.job_id) == _best(queued, turn_at, listened, held)
                passed_over += _best(queued, turn_at, listened) in held
    assert passed_over > 15
