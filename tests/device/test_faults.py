"""What a GPU does to jobs that is not their doing, and what of it is: no memory, no context, no device."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from models.training import Training
from store import attempts, events
from store.jobs import Job
from tests.pretended import DEVICE, Accelerator, lost_context, out_of_memory
from tests.worker.building import Workshop, at_epoch, noise
from tests.worker.mishaps import check_ended, check_unfinished
from worker import checkpoints, curves, driving
from worker.accelerator import DeviceLostError, Gpu
from worker.checkpoints import Cadence
from worker.endings import CROWDED

SMALL: dict[str, Any] = {"network": {"hidden": [5]}, "training": {"max_epochs": 4, "batch_size": 64}}
EACH_EPOCH = Cadence(seconds=3600, epochs=1)
NEVER = Cadence(seconds=3600, epochs=10_000)


@pytest.fixture(autouse=True, scope="module")
def _frozen() -> None:
    """As a worker with a GPU does: what is loaded by now is not looked through after every claim."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "_SHORTEST_SECONDS", 0.0)


def run(workshop: Workshop, gpu: Gpu | None = None, **options: Any) -> bool:
    settings = {"gpu": gpu or Gpu(DEVICE), "at_most": 64, "backoff_seconds": 0, "cadence": NEVER, **options}
    workshop.stop()  # one worker is left, which shares with nobody
    return workshop.run(**settings)


def loses_it(gpu: Accelerator, *, launch: int = 3) -> Callable[[], None]:
    return lambda: gpu.fail(lost_context(), launch=launch, lost=True)


def add(workshop: Workshop) -> Job:
    return workshop.add_job(noise(96), **SMALL)


def add_stack(workshop: Workshop, *changes: dict[str, Any]) -> list[Job]:
    return workshop.add_stack(noise(96), *(changes or ({}, {})), **SMALL)


def ends_of(workshop: Workshop, job: Job) -> list[tuple[str | None, str | None]]:
    with workshop.database.reading() as tx:
        return [(each.outcome, each.detail) for each in attempts.of(tx, job.id)]


# ── a context that is lost ──────────────────────────────────────────────────────────────────────────────────


def test_a_job_whose_context_is_lost_loses_its_worker_and_no_other_job_is_claimed(
    workshop: Workshop, gpu: Accelerator
) -> None:
    job, other = add(workshop), add(workshop)
    with pytest.raises(DeviceLostError, match="illegal memory access"):
        run(workshop, stack=at_epoch(2, loses_it(gpu)))
    found = workshop.look(job)
    assert (found.status, found.lost, found.lost_together, found.error) == ("queued", 1, 0, None)
    ((outcome, detail),) = ends_of(workshop, job)
    assert outcome == "lost"
    assert detail == "its GPU was lost: CUDA error: an illegal memory access was encountered"
    before = workshop.rows()
    for _ in range(3):
        with pytest.raises(DeviceLostError, match="does not answer"):
            run(workshop)
    assert workshop.rows() == before
    assert workshop.look(other).status == "queued"
    with Accelerator():  # as the process that takes over has it
        while run(workshop):
            pass
    for each in (job, other):
        check_ended(workshop, each, "succeeded")


def test_a_job_that_breaks_each_context_fails_and_another_between_does_not(workshop: Workshop) -> None:
    bad = add(workshop)
    for _ in range(3):
        with Accelerator() as fresh, pytest.raises(DeviceLostError):
            run(workshop, stack=at_epoch(1, loses_it(fresh)), max_attempts=3)
    failed = workshop.look(bad)
    assert (failed.status, failed.stop_reason, failed.lost) == ("failed", "worker_lost", 3)
    assert "illegal memory access" in (failed.stop_detail or "")
    assert "3 attempts were lost, and that is the limit" in (failed.stop_detail or "")
    good = add(workshop)
    run(workshop)
    check_ended(workshop, good, "succeeded")


def test_a_loss_behind_a_checkpoint_does_not_count_and_the_next_goes_on_from_there(
    workshop: Workshop, gpu: Accelerator, tmp_path: Any
) -> None:
    job = add(workshop)
    with pytest.raises(DeviceLostError):
        run(workshop, stack=at_epoch(3, loses_it(gpu)), cadence=EACH_EPOCH)
    assert (workshop.look(job).lost, workshop.look(job).status) == (0, "queued")
    check_unfinished(workshop, job, tmp_path)
    with Accelerator():
        run(workshop)
    check_ended(workshop, job, "succeeded")


def test_of_a_stack_nobody_is_blamed_and_then_each_is_alone(workshop: Workshop, gpu: Accelerator) -> None:
    jobs = add_stack(workshop)
    with pytest.raises(DeviceLostError):
        run(workshop, stack=at_epoch(2, loses_it(gpu)))
    for job in jobs:
        found = workshop.look(job)
        assert (found.status, found.lost, found.lost_together) == ("queued", 0, 1)
    for _ in jobs:
        with Accelerator():
            assert run(workshop)
    for job in jobs:
        check_ended(workshop, job, "succeeded")
        assert [outcome for outcome, _ in ends_of(workshop, job)] == ["lost", "succeeded"]


@pytest.mark.parametrize(("asked", "status"), [("cancel", "cancelled"), ("pause", "paused")])
def test_what_was_asked_of_a_lost_job_is_done(
    asked: str, status: str, workshop: Workshop, gpu: Accelerator
) -> None:
    job = add(workshop)

    def act() -> None:
        workshop.ask(asked, job)
        loses_it(gpu)()

    with pytest.raises(DeviceLostError):
        run(workshop, stack=at_epoch(2, act))
    assert workshop.look(job).status == status


def test_a_context_lost_in_one_job_s_checkpoint_lets_those_end_that_are_at_their_end(
    workshop: Workshop, gpu: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, goes_on = add_stack(workshop, {"training": {"max_epochs": 2, "batch_size": 64}}, {})
    real = checkpoints.save

    def save(path: Any, training: Training) -> None:
        if len(training.history) == 2:
            loses_it(gpu, launch=1)()
        real(path, training)

    monkeypatch.setattr(checkpoints, "save", save)
    monkeypatch.setattr(driving, "KEEPING_SECONDS", 60.0)  # a slow machine would put it off to the next pulse
    with pytest.raises(DeviceLostError):
        run(workshop, cadence=EACH_EPOCH)
    check_ended(workshop, ended, "succeeded")
    assert (workshop.look(goes_on).status, workshop.look(goes_on).lost) == ("queued", 0)


def test_an_error_of_the_job_s_own_leaves_the_gpu_alone(workshop: Workshop, gpu: Accelerator) -> None:
    """A launch fails, and the next one works: no context was lost, whatever its words are."""
    job, other = add(workshop), add(workshop)
    run(workshop, stack=at_epoch(2, lambda: gpu.fail(lost_context())))
    assert (workshop.look(job).status, workshop.look(job).stop_reason) == ("failed", "internal_error")
    run(workshop)
    check_ended(workshop, other, "succeeded")


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_claim_held_is_given_back_before_the_next(workshop: Workshop, gpu: Accelerator) -> None:
    add_stack(workshop)
    run(workshop)
    assert gpu.peak_bytes > 0
    assert gpu.live_bytes == 0


def test_what_a_broken_claim_held_is_given_back_too(workshop: Workshop, gpu: Accelerator) -> None:
    job = add(workshop)
    run(workshop, stack=at_epoch(2, lambda: gpu.fail(out_of_memory())))
    assert workshop.look(job).stop_reason == "out_of_memory"
    assert (workshop.look(job).stop_detail or "").startswith("the GPU ran out of memory")
    assert gpu.live_bytes == 0


def test_a_stack_without_memory_is_put_back_and_each_is_trained_alone(
    workshop: Workshop, gpu: Accelerator
) -> None:
    jobs = add_stack(workshop)
    run(workshop, stack=at_epoch(2, lambda: gpu.fail(out_of_memory())))
    for job in jobs:
        found = workshop.look(job)
        assert (found.status, found.lost, found.lost_together) == ("queued", 0, 0)
    while run(workshop):
        pass
    for job in jobs:
        check_ended(workshop, job, "succeeded")
        assert [outcome for outcome, _ in ends_of(workshop, job)] == ["released", "succeeded"]


class Crowded(Gpu):
    """Others hold its memory, they say."""

    def is_crowded(self) -> bool:
        return True


@pytest.mark.parametrize("are_there_still", [True, False])
def test_what_others_memory_costs_a_job_is_one_attempt(
    are_there_still: bool, workshop: Workshop, gpu: Accelerator
) -> None:
    job = add(workshop)

    def again() -> None:
        if are_there_still or workshop.look(job).attempt == 1:
            gpu.fail(out_of_memory())

    run(workshop, Crowded(DEVICE), stack=at_epoch(2, again))
    assert workshop.look(job).status == "queued"
    run(workshop, Crowded(DEVICE), stack=at_epoch(2, again))
    if are_there_still:
        assert workshop.look(job).stop_reason == "out_of_memory"
    else:
        check_ended(workshop, job, "succeeded")
    assert ends_of(workshop, job)[0] == ("released", CROWDED)
    assert len(ends_of(workshop, job)) == 2


def test_a_checkpoint_without_memory_costs_the_way_back_and_nothing_else(
    workshop: Workshop, gpu: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = add(workshop)
    real, failed = checkpoints.save, []

    def save(path: Any, training: Training) -> None:
        if len(training.history) == 2:
            failed.append(True)
            gpu.fail(out_of_memory())
        real(path, training)

    monkeypatch.setattr(checkpoints, "save", save)
    run(workshop, cadence=EACH_EPOCH)
    assert failed == [True]
    check_ended(workshop, job, "succeeded")
    with workshop.database.reading() as tx:
        told = [each.data["detail"] for each in events.log(tx, job.id) if each.kind == "warning"]
    assert any("no checkpoint can be kept, and training goes on: CUDA out of memory" in one for one in told)
