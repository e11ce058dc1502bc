"""Checkpoints of a running job: kept in time, done without where need be, not believed when damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from models.stacks import Measured
from models.training import Training
from store import checkpoints, events, tables
from store.errors import FilesFull
from store.files import Files, Stored
from store.jobs import Job
from tests.worker import mishaps
from tests.worker.building import SHORT, Watched, Workshop, at_epoch
from tests.worker.mishaps import Doomed, Fate
from worker import checkpoints as keeping
from worker import curves
from worker.checkpoints import Cadence
from worker.heartbeat import Heartbeat
from worker.runner import Runner

OFTEN = Cadence(seconds=1000.0, epochs=1)
LONG = {**SHORT, "training": {"max_epochs": 100_000}}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(keeping, "_SHORTEST_SECONDS", 0.0)


@pytest.fixture
def worker(small_workshop: Workshop) -> Doomed:
    """A worker to whom nothing happens unless a test says so."""
    return Doomed(small_workshop)


def kept(workshop: Workshop, job: Job) -> list[checkpoints.Checkpoint]:
    with workshop.database.reading() as tx:
        return checkpoints.of(tx, job.id)


def warnings(workshop: Workshop, job: Job) -> list[str]:
    with workshop.database.reading() as tx:
        return [event.data["detail"] for event in events.log(tx, job.id) if event.kind == "warning"]


def paused_at(worker: Doomed, job: Job, epoch: int) -> None:
    """Run the job up to an epoch, and have it paused there."""
    ask = at_epoch(epoch, lambda: worker.workshop.ask("pause", job))
    worker.run(Fate(), stack=ask, cadence=OFTEN)
    assert worker.workshop.look(job).status == "paused"


# ── when ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cadence", "shortest", "expected"),
    [
        (Cadence(1000.0, 2), 0.0, {1, 2}),
        (Cadence(1000.0, 2), 1000.0, {0}),  # never more often than once a second
        (Cadence(1000.0, 50), 0.0, {0}),
        (Cadence(1e-9, 50), 1000.0, {1, 2}),
    ],
)
def test_a_checkpoint_comes_with_time_or_with_epochs(
    worker: Doomed, monkeypatch: pytest.MonkeyPatch, cadence: Cadence, shortest: float, expected: set[int]
) -> None:
    monkeypatch.setattr(keeping, "_SHORTEST_SECONDS", shortest)
    workshop, job, seen = worker.workshop, worker.workshop.add_job(**SHORT), set()
    look = at_epoch(6, lambda: seen.add(len(kept(workshop, job))))
    worker.run(Fate(), stack=look, cadence=cadence)
    assert seen <= expected
    assert workshop.look(job).status == "succeeded"
    assert kept(workshop, job) == []
    assert list(workshop.files.list("checkpoints")) == []


def test_what_is_superseded_is_deleted_at_once(worker: Doomed) -> None:
    job = worker.workshop.add_job(**LONG)
    paused_at(worker, job, 6)
    found = kept(worker.workshop, job)
    assert [one.epoch for one in found] == [6, 5]
    assert {file.key for file in worker.workshop.files.list("checkpoints")} == {one.key for one in found}


def test_nothing_is_kept_twice_where_nothing_was_done(worker: Doomed) -> None:
    """Else an attempt that dies as soon as it begins would leave a newer checkpoint, and never count."""
    workshop, job = worker.workshop, worker.workshop.add_job(**LONG)
    paused_at(worker, job, 3)
    before = kept(workshop, job)
    workshop.ask("resume", job)
    worker.run(Fate(), draining=lambda: True, cadence=OFTEN)
    assert workshop.look(job).status == "queued"
    assert kept(workshop, job) == before


# ── pause, resume, finish ───────────────────────────────────────────────────────────────────────────────────


def test_a_job_paused_before_it_trained_starts_as_if_never_touched(worker: Doomed) -> None:
    workshop, job = worker.workshop, worker.workshop.add_job(**SHORT)

    class Asked(Training):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            if not kept(workshop, job) and workshop.look(job).attempt == 1:
                workshop.ask("pause", job)

    worker.run(Fate(), begin=Asked, cadence=OFTEN)
    assert workshop.look(job).status == "paused"
    workshop.ask("resume", job)
    worker.run(Fate(), begin=Asked)
    mishaps.check_ended(workshop, job, "succeeded")


def test_a_paused_job_can_be_finished_from_its_checkpoint(worker: Doomed, tmp_path: Path) -> None:
    workshop, job = worker.workshop, worker.workshop.add_job(**LONG)
    paused_at(worker, job, 5)
    workshop.ask("finish", job)
    assert (workshop.look(job).status, workshop.look(job).requested_action) == ("queued", "finish")
    worker.run(Fate())
    done = workshop.look(job)
    assert (done.status, done.stop_reason) == ("succeeded", "finished")
    assert (done.result or {})["last_epoch"] == 5
    mishaps.check_ended(workshop, job, "succeeded")


def test_a_pause_taken_back_in_time_is_none(worker: Doomed) -> None:
    workshop, job = worker.workshop, worker.workshop.add_job(**SHORT)

    def think_again() -> None:
        workshop.ask("pause", job)
        workshop.ask("resume", job)

    worker.run(Fate(), stack=at_epoch(3, think_again), cadence=OFTEN)
    assert workshop.look(job).status == "succeeded"
    assert "paused" not in workshop.kinds(job)


def test_a_drain_while_a_pause_is_asked_pauses(worker: Doomed) -> None:
    workshop, job, draining = worker.workshop, worker.workshop.add_job(**LONG), [False]

    def both() -> None:
        workshop.ask("pause", job)
        draining[0] = True

    worker.run(Fate(), stack=at_epoch(3, both), draining=lambda: draining[0], cadence=OFTEN)
    assert workshop.look(job).status == "paused"


def test_time_is_limited_over_all_attempts(worker: Doomed) -> None:
    workshop = worker.workshop
    job = workshop.add_job(**{**SHORT, "training": {"max_epochs": 100_000, "max_runtime_seconds": 0.5}})
    draining = [False]

    def drain() -> None:
        draining[0] = True

    worker.run(Fate(), stack=at_epoch(2, drain), draining=lambda: draining[0], cadence=OFTEN)
    spent = workshop.look(job).runtime_seconds
    assert 0 < spent < 0.5
    worker.run(Fate(), cadence=OFTEN)
    done = workshop.look(job)
    assert (done.status, done.stop_reason) == ("succeeded", "max_runtime")
    assert (done.result or {})["restored_epoch"]


# ── where it cannot be kept ─────────────────────────────────────────────────────────────────────────────────


class FullOfCheckpoints(Files):
    """A disk with room for everything but checkpoints."""

    full = True

    def put(self, key: str, path: Path, *, settle: bool = True) -> Stored:
        if self.full and key.startswith("checkpoints/"):
            raise FilesFull
        return super().put(key, path, settle=settle)


def test_a_full_disk_costs_a_running_job_only_its_checkpoints(worker: Doomed) -> None:
    workshop, job = worker.workshop, worker.workshop.add_job(**SHORT)
    workshop.files = FullOfCheckpoints(workshop.files.url)
    worker.run(Fate(), cadence=OFTEN)
    assert workshop.look(job).status == "succeeded"
    (warning,) = warnings(workshop, job)
    assert "There is no space left for files" in warning


def test_a_pause_waits_until_its_checkpoint_can_be_kept(worker: Doomed) -> None:
    workshop, job = worker.workshop, worker.workshop.add_job(**LONG)
    disk = workshop.files = FullOfCheckpoints(workshop.files.url)
    seen: list[str] = []

    class Later(Watched):
        def pulses(self) -> Iterator[Measured]:
            for measured in super().pulses():
                numbers = [epoch.number for _, epoch in measured]
                if numbers == [2]:
                    workshop.ask("pause", job)
                if numbers == [8]:
                    seen.append(workshop.look(job).status)
                    disk.full = False
                yield measured

    worker.run(Fate(), stack=Later)
    assert seen == ["running"]
    assert (workshop.look(job).status, workshop.look(job).epoch) == ("paused", 8)
    assert len(warnings(workshop, job)) == 1


def test_a_drain_does_not_wait_for_a_checkpoint(worker: Doomed) -> None:
    workshop, job, draining = worker.workshop, worker.workshop.add_job(**LONG), [False]
    workshop.files = FullOfCheckpoints(workshop.files.url)

    def drain() -> None:
        draining[0] = True

    worker.run(Fate(), stack=at_epoch(3, drain), draining=lambda: draining[0])
    assert (workshop.look(job).status, workshop.look(job).lost) == ("queued", 0)


# ── where it cannot be believed ─────────────────────────────────────────────────────────────────────────────


def _lose(workshop: Workshop, one: checkpoints.Checkpoint) -> None:
    workshop.files.delete(one.key)


def _damage(workshop: Workshop, one: checkpoints.Checkpoint) -> None:
    path = Path(workshop.files.url) / one.key
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"?" + whole[len(whole) // 2 + 1 :])


def _truncate(workshop: Workshop, one: checkpoints.Checkpoint) -> None:
    path = Path(workshop.files.url) / one.key
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("harm", [_lose, _damage, _truncate])
@pytest.mark.parametrize("number", [1, 2])
def test_a_harmed_checkpoint_costs_no_more_than_itself(
    worker: Doomed, tmp_path: Path, harm: Callable[[Workshop, checkpoints.Checkpoint], None], number: int
) -> None:
    workshop = worker.workshop
    calm = workshop.add_job(**SHORT)
    worker.run(Fate())
    job = workshop.add_job(**SHORT)
    paused_at(worker, job, 4)
    for one in kept(workshop, job)[:number]:
        harm(workshop, one)
    workshop.ask("resume", job)
    worker.run(Fate(), cadence=OFTEN)
    mishaps.check_ended(workshop, job, "succeeded")
    assert mishaps.trained(workshop, job, tmp_path) == mishaps.trained(workshop, calm, tmp_path)
    assert len(warnings(workshop, job)) == number
    with workshop.database.reading() as tx:
        log = events.log(tx, job.id)
    assert [event.data["epoch"] for event in log if event.kind == "rewound"] == [3, 0][:number]


def test_a_checkpoint_of_another_spec_is_not_gone_on_from(worker: Doomed) -> None:
    """As after an upgrade that fills in another default: the job starts over and ends well."""
    workshop, job = worker.workshop, worker.workshop.add_job(**SHORT)
    paused_at(worker, job, 3)
    spec = {**job.spec, "network": {**job.spec["network"], "hidden": [5]}}
    with workshop.database.writing() as tx:
        tx.execute(sa.update(tables.jobs).where(tables.jobs.c.id == job.id).values(spec=spec))
    workshop.ask("resume", job)
    worker.run(Fate())
    mishaps.check_ended(workshop, job, "succeeded")
    assert "spec" in warnings(workshop, job)[0]


# ── a job that takes too much, or hangs ─────────────────────────────────────────────────────────────────────


def test_a_job_that_takes_too_much_memory_ends_with_its_best(worker: Doomed) -> None:
    workshop, job = worker.workshop, worker.workshop.add_job(**LONG)

    def exceed() -> None:
        heartbeat._leases[0].out_of_memory = True

    heartbeat = Heartbeat(workshop.everybodys, queues=("cpu",), lease_seconds=60)
    Runner(workshop.everybodys, workshop.files, heartbeat, stack=at_epoch(4, exceed)).run_next(["cpu"])
    done = workshop.look(job)
    assert (done.status, done.stop_reason) == ("failed", "out_of_memory")
    assert (done.result or {})["restored_epoch"]
    assert workshop.weights(job).summary["layers"]
