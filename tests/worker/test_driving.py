"""Jobs that are trained together: each ends as it should, and what is one's does not touch the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from models.errors import DataError
from models.stacks import Measured
from models.training import Training
from store import attempts, jobs, tables, workers
from store.errors import FilesFull
from store.files import Files, Stored
from store.jobs import Job
from store.session import Database
from tests.worker import mishaps
from tests.worker.building import Watched, Workshop, at_epoch
from worker import curves
from worker.heartbeat import Heartbeat
from worker.runner import Runner

SPEC: dict[str, Any] = {
    "network": {"hidden": [8]},
    "regularization": {"dropout": 0.2, "l2": 1e-4},
    "training": {"max_epochs": 12, "batch_size": 32},
}
LONG = {**SPEC, "training": {"max_epochs": 100_000, "batch_size": 32}}
FOUR: list[dict[str, Any]] = [
    {},
    {"training": {"max_epochs": 12, "batch_size": 32, "seed": 7}},
    {"regularization": {"dropout": 0.5, "l1": 1e-3}},
    {"optimizer": {"kind": "adam", "learning_rate": 0.03}},
]


def run(workshop: Workshop, **options: Any) -> None:
    assert workshop.run(**{"at_most": 64, "backoff_seconds": 0, **options})


def companies(workshop: Workshop, job: Job) -> list[int]:
    """With how many others it was claimed, attempt by attempt."""
    with workshop.database.reading() as tx:
        return [attempt.together for attempt in attempts.of(tx, job.id)]


def at_its_end(workshop: Workshop, job: Job) -> Any:
    """In how many others' company it took its last step."""
    return (workshop.look(job).environment or {})["company"]


def add_alone(workshop: Workshop, *changes: dict[str, Any]) -> list[Job]:
    return [workshop.add_job(**{**SPEC, **change}) for change in changes]


def check_like_alone(workshop: Workshop, folder: Path, together: Sequence[Job], alone: Sequence[Job]) -> None:
    """The same curves and the same weights, to the last bit, and the same file of them."""
    for one, other in zip(together, alone, strict=True):
        mishaps.check_ended(workshop, one, "succeeded")
        assert workshop.weights(one).sha256 == workshop.weights(other).sha256
        assert mishaps.trained(workshop, one, folder) == mishaps.trained(workshop, other, folder)
        assert workshop.look(one).result == workshop.look(other).result


def test_a_stack_is_claimed_at_once_and_each_ends_for_itself(
    small_workshop: Workshop, tmp_path: Path
) -> None:
    together = small_workshop.add_stack(None, *FOUR, **SPEC)
    run(small_workshop)
    alone = add_alone(small_workshop, *FOUR)
    while small_workshop.run():
        pass
    check_like_alone(small_workshop, tmp_path, together, alone)
    assert [companies(small_workshop, job) for job in together] == [[4]] * 4
    assert [at_its_end(small_workshop, job) for job in (*together, *alone)] == [3] * 4 + [0] * 4
    for job in together:
        kept = small_workshop.weights(job)
        assert job.id in kept.key
        kinds = small_workshop.kinds(job)
        assert kinds == ["queued", "running", *["epoch"] * 12, "succeeded", "end"]


def test_those_that_stop_at_other_epochs_leave_the_others(small_workshop: Workshop, tmp_path: Path) -> None:
    changes = [{"training": {"max_epochs": epochs, "batch_size": 32}} for epochs in (2, 9, 5)]
    together = small_workshop.add_stack(None, *changes, **SPEC)
    run(small_workshop)
    alone = add_alone(small_workshop, *changes)
    while small_workshop.run():
        pass
    check_like_alone(small_workshop, tmp_path, together, alone)
    assert [at_its_end(small_workshop, job) for job in together] == [2, 0, 1]


def test_one_at_a_time_where_that_is_set(small_workshop: Workshop) -> None:
    together = small_workshop.add_stack(None, {}, {}, **SPEC)
    run(small_workshop, at_most=1)
    assert [small_workshop.look(job).status for job in together] == ["succeeded", "queued"]


# ── each its own end ────────────────────────────────────────────────────────────────────────────────────────


class Parting(Watched):
    """Six trainings; at the fifth epoch of the first, something else happens to each but the last."""

    act: Callable[[Parting], None]

    def pulses(self) -> Iterator[Measured]:
        done = False
        for measured in super().pulses():
            if not done and any(one is self.trainings[0] and epoch.number == 5 for one, epoch in measured):
                done = True
                type(self).act(self)
            yield measured


def test_of_six_each_ends_as_it_should(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled, finished, paused, diverged, taken away; and the one that is left is trained as if alone."""
    monkeypatch.setattr(curves, "FLUSH_SECONDS", 0.0)
    changes = [*[{**LONG}] * 5, SPEC]
    together = workshop.add_stack(None, *changes, **SPEC)
    cancelled, finished, paused, diverged, taken, last = together

    def act(stack: Watched) -> None:
        workshop.ask("cancel", cancelled)
        workshop.ask("finish", finished)
        workshop.ask("pause", paused)
        for parameter in stack.trainings[3].network.parameters():
            parameter.data.fill_(float("nan"))
        with workshop.database.writing() as tx:
            assert jobs.release(tx, taken.id, 1, detail="the test takes it away")
            tx.execute(tables.jobs.update().where(tables.jobs.c.id == taken.id).values(priority=-9))

    monkeypatch.setattr(Parting, "act", act, raising=False)
    run(workshop, stack=Parting)
    found = {job.id: workshop.look(job) for job in together}
    ends = [(found[job.id].status, found[job.id].stop_reason) for job in together]
    assert ends == [
        ("cancelled", "cancelled"),
        ("succeeded", "finished"),
        ("paused", None),
        ("failed", "diverged"),
        ("queued", None),
        ("succeeded", "max_epochs"),
    ]
    for job in together:
        mishaps.check_curve(workshop, job)
    assert (found[cancelled.id].result or {})["restored_epoch"] >= 1
    assert (found[finished.id].result or {})["test"]
    assert workshop.curve(diverged).nonfinite
    assert companies(workshop, last) == [6]
    (alone,) = add_alone(workshop, SPEC)
    with workshop.database.writing() as tx:
        others = tables.jobs.c.id.in_([taken.id])
        tx.execute(tables.jobs.delete().where(others))
    run(workshop)
    check_like_alone(workshop, tmp_path, [last], [alone])
    workshop.ask("resume", paused)
    run(workshop, stack=at_epoch(found[paused.id].epoch + 3, lambda: workshop.ask("finish", paused)))
    assert workshop.look(paused).stop_reason == "finished"
    assert companies(workshop, paused) == [6, 1]
    mishaps.check_ended(workshop, paused, "succeeded")


def test_a_drain_puts_all_of_them_back_with_a_checkpoint_each(
    small_workshop: Workshop, tmp_path: Path
) -> None:
    workshop, draining = small_workshop, [False]
    together = workshop.add_stack(None, *FOUR, **SPEC)

    def drain() -> None:
        draining[0] = True

    run(workshop, stack=at_epoch(5, drain), draining=lambda: draining[0])
    for job in together:
        now = workshop.look(job)
        assert (now.status, now.lost, now.lost_together) == ("queued", 0, 0)
        assert now.epoch > 0
        mishaps.check_unfinished(workshop, job, tmp_path)
    while workshop.run():
        pass
    alone = add_alone(workshop, *FOUR)
    while workshop.run():
        pass
    check_like_alone(workshop, tmp_path, together, alone)
    assert [companies(workshop, job) for job in together] == [[4, 1]] * 4
    assert not any("rewound" in workshop.kinds(job) for job in together)


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("x"), MemoryError(), SystemExit(3), DataError("no rows")]
)
def test_what_breaks_for_all_blames_nobody_and_then_each_is_alone(
    small_workshop: Workshop, error: BaseException
) -> None:
    workshop = small_workshop
    together = workshop.add_stack(None, {}, {}, {}, **SPEC)

    def explode() -> None:
        raise error

    run(workshop, stack=at_epoch(3, explode))
    for job in together:
        now = workshop.look(job)
        assert (now.status, now.attempt, now.lost) == ("queued", 1, 0)
    assert "trained alone" in _last_detail(workshop, together[0])
    run(workshop, stack=at_epoch(3, explode))
    assert [workshop.look(job).status for job in together] == ["failed", "queued", "queued"]
    while workshop.run():
        pass
    assert [workshop.look(job).status for job in together] == ["failed", "succeeded", "succeeded"]
    assert [companies(workshop, job) for job in together] == [[3, 1]] * 3


def _last_detail(workshop: Workshop, job: Job) -> str:
    with workshop.database.reading() as tx:
        return str(attempts.of(tx, job.id)[-1].detail)


@pytest.mark.parametrize("broken", ["spec", "training", "result"])
def test_what_breaks_for_one_is_its_own(
    small_workshop: Workshop, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    workshop = small_workshop
    good, bad, fine = workshop.add_stack(None, {}, {"name": "bad"}, {}, **SPEC)

    class Broken(Training):
        def __init__(self, spec: Any, *given: Any, **named: Any) -> None:
            if broken == "training" and spec.name == "bad":
                raise ValueError("it cannot be built")
            super().__init__(spec, *given, **named)

        def result(self) -> dict[str, Any]:
            return {"what": object()} if broken == "result" and self.spec.name == "bad" else super().result()

    if broken == "spec":
        with workshop.database.writing() as tx:
            row = tables.jobs.c.id == bad.id
            tx.execute(sa.update(tables.jobs).where(row).values(spec={**bad.spec, "novelty": 1}))
    run(workshop, begin=Broken)
    assert (workshop.look(bad).status, workshop.look(bad).stop_reason) == ("failed", "internal_error")
    for job in (good, fine):
        mishaps.check_ended(workshop, job, "succeeded")


def test_a_training_that_finds_no_memory_beside_others_is_tried_alone(small_workshop: Workshop) -> None:
    class Large(Training):
        def __init__(self, spec: Any, *given: Any, **named: Any) -> None:
            if spec.name == "large":
                raise MemoryError
            super().__init__(spec, *given, **named)

    good, large = small_workshop.add_stack(None, {}, {"name": "large"}, **SPEC)
    run(small_workshop, begin=Large)
    assert small_workshop.look(good).status == "succeeded"
    assert small_workshop.look(large).status == "queued"
    run(small_workshop)
    assert small_workshop.look(large).status == "succeeded"


def test_weights_that_cannot_be_stored_are_one_jobs_trouble(small_workshop: Workshop) -> None:
    first, second, third = small_workshop.add_stack(None, {}, {}, {}, **SPEC)
    room = small_workshop.files

    class NoRoomForOne(Files):
        def put(self, key: str, path: Path, *, settle: bool = True) -> Stored:
            if second.id in key:
                raise FilesFull
            return super().put(key, path, settle=settle)

    small_workshop.files = NoRoomForOne(room.url)
    run(small_workshop)
    assert [small_workshop.look(job).status for job in (first, second, third)] == [
        "succeeded",
        "queued",
        "succeeded",
    ]
    assert small_workshop.look(second).lost == 0


def test_a_stack_that_takes_too_much_memory_is_trained_one_by_one(small_workshop: Workshop) -> None:
    workshop = small_workshop
    together = workshop.add_stack(None, {}, {}, **SPEC)
    heartbeat = Heartbeat(workshop.everybodys, queues=("cpu",), lease_seconds=60)

    def exceed() -> None:
        for lease in heartbeat._leases:
            lease.out_of_memory = True

    Runner(workshop.everybodys, workshop.files, heartbeat, at_most=64, stack=at_epoch(4, exceed)).run_next(
        ["cpu"]
    )
    assert [(workshop.look(job).status, workshop.look(job).lost) for job in together] == [("queued", 0)] * 2
    assert "more memory" in _last_detail(workshop, together[0])
    while workshop.run():
        pass
    assert [workshop.look(job).status for job in together] == ["succeeded"] * 2


def test_a_cancel_acknowledged_as_training_ends_holds_for_its_job(small_workshop: Workshop) -> None:
    first, second = small_workshop.add_stack(None, {}, {"name": "late"}, **SPEC)

    class CancelledAtLast(Training):
        def result(self) -> dict[str, Any]:
            if self.spec.name == "late":
                small_workshop.ask("cancel", second)
            return super().result()

    run(small_workshop, begin=CancelledAtLast)
    assert [small_workshop.look(job).status for job in (first, second)] == ["succeeded", "cancelled"]


# ── what it costs ───────────────────────────────────────────────────────────────────────────────────────────


class Counting(Database):
    """A database that counts its writing transactions."""

    written = 0

    def writing(self) -> Any:
        type(self).written += 1
        return super().writing()


def test_many_small_jobs_share_transactions(small_workshop: Workshop) -> None:
    """One for the claim, one for the ends of those that end together, and one each quarter of a second."""
    together = small_workshop.add_stack(None, *[{}] * 20, **SPEC)
    began = time.monotonic()
    database = small_workshop.everybodys
    database.__class__ = Counting
    heartbeat = Heartbeat(database, queues=("cpu",), lease_seconds=60)
    Runner(database, small_workshop.files, heartbeat, at_most=64).run_next(["cpu"])
    for job in together:
        mishaps.check_ended(small_workshop, job, "succeeded")
    assert Counting.written <= 3 + (time.monotonic() - began) / curves.FLUSH_SECONDS


def test_presence_says_how_many_it_trains(small_workshop: Workshop) -> None:
    together = small_workshop.add_stack(None, {}, {}, {}, **LONG)
    seen: list[Any] = []

    def look() -> None:
        heartbeat._beat()
        with small_workshop.database.reading() as tx:
            seen.extend(workers.alive(tx, 60))
        for job in together:
            small_workshop.ask("cancel", job)
        heartbeat._beat()

    heartbeat = Heartbeat(small_workshop.everybodys, queues=("cpu",), lease_seconds=60)
    runner = Runner(
        small_workshop.everybodys, small_workshop.files, heartbeat, at_most=64, stack=at_epoch(2, look)
    )
    runner.run_next(["cpu"])
    assert [(one.job_id, one.jobs) for one in seen] == [(together[0].id, 3)]
    assert {small_workshop.look(job).status for job in together} == {"cancelled"}


def test_the_weights_of_all_are_on_the_disk_before_any_row_points_to_them(small_workshop: Workshop) -> None:
    together = small_workshop.add_stack(None, {}, {}, {}, **SPEC)
    told: list[tuple[int, set[str]]] = []

    class Noting(Files):
        def settle(self, prefix: str) -> None:
            there = len(list(self.list(prefix)))
            super().settle(prefix)
            told.append((there, {small_workshop.look(job).status for job in together}))

    small_workshop.files = Noting(small_workshop.files.url)
    run(small_workshop)
    assert told == [(3, {"running"})]
    assert {small_workshop.look(job).status for job in together} == {"succeeded"}


def test_a_disk_that_fails_as_weights_are_settled_costs_the_jobs_nothing(small_workshop: Workshop) -> None:
    together = small_workshop.add_stack(None, {}, {}, **SPEC)

    class Failing(Files):
        def settle(self, prefix: str) -> None:
            raise FilesFull

    room = small_workshop.files
    small_workshop.files = Failing(room.url)
    run(small_workshop)
    assert [(small_workshop.look(job).status, small_workshop.look(job).lost) for job in together] == [
        ("queued", 0)
    ] * 2
    small_workshop.files = room
    while small_workshop.run():
        pass
    assert {small_workshop.look(job).status for job in together} == {"succeeded"}
