"""Jobs from claim to end on a device, through the worker's own runner, a real store and real files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.metrics import METRICS
from store.jobs import Job
from tests.models.networks import mixed_table
from tests.worker.building import Workshop
from tests.worker.mishaps import check_ended, trained
from worker import devices

COCKTAIL = {
    "l1": 1e-4,
    "l2": 1e-3,
    "dropout": {"input": 0.1, "hidden": 0.3},
    "batch_norm": True,
    "early_stopping": {"monitors": [{"metric": "val_loss", "patience": 2}]},
}


def job(task: str, hidden: list[int], **more: Any) -> dict[str, Any]:
    fitting = [name for name, metric in METRICS.items() if task in metric.tasks]
    settings: dict[str, Any] = {"network": {"hidden": hidden, **more.pop("network", {})}, "metrics": fitting}
    return settings | {"training": {"max_epochs": 4, "batch_size": 16}} | more


ALONE: dict[str, tuple[str, dict[str, Any]]] = {
    "everything": ("binary", job("binary", [6, 4], regularization=COCKTAIL)),
    "regression": (
        "regression",
        job("regression", [5], optimizer={"kind": "adamw", "learning_rate": 0.01, "weight_decay": 0.1}),
    ),
    "multiclass, SGD": (
        "multiclass",
        job("multiclass", [7], optimizer={"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9}),
    ),
    "linear": ("binary", job("binary", [], regularization={"l1": 1e-3})),
    "FISTA": (
        "regression",
        job("regression", [], regularization={"l1": 1e-2, "l2": 1e-3}, optimizer={"kind": "fista"})
        | {"training": {"max_epochs": 30}},
    ),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_job_succeeds_and_says_what_a_cpu_would(
    name: str, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    task, settings = ALONE[name]
    there, here = (workshop.add_job(mixed_table(task), **settings) for _ in range(2))
    workshop.run()
    check_ended(workshop, there, "succeeded")
    monkeypatch.setattr(devices, "choose", lambda *_, **__: "cpu")
    workshop.run()
    expected, found = (everything(workshop, each, tmp_path) for each in (here, there))
    assert found == expected


def everything(workshop: Workshop, job: Job, folder: Path) -> Any:
    tensors, series = trained(workshop, job, folder)
    return tensors, series, workshop.look(job).result, workshop.weights(job).summary
