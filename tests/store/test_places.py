"""Where a queued job stands, against the claims themselves."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
import sqlalchemy as sa

from store import tables, workers
from store.columns import now
from store.jobs import MOST_AHEAD, Job, places, turns
from store.jobs.row import select_jobs, to_job
from store.session import Connection, Database
from store.tables import jobs, projects
from tests.store import filling
from tests.store.test_turns import BEGAN, QUEUES, fill_with_ties


def job_called(tx: Connection, job_id: str) -> Job:
    return to_job(tx.execute(select_jobs().where(jobs.c.id == job_id)).one())


def claimed_in_order(tx: Connection, queue: str) -> list[str]:
    """Every due job of a queue as it is claimed, one at a time."""
    order: list[str] = []
    clock = BEGAN + timedelta(days=1)
    while taken := turns.next_job(tx, [queue]):
        order.append(taken.job_id)
        clock += timedelta(seconds=1)
        tx.execute(jobs.update().where(jobs.c.id == taken.job_id).values(status="running"))
        tx.execute(projects.update().where(projects.c.id == taken.project_id).values(turn_at=clock))
    return order


@pytest.mark.parametrize("seed", range(12))
def test_a_place_is_how_many_are_claimed_before(database: Database, seed: int) -> None:
    """Exactly, where it says so; else at least so many."""
    with database.writing() as tx:
        _, turn_at = fill_with_ties(tx, random.Random(seed))
        tx.execute(jobs.delete().where(jobs.c.project_id == "project_none"))
        queued = tx.execute(sa.select(jobs.c.id).where(jobs.c.status == "queued")).scalars().all()
        told = {id_: places.place(tx, job_called(tx, id_)) for id_ in queued}
        for queue in QUEUES:
            for name, at in turn_at.items():
                tx.execute(projects.update().where(projects.c.id == name).values(turn_at=at))
            for ahead, id_ in enumerate(claimed_in_order(tx, queue)):
                assert told[id_].ahead <= ahead
                assert told[id_].ahead == ahead or not told[id_].is_exact


@pytest.mark.parametrize("earlier", [True, False])
def test_projects_take_turns(database: Database, earlier: bool) -> None:
    """Exactly, once both have had one: the other has as many before each of mine, and one more if first."""
    with database.writing() as tx:
        filling.add_projects(tx, 2, prefix="few")
        filling.add_jobs(tx, 12, projects=2, prefix="few", mark="q")
        mine, other = tx.execute(sa.select(projects.c.id).where(projects.c.id.like("few%"))).scalars()
        for name, at in ((mine, BEGAN), (other, BEGAN + timedelta(hours=-1 if earlier else 1))):
            tx.execute(projects.update().where(projects.c.id == name).values(turn_at=at))
        found = tx.execute(sa.select(jobs.c.id).where(jobs.c.project_id == mine).order_by(jobs.c.created_at))
        told = [places.place(tx, job_called(tx, id_)) for id_ in found.scalars().all()]
    assert told == [places.Place(2 * number + earlier, is_exact=True) for number in range(6)]


def test_of_one_project_it_is_always_exact(database: Database) -> None:
    with database.writing() as tx:
        filling.add_projects(tx, 1, prefix="full")
        filling.add_jobs(tx, 20, projects=1, prefix="full", mark="q")
        ids = list(tx.execute(sa.select(jobs.c.id).order_by(jobs.c.created_at, jobs.c.id)).scalars())
        tx.execute(jobs.update().where(jobs.c.id == ids[7]).values(priority=3))
        tx.execute(jobs.update().where(jobs.c.id == ids[3]).values(due_at=now(60)))
        found = {id_: places.place(tx, job_called(tx, id_)) for id_ in ids}
        assert all(each.is_exact for each in found.values())
        assert (found[ids[7]].ahead, found[ids[0]].ahead, found[ids[2]].ahead) == (0, 1, 3)
        assert found[ids[4]].ahead == 4, "what is not due yet is not before it"
        assert found[ids[-1]].ahead == 18


def test_no_more_are_counted_than_anybody_wants_to_know(database: Database) -> None:
    with database.writing() as tx:
        filling.add_projects(tx, 3, prefix="many")
        filling.add_jobs(tx, 300, projects=3, prefix="many", mark="q")
        last = tx.execute(sa.select(jobs.c.id).order_by(jobs.c.created_at.desc()).limit(1)).scalar_one()
        assert places.place(tx, job_called(tx, last)) == places.Place(MOST_AHEAD, is_exact=False)


def test_workers_are_counted_by_the_queues_they_take(database: Database) -> None:
    with database.writing() as tx:
        for name, queues in (("a", ["cpu"]), ("b", ["gpu", "cpu"]), ("c", ["cpu"])):
            workers.seen(tx, name, host="h", pid=1, queues=queues)
        tx.execute(tables.workers.update().where(tables.workers.c.id == "c").values(seen_at=now(-60)))
        counted = {queue: workers.taking(tx, queue, 15) for queue in ("cpu", "gpu", "tpu")}
    assert counted == {"cpu": 2, "gpu": 1, "tpu": 0}
