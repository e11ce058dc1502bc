"""The n-th side effect of a worker fails, or is its last one, for every n: nothing is lost or done twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from models.stacks import Measured
from store.jobs import Job
from store.jobs.row import FINAL
from tests.worker import mishaps
from tests.worker.building import Watched, Workshop, at_epoch
from tests.worker.mishaps import Doomed, Fate
from tests.worker.worlds import Unharmed
from worker import checkpoints, conclusions, curves, driving
from worker.checkpoints import Cadence

SPEC = {
    "network": {"hidden": [4]},
    "regularization": {"dropout": 0.2},
    "training": {"max_epochs": 4, "batch_size": 64},
}
OFTEN = Cadence(seconds=1000.0, epochs=1)
ASKED_AFTER = 1


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A checkpoint at each epoch and nothing between, so that every run takes the same steps."""
    monkeypatch.setattr(curves, "FLUSH_SECONDS", 1000.0)
    monkeypatch.setattr(checkpoints, "_SHORTEST_SECONDS", 0.0)
    monkeypatch.setattr(driving, "KEEPING_SECONDS", 1000.0)
    monkeypatch.setattr(conclusions, "RETRY_SECONDS", 0.001)
    with mishaps.untold():
        yield


def after_epochs(number: int, act: Callable[[], None]) -> type[Watched]:
    """A stack that never pulses within an epoch, and in which something happens once."""

    class Eventful(at_epoch(number, act)):  # type: ignore[misc]
        def pulses(self) -> Iterator[Measured]:
            return (measured for measured in super().pulses() if measured)

    return Eventful


SCENARIOS = {
    "checkpoint": "succeeded",
    "drain": "succeeded",
    "pause": "succeeded",
    "finish": "succeeded",
    "cancel": "cancelled",
}
MEMBERS = [{"training": {"max_epochs": epochs, "batch_size": 64, "seed": epochs}} for epochs in (2, 1, 2)]
"""Of a stack, one of which ends before the others."""
KINDS = {"begin", "commit", "committed", "fsync", "rename"}
"""Of side effects, all of which every attempt has."""


def run_with(worker: Doomed, job: Job, scenario: str, fate: Fate) -> int | None:
    """One attempt, with what the scenario brings after an epoch: after how many effects, if it got there."""
    draining: list[bool] = []
    acted_after: list[int] = []

    def act() -> None:
        acted_after.append(len(fate.steps))
        if scenario == "drain":
            draining.append(True)
        if scenario in ("pause", "finish", "cancel"):
            worker.workshop.ask(scenario, job)

    stack = after_epochs(ASKED_AFTER, act)
    worker.run(fate, stack=stack, draining=lambda: bool(draining), cadence=OFTEN)
    return acted_after[0] if acted_after else None


def run_stack(worker: Doomed, fate: Fate) -> None:
    """One attempt at each of a stack."""
    worker.run(fate, at_most=8, stack=after_epochs(ASKED_AFTER, lambda: None), cadence=OFTEN)


def trained_calmly(workshop: Workshop, folder: Path, *specs: dict[str, Any]) -> list[Any]:
    """What comes of jobs to which nothing happens."""
    jobs = [workshop.add_job(**spec) for spec in specs]
    while workshop.run():
        pass
    workshop.stop()  # Workers that are there would get their share of a stack.
    return [mishaps.trained(workshop, job, folder) for job in jobs]


def see_through(worker: Doomed, folder: Path, *jobs: Job) -> None:
    """What the others do after that, reconciler, people, the next worker, until each has ended."""
    workshop = worker.workshop
    for job in jobs:
        if not workshop.look(job).is_final:
            mishaps.check_unfinished(workshop, job, folder)
    for _ in range(4 * len(jobs)):
        now = [workshop.look(job).status for job in jobs]
        if set(now) <= set(FINAL):
            return
        if "running" in now:
            mishaps.run_out(workshop)
        for job in jobs:
            if workshop.look(job).status == "paused":
                workshop.ask("resume", job)
        worker.run(Fate(), at_most=8)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_side_effect_may_be_the_last(small_workshop: Workshop, tmp_path: Path, scenario: str) -> None:
    workshop, worker = small_workshop, Doomed(small_workshop)
    expected = trained_calmly(workshop, tmp_path, SPEC)
    job, fate = workshop.add_job(**SPEC), Unharmed(workshop=workshop)
    acted_after = run_with(worker, job, scenario, fate)
    assert acted_after
    assert set(fate.steps) >= KINDS
    for number, world in fate.left.items():
        world.put_back(workshop)
        see_through(worker, tmp_path, job)
        mishaps.check_ended(workshop, job, SCENARIOS[scenario] if number > acted_after else "succeeded")
        if scenario in ("checkpoint", "drain", "pause"):
            at = f"before {number}, {fate.steps[number - 1]}"
            assert [mishaps.trained(workshop, job, tmp_path)] == expected, at
        mishaps.check_swept(workshop)


def test_every_side_effect_of_a_stack_may_be_the_last(small_workshop: Workshop, tmp_path: Path) -> None:
    workshop, worker = small_workshop, Doomed(small_workshop)
    expected = trained_calmly(workshop, tmp_path, *({**SPEC, **member} for member in MEMBERS))
    stack, fate = workshop.add_stack(None, *MEMBERS, **SPEC), Unharmed(workshop=workshop)
    run_stack(worker, fate)
    assert set(fate.steps) >= KINDS
    for number, world in fate.left.items():
        world.put_back(workshop)
        see_through(worker, tmp_path, *stack)
        for job in stack:
            mishaps.check_ended(workshop, job, "succeeded")
        at = f"before {number}, {fate.steps[number - 1]}"
        assert [mishaps.trained(workshop, job, tmp_path) for job in stack] == expected, at
        mishaps.check_swept(workshop)


@pytest.mark.parametrize("scenario", ["checkpoint", "finish"])
def test_every_side_effect_may_fail(small_workshop: Workshop, tmp_path: Path, scenario: str) -> None:
    workshop, worker = small_workshop, Doomed(small_workshop)
    expected = trained_calmly(workshop, tmp_path, SPEC)
    for number, fate in failures():
        job = workshop.add_job(**SPEC)
        run_with(worker, job, scenario, fate)
        see_through(worker, tmp_path, job)
        mishaps.check_ended(workshop, job, "succeeded")
        if scenario == "checkpoint" and fate.met:
            at = f"fails at {number}, {fate.steps[number - 1]}"
            assert [mishaps.trained(workshop, job, tmp_path)] == expected, at
    mishaps.check_swept(workshop)
    mishaps.check_ended(workshop, job, "succeeded")


def test_every_side_effect_of_a_stack_may_fail(small_workshop: Workshop, tmp_path: Path) -> None:
    workshop, worker = small_workshop, Doomed(small_workshop)
    expected = trained_calmly(workshop, tmp_path, *({**SPEC, **member} for member in MEMBERS))
    for number, fate in failures():
        stack = workshop.add_stack(None, *MEMBERS, **SPEC)
        run_stack(worker, fate)
        see_through(worker, tmp_path, *stack)
        for job in stack:
            mishaps.check_ended(workshop, job, "succeeded")
        if fate.met:
            at = f"fails at {number}, {fate.steps[number - 1]}"
            assert [mishaps.trained(workshop, job, tmp_path) for job in stack] == expected, at
    mishaps.check_swept(workshop)
    for job in stack:
        mishaps.check_ended(workshop, job, "succeeded")


def failures() -> Iterator[tuple[int, Fate]]:
    """The fates of workers of whom one effect fails, each a later one, until there is none that fails."""
    tried: set[str] = set()
    for number in count(1):
        fate = Fate(number, "fails")
        yield number, fate
        if not fate.met:
            break
        tried.add(fate.steps[number - 1])
    assert tried >= KINDS
