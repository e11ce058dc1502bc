"""Pauses, drains and deaths at random moments: the job ends as an undisturbed one does, byte for byte."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from models.stacks import Measured
from store import jobs
from tests.worker import mishaps
from tests.worker.building import Watched, Workshop
from tests.worker.mishaps import Doomed, Fate
from worker import checkpoints, curves
from worker.checkpoints import Cadence

DROPOUT = {
    "network": {"hidden": [8], "activation": "relu"},
    "regularization": {"dropout": 0.3, "l1": 1e-4, "batch_norm": True, "early_stopping": {"patience": 100}},
    "optimizer": {"kind": "adam", "schedule": "cosine"},
    "training": {"max_epochs": 10, "batch_size": 16, "seed": 5},
}
PLATEAU = {
    "network": {"hidden": [6, 4]},
    "regularization": {"l2": 1e-3, "early_stopping": {"patience": 4}},
    "optimizer": {"kind": "sgd", "learning_rate": 0.2, "momentum": 0.9, "schedule": "reduce_on_plateau"},
    "training": {"max_epochs": 12, "batch_size": 32, "seed": 6},
}
SPECS = {"dropout": DROPOUT, "plateau": PLATEAU}
DISTURBANCES = ("pause", "drain", "die", "pause and die")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every pulse is told at once, and checkpoints come as often as epochs do."""
    monkeypatch.setattr(curves, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "_SHORTEST_SECONDS", 0.0)
    with mishaps.untold():
        yield


def every_batch(act: Callable[[int], None]) -> type[Watched]:
    """A stack that pulses after every batch, when something may happen."""

    class Batchwise(Watched):
        def pulses(self) -> Iterator[Measured]:
            for number, measured in enumerate(self.stack.work(), 1):
                act(number)
                yield measured

    return Batchwise


def disturbed_run(worker: Doomed, job: jobs.Job, disturbance: str, moment: int, cadence: Cadence) -> None:
    """One attempt, to which something happens at its `moment`-th batch; after it the job is queued again."""
    workshop, fate, told = worker.workshop, Fate(), [False]

    def act(number: int) -> None:
        if number != moment:
            return
        if disturbance.startswith("pause"):
            workshop.ask("pause", job)
        if disturbance.endswith("die"):
            fate.met = True
        told[0] = disturbance == "drain"

    worker.run(fate, stack=every_batch(act), draining=lambda: told[0], cadence=cadence)
    if workshop.look(job).status == "running":
        mishaps.run_out(workshop)
    if workshop.look(job).status == "paused":
        workshop.ask("resume", job)


_UNDISTURBED: dict[str, Any] = {}


def undisturbed(workshop: Workshop, spec: str, folder: Path) -> Any:
    """The weights, curve and result of a job to which nothing happens; trained once."""
    if spec not in _UNDISTURBED:
        calm = workshop.add_job(**SPECS[spec])
        assert workshop.run()
        workshop.stop()
        _UNDISTURBED[spec] = mishaps.trained(workshop, calm, folder), workshop.look(calm).result
    return _UNDISTURBED[spec]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spec", SPECS)
def test_a_disturbed_job_ends_as_an_undisturbed_one(
    small_workshop: Workshop, tmp_path: Path, spec: str, seed: int
) -> None:
    workshop, worker, dice = small_workshop, Doomed(small_workshop), random.Random(seed)
    expected = undisturbed(workshop, spec, tmp_path)
    job = workshop.add_job(**SPECS[spec])
    happened: list[Any] = []
    for _ in range(40):
        if workshop.look(job).is_final:
            break
        disturbance, moment = dice.choice(DISTURBANCES), dice.randint(1, 30)
        cadence = Cadence(dice.choice([1e-9, 1000.0]), dice.choice([1, 2, 3]))
        happened.append((disturbance, moment, cadence))
        disturbed_run(worker, job, disturbance, moment, cadence)
        if not workshop.look(job).is_final:
            mishaps.check_unfinished(workshop, job, tmp_path)
    else:
        workshop.run()
    mishaps.check_ended(workshop, job, "succeeded")
    assert (mishaps.trained(workshop, job, tmp_path), workshop.look(job).result) == expected, happened
    mishaps.check_swept(workshop)
