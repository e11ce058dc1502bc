"""The estimate of what a job takes of a GPU, held to what a pretended one holds at its peak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models import cost
from models.datasets import Table
from models.metrics import METRICS
from models.preprocessing import prepare
from models.stacks import Stack
from models.training import Training
from models.weights import summarize
from tests.models.building import table
from tests.models.company import data, specs
from tests.pretended import DEVICE, Accelerator

COCKTAIL = {"l1": 1e-5, "l2": 1e-4, "dropout": 0.5, "batch_norm": True}
UNEVEN = {
    "l1": {"strength": 1e-3, "feature_weights": {"x0": 2.0}},
    "l2": {"strength": 1e-3, "scope": "input"},
}
FISTA = {"network": {"hidden": []}, "optimizer": {"kind": "fista"}, "regularization": {"l1": 1e-3}}


def classes(count: int, rows: int, columns: int = 10) -> Table:
    rng = np.random.default_rng(0)
    return table(rng.standard_normal((rows, columns)), np.arange(rows) % count)


CASES: dict[str, tuple[Table, int, dict[str, Any]]] = {
    "small ones": (data("binary", 455, 30), 16, {"network": {"hidden": [64, 64]}}),
    "many rows": (
        data("binary", 20_000, 5),
        6,
        {"network": {"hidden": [8]}, "training": {"batch_size": 1000}},
    ),
    "many classes": (classes(100, 3000), 2, {"network": {"hidden": [64]}}),
    "regression": (data("regression", 4000, 30), 8, {"network": {"hidden": [64]}}),
    "a wide one": (data("binary", 300, 300), 1, {"network": {"hidden": [512, 512]}}),
    "wide ones without more": (
        data("binary", 300, 300),
        2,
        {"network": {"hidden": [512, 512]}, "regularization": {}},
    ),
    "the full batch": (
        data("binary", 4000, 30),
        4,
        {"network": {"hidden": [64], "activation": "gelu"}, "training": {"batch_size": 4000}},
    ),
    "linear": (data("binary", 4000, 200), 4, {"network": {"hidden": []}, "regularization": {"l1": 1e-3}}),
    "SGD, input dropout": (
        data("binary", 1000, 300),
        4,
        {
            "network": {"hidden": [256]},
            "optimizer": {"kind": "sgd"},
            "regularization": {"dropout": {"input": 0.2}},
            "training": {"batch_size": 256},
        },
    ),
    "strengths by weight": (
        data("binary", 455, 30),
        4,
        {"network": {"hidden": [256, 256]}, "regularization": UNEVEN},
    ),
    "FISTA": (data("binary", 4000, 200), 1, FISTA | {"training": {"batch_size": None}}),
}


def held_at_most(gpu: Accelerator, given: Table, members: int, asked: dict[str, Any]) -> tuple[int, int]:
    """What is held and what was estimated, with a member that leaves, a checkpoint and the end in it."""
    task = given.description.task
    kind = (
        "regression"
        if task == "regression"
        else "binary"
        if len(given.description.classes or ()) == 2
        else "multiclass"
    )
    metrics = [name for name, metric in METRICS.items() if kind in metric.tasks]
    training = {"max_epochs": 1, "batch_size": 64, **asked.get("training", {})}
    common = {"regularization": COCKTAIL, "metrics": metrics, **asked}
    chosen = specs(given, common, [{"training": {**training, "seed": seed}} for seed in range(members)])
    prepared = prepare(chosen[0], given)
    trainings = [Training(spec, prepared, device=DEVICE) for spec in chosen]
    stack = Stack(trainings)
    work = stack.work()
    next(work)
    if members > 2:
        stack.release(trainings[-1])
    trainings[0].state()
    for _ in work:
        pass
    for one in trainings[:2]:
        one.result()
        summarize(one.network, one.spec, prepared.preprocessor, one.data.train.x)
    estimate = cost.estimate(chosen[0], given.description)
    return gpu.peak_bytes, estimate.device_bytes + (members - 1) * estimate.device_member_bytes


@pytest.mark.parametrize("name", CASES)
def test_it_is_an_estimate_from_above_and_not_far(name: str, gpu: Accelerator) -> None:
    held, estimated = held_at_most(gpu, *CASES[name])
    assert held <= estimated
    assert estimated <= 1.75 * held + 2**20
