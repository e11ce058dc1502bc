"""How often the host waits for the device: a wait that is added to a step, or to an epoch's end, fails here.

Each costs a GPU some 10 µs in which it has nothing to do, where a whole step of a small network takes 50.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from models.metrics import METRICS
from models.preprocessing import prepare
from models.stacks import Stack
from models.training import Training
from tests.models.company import data, specs
from tests.pretended import DEVICE, Accelerator

ROWS, BATCH = 140, 32
COCKTAIL = {"l1": 1e-5, "l2": 1e-4, "dropout": [0.5, 0.3], "batch_norm": True, "early_stopping": True}
L2 = {"l2": 1e-4}
FISTA = {
    "network": {"hidden": []},
    "optimizer": {"kind": "fista"},
    "regularization": {"l1": 1e-3, "l2": 1e-3},
    "training": {"max_epochs": 9, "batch_size": None},
}
COPIED = {"batches.py copy to the device", "masks.py copy to the device"}
"""Rows and masks, drawn on the CPU for some steps at once."""
RATES = COPIED | {"updates.py tensor"}
DECAYS = RATES | {"optimizers.py tensor"}
READ = Counter({"stacks.py tolist": 1})
"""An epoch's series, all at once."""
CHOSEN = Counter({"parameters.py tensor": 1})
"""Which members are at their best, where some are and others are not."""


def every(task: str) -> list[str]:
    return [name for name, metric in METRICS.items() if task in metric.tasks]


def rates(member: int, kind: str = "adam", **more: Any) -> dict[str, Any]:
    return {"optimizer": {"kind": kind, "learning_rate": 1e-3 * (1 + member / 64), **more}}


CASES: dict[str, tuple[str, int, dict[str, Any], Any, set[str], int]] = {
    "one": ("binary", 1, {}, None, COPIED, 50),
    "64": ("binary", 64, {}, None, COPIED, 52),
    "16 with rates of their own": ("binary", 16, {}, rates, RATES, 88),
    "16 with decays of their own": (
        "binary",
        16,
        {},
        lambda member: rates(member, "adamw", weight_decay=0.01 * (member + 1)),
        DECAYS,
        92,
    ),
    "16 without dropout": ("binary", 16, {"regularization": L2}, None, {"batches.py copy to the device"}, 28),
    "8 by SGD": ("binary", 8, {}, lambda member: rates(member, "sgd", momentum=0.9), RATES, 60),
    "all metrics": ("binary", 1, {"metrics": every("binary")}, None, COPIED, 50),
    "all metrics of many classes": ("multiclass", 1, {"metrics": every("multiclass")}, None, COPIED, 50),
    "all metrics of regression": ("regression", 1, {"metrics": every("regression")}, None, COPIED, 50),
}


def by_module(waits: Counter[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for where, times in waits.items():
        place, _, what = where.partition(" ")
        found[f"{place.rpartition('/')[2].partition(':')[0]} {what}"] += times
    return found


@pytest.mark.parametrize("name", CASES)
def test_in_a_step_and_at_an_epochs_end(name: str, gpu: Accelerator) -> None:
    task, members, common, own, known, most_launches = CASES[name]
    given = data(task, rows=ROWS, columns=30)
    shared = {"network": {"hidden": [64, 64]}, "regularization": COCKTAIL, **common}
    seeds = ({"training": {"max_epochs": 9, "batch_size": BATCH, "seed": each}} for each in range(members))
    chosen = specs(given, shared, [{**(own(i) if own else {}), **seed} for i, seed in enumerate(seeds)])
    prepared = prepare(chosen[0], given)
    stack = Stack([Training(spec, prepared, device=DEVICE) for spec in chosen])
    work = stack.work()

    def end_the_epoch() -> None:
        while not next(work):
            pass

    end_the_epoch()
    steps = [gpu.counted(lambda: next(work)) for _ in range(stack.batches.left)]
    for launches, waits in steps:
        assert set(by_module(waits)) <= known
        assert waits.total() <= len(known)
        assert launches <= most_launches
    assert set().union(*(by_module(waits) for _, waits in steps)) == known, "what is allowed is not needed"
    launches, waits = gpu.counted(end_the_epoch)
    assert by_module(waits) - CHOSEN == READ
    assert launches <= 450


def test_an_iteration_of_fista(gpu: Accelerator) -> None:
    """It looks whether it goes uphill and whether it has converged: of weights, and of the intercept."""
    given = data("binary", rows=ROWS)
    (spec,) = specs(given, FISTA, [{}])
    training = Training(spec, prepare(spec, given), device=DEVICE)
    epochs = iter(training)
    next(epochs)
    launches, waits = gpu.counted(lambda: next(epochs))
    assert by_module(waits) == READ + Counter({"fista.py item": 4})
    assert launches <= 220


def test_a_networks_summary_is_read_layer_by_layer(gpu: Accelerator) -> None:
    """And not coefficient by coefficient: of a linear model a table may have ten thousand."""
    from models.weights import summarize

    given = data("binary", rows=ROWS, columns=50)
    (spec,) = specs(given, {"network": {"hidden": []}, "training": {"max_epochs": 1}}, [{}])
    training = Training(spec, prepare(spec, given), device=DEVICE)
    list(training)
    preprocessor = training.prepared.preprocessor
    _, waits = gpu.counted(lambda: summarize(training.network, spec, preprocessor, training.data.train.x))
    assert waits.total() == 2
