"""What the reconciler does is counted with it, for `/metrics` to tell."""

from __future__ import annotations

from store import counters, jobs
from tests.worker.building import Workshop
from tests.worker.test_reconciler import Broker, claim, made


def counted(workshop: Workshop) -> dict[str, int]:
    with workshop.database.reading() as tx:
        return counters.read(tx)


def test_lost_attempts_are_counted_by_what_became_of_them(workshop: Workshop) -> None:
    reconciler = made(workshop, Broker(), max_attempts=2)
    reconciler.tick()
    assert counted(workshop) == {}
    workshop.add_job()
    claim(workshop)
    reconciler.tick()
    assert counted(workshop) == {"attempts_lost": 1, "reconciler.requeued": 1}
    job = claim(workshop)
    with workshop.database.writing() as tx:
        jobs.request_cancel(tx, job.id)
    reconciler.tick()
    assert counted(workshop) == {
        "attempts_lost": 2,
        "reconciler.requeued": 1,
        "reconciler.cancelled": 1,
    }
