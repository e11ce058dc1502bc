"""The n-th side effect of a worker fails, or is its last one, for every n: nothing is lost or done twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.stacks import Measured
from store.jobs import Job
from tests.worker import mishaps
from tests.worker.building import Watched, Workshop, at_epoch
from tests.worker.mishaps import Doomed, Fate, Kind
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


def run_with(worker: Doomed, job: Job, scenario: str, fate: Fate) -> bool:
    """One attempt, with what the scenario brings after an epoch; whether it came so far."""
    draining, acted = [False], [False]

    def act() -> None:
        acted[0] = True
        draining[0] = scenario == "drain"
        if scenario in ("pause", "finish", "cancel"):
            worker.workshop.ask(scenario, job)

    stack = after_epochs(ASKED_AFTER, act)
    worker.run(fate, stack=stack, draining=lambda: draining[0], cadence=OFTEN)
    return acted[0]


def see_it_through(worker: Doomed, job: Job) -> None:
    """What the others do after that: reconciler, people, the next worker."""
    workshop = worker.workshop
    for _ in range(4):
        mishaps.run_out(workshop)
        if workshop.look(job).status == "paused":
            workshop.ask("resume", job)
        if workshop.look(job).is_final:
            return
        worker.run(Fate())


MEMBERS = [{"training": {"max_epochs": epochs, "batch_size": 64, "seed": epochs}} for epochs in (2, 1, 2)]


@pytest.mark.parametrize("kind", ["dies", "fails"])
def test_every_side_effect_of_a_stack_may_be_the_last_or_fail(
    small_workshop: Workshop, tmp_path: Path, kind: Kind
) -> None:
    """Of three that are trained together, one of which ends before the others."""
    workshop, worker = small_workshop, Doomed(small_workshop)
    calm = [workshop.add_job(**{**SPEC, **member}) for member in MEMBERS]
    while workshop.run():
        pass
    workshop.stop()  # Workers that are there would get their share of the stack.
    expected = [mishaps.trained(workshop, job, tmp_path) for job in calm]
    number, tried = 0, set()
    while True:
        number += 1
        stack, fate = workshop.add_stack(None, *MEMBERS, **SPEC), Fate(number, kind)
        worker.run(fate, at_most=8, stack=after_epochs(ASKED_AFTER, lambda: None), cadence=OFTEN)
        if not fate.met:
            break
        tried.add(fate.steps[number - 1])
        for job in stack:
            if not workshop.look(job).is_final:
                mishaps.check_unfinished(workshop, job, tmp_path)
        for job in 3 * stack:
            see_it_through(worker, job)
        for job in stack:
            mishaps.check_ended(workshop, job, "succeeded")
        at = f"{kind} at {number}, {fate.steps[number - 1]}"
        assert [mishaps.trained(workshop, job, tmp_path) for job in stack] == expected, at
    mishaps.check_swept(workshop)
    for job in stack:
        mishaps.check_ended(workshop, job, "succeeded")
    assert {"begin", "commit", "committed", "fsync", "rename"} <= tried


SCENARIOS = {
    "checkpoint": "succeeded",
    "drain": "succeeded",
    "pause": "succeeded",
    "finish": "succeeded",
    "cancel": "cancelled",
}


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [*((scenario, "dies") for scenario in SCENARIOS), ("checkpoint", "fails"), ("finish", "fails")],
)
def test_every_side_effect_may_be_the_last_or_fail(
    small_workshop: Workshop, tmp_path: Path, scenario: str, kind: Kind
) -> None:
    workshop, worker = small_workshop, Doomed(small_workshop)
    calm = workshop.add_job(**SPEC)
    workshop.run()
    expected = mishaps.trained(workshop, calm, tmp_path)
    number, tried = 0, set()
    while True:
        number += 1
        job, fate = workshop.add_job(**SPEC), Fate(number, kind)
        acted = run_with(worker, job, scenario, fate)
        if not fate.met:
            break
        tried.add(fate.steps[number - 1])
        at = f"{kind} at {number}, {fate.steps[number - 1]}"
        if not workshop.look(job).is_final:
            mishaps.check_unfinished(workshop, job, tmp_path)
        see_it_through(worker, job)
        mishaps.check_ended(workshop, job, SCENARIOS[scenario] if acted else "succeeded")
        if scenario in ("checkpoint", "drain", "pause"):
            assert mishaps.trained(workshop, job, tmp_path) == expected, at
    mishaps.check_swept(workshop)
    see_it_through(worker, job)
    mishaps.check_ended(workshop, job, SCENARIOS[scenario])
    assert {"begin", "commit", "committed", "fsync", "rename"} <= tried
