"""Jobs from claim to end on a device, through the worker's own runner, a real store and real files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from models.metrics import METRICS
from models.weights import load
from store.jobs import Job
from tests.models.networks import mixed_table
from tests.pretended import Accelerator, out_of_memory
from tests.worker.building import Workshop, at_epoch
from tests.worker.mishaps import Doomed, Fate, check_ended, trained
from tests.worker.test_resuming import SPECS, disturbed_run
from worker import checkpoints, curves, devices
from worker.checkpoints import Cadence

COCKTAIL = {
    "l1": 1e-4,
    "l2": 1e-3,
    "dropout": {"input": 0.1, "hidden": 0.3},
    "batch_norm": True,
    "early_stopping": {"monitors": [{"metric": "val_loss", "patience": 2}]},
}
SMALL: dict[str, Any] = {"network": {"hidden": [5]}, "training": {"max_epochs": 4, "batch_size": 16}}
ALONE: dict[str, tuple[str, dict[str, Any]]] = {
    "everything": ("binary", {"network": {"hidden": [6, 4]}, "regularization": COCKTAIL}),
    "regression": (
        "regression",
        {"optimizer": {"kind": "adamw", "learning_rate": 0.01, "weight_decay": 0.1}},
    ),
    "multiclass, SGD": ("multiclass", {"optimizer": {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9}}),
    "linear": ("binary", {"network": {"hidden": []}, "regularization": {"l1": 1e-3}}),
    "FISTA": (
        "regression",
        {
            "network": {"hidden": []},
            "regularization": {"l1": 1e-2, "l2": 1e-3},
            "optimizer": {"kind": "fista"},
            "training": {"max_epochs": 12},
        },
    ),
}
TOGETHER = [
    {"regularization": COCKTAIL},
    {
        "regularization": COCKTAIL | {"early_stopping": None},
        "optimizer": {"kind": "adam", "learning_rate": 0.1},
    },
    {"regularization": COCKTAIL, "training": {"max_epochs": 2, "batch_size": 16, "seed": 7}},
]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked is heard at the next pulse, and checkpoints come as often as epochs do."""
    monkeypatch.setattr(curves, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "_SHORTEST_SECONDS", 0.0)


def on_a_cpu(workshop: Workshop) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(devices, "choose", lambda *_, **__: "cpu")
        workshop.stop()  # one worker is left, which shares with nobody
        workshop.run(at_most=64)


def everything(workshop: Workshop, job: Job, folder: Path) -> Any:
    tensors, series = trained(workshop, job, folder)
    return tensors, series, workshop.look(job).result, workshop.weights(job).summary


def metrics_of(task: str) -> list[str]:
    return [name for name, metric in METRICS.items() if task in metric.tasks]


@pytest.mark.parametrize("name", ALONE)
def test_a_job_succeeds_and_says_what_a_cpu_would(name: str, workshop: Workshop, tmp_path: Path) -> None:
    task, asked = ALONE[name]
    there, here = (
        workshop.add_job(mixed_table(task), **{**SMALL, "metrics": metrics_of(task), **asked})
        for _ in range(2)
    )
    workshop.run()
    check_ended(workshop, there, "succeeded")
    on_a_cpu(workshop)
    assert everything(workshop, there, tmp_path) == everything(workshop, here, tmp_path)


@pytest.mark.parametrize("task", ["multiclass", pytest.param("regression", marks=pytest.mark.long)])
def test_so_do_several_in_a_stack(task: str, workshop: Workshop, gpu: Accelerator, tmp_path: Path) -> None:
    shared = {**SMALL, "metrics": metrics_of(task)}
    there = workshop.add_stack(mixed_table(task), *TOGETHER, **shared)
    torch.set_float32_matmul_precision("high")
    workshop.run(at_most=64)
    assert gpu.launches["_fused_adam_"]
    for job in there:
        check_ended(workshop, job, "succeeded")
    environments = [workshop.look(job).environment or {} for job in there]
    assert max(each["company"] for each in environments) == 2
    assert {each["matmul_precision"] for each in environments} == {"highest"}
    here = workshop.add_stack(mixed_table(task), *TOGETHER, **shared)
    on_a_cpu(workshop)
    for one, other in zip(there, here, strict=True):
        assert everything(workshop, one, tmp_path) == everything(workshop, other, tmp_path)


# ── disturbed ───────────────────────────────────────────────────────────────────────────────────────────────

ENDLESS = {**SMALL, "training": {"max_epochs": 100_000, "batch_size": 16}, "regularization": {"l1": 1e-3}}


@pytest.mark.parametrize(("action", "status"), [("cancel", "cancelled"), ("finish", "succeeded")])
def test_what_is_cut_short_keeps_its_best_weights(
    action: str, status: str, workshop: Workshop, tmp_path: Path
) -> None:
    jobs = workshop.add_stack(
        mixed_table("binary"), {}, {"training": {"max_epochs": 4, "batch_size": 16}}, **ENDLESS
    )
    workshop.run(stack=at_epoch(2, lambda: workshop.ask(action, jobs[0])), at_most=64)
    check_ended(workshop, jobs[0], status)
    check_ended(workshop, jobs[1], "succeeded")
    kept = workshop.weights(jobs[0])
    path = workshop.files.fetch(kept.key, tmp_path / "weights", sha256=kept.sha256)
    assert load(path).network.parameter_count() == (workshop.look(jobs[0]).result or {})["parameters"]
    assert kept.summary["layers"]


@pytest.mark.parametrize(
    "disturbance",
    ["pause", "die", *(pytest.param(each, marks=pytest.mark.long) for each in ("drain", "pause and die"))],
)
def test_another_worker_goes_on_in_the_midst_of_an_epoch(
    disturbance: str, workshop: Workshop, tmp_path: Path
) -> None:
    """A pause, a drain, a death: the job ends as an undisturbed one does on a CPU."""
    there, here = (workshop.add_job(mixed_table("binary"), **SPECS["dropout"]) for _ in range(2))
    worker = Doomed(workshop)
    for moment in (4, 9):
        disturbed_run(worker, there, disturbance, moment, Cadence(epochs=1))
        assert workshop.look(there).status == "queued"
    worker.run(Fate())
    check_ended(workshop, there, "succeeded")
    on_a_cpu(workshop)
    assert everything(workshop, there, tmp_path) == everything(workshop, here, tmp_path)


def test_a_launch_that_finds_no_memory_ends_its_job_and_no_other(
    workshop: Workshop, gpu: Accelerator
) -> None:
    first, second = (workshop.add_job(mixed_table("binary"), **SMALL) for _ in range(2))
    workshop.run(stack=at_epoch(2, lambda: gpu.fail(out_of_memory(), launch=3)))
    done = workshop.look(first)
    assert (done.status, (done.error or {})["code"]) == ("failed", "out_of_memory")
    workshop.run()
    check_ended(workshop, second, "succeeded")
