"""Is it right there? A device's curves against the CPU's, against its own, and alone against among others."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice, zip_longest
from pathlib import Path
from typing import Any, get_args

import torch

from models import checkpoints
from models.datasets import Table
from models.metrics import METRICS
from models.preprocessing import prepare
from models.spec import JobSpec, NetworkSpec
from models.stacks import Stack
from models.training import Training
from tests.models.company import curve, data, specs
from tests.models.networks import TECHNIQUES, mixed_table

Found = dict[str, Any]
Curves = list[list[dict[str, float]]]
"""A member's epochs, and each one's series."""

NEAR = 2e-2
"""Three epochs by single precision, added up in another order: relative to 1 + |value|."""
NEAR_THE_OPTIMUM = 1e-8
"""FISTA's, in double precision."""
ROUNDING = 1e-3
"""The same job in other company, by other kernels."""
RULES: dict[str, Found] = {
    "adam": {"learning_rate": 0.01},
    "adamw": {"learning_rate": 0.01, "weight_decay": 0.1},
    "sgd": {"learning_rate": 0.05, "momentum": 0.9},
}
TASKS = ("binary", "multiclass", "regression")
ACTIVATIONS = get_args(NetworkSpec.model_fields["activation"].annotation)
SHORT: Found = {"network": {"hidden": [7, 5]}, "training": {"max_epochs": 3, "batch_size": 8}}
COCKTAIL = TECHNIQUES["all"]


def synchronize(device: str) -> None:
    """Wait for all that was launched."""
    if device != "cpu":
        torch.cuda.synchronize()


def told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def about(device: str, _quick: bool) -> Iterator[Found]:
    """What making the context takes, and on what."""
    import psutil

    before, start = psutil.Process().memory_info().rss, time.perf_counter()
    torch.zeros(64, 64, device=device) @ torch.zeros(64, 64, device=device)
    synchronize(device)
    yield {
        "context_seconds": time.perf_counter() - start,
        "context_bytes": psutil.Process().memory_info().rss - before,
        "name": torch.cuda.get_device_name(device) if device != "cpu" else "the CPU",
        "torch": torch.__version__,
        "precision": f"float32 products: {torch.get_float32_matmul_precision()}",
    }


def kinds() -> Iterator[tuple[str, str, Found, list[Found]]]:
    """Name, task, what all members share, and what is each one's own."""
    seeds = [{"training": {**SHORT["training"], "seed": seed}} for seed in range(3)]
    yield "everything", "binary", {"regularization": COCKTAIL}, seeds
    rates = [{"optimizer": {"kind": "adam", "learning_rate": 0.01 * rate}} for rate in (1, 2, 3)]
    yield "rates of their own", "binary", {}, rates
    linear = {"network": {"hidden": []}, "regularization": {"l1": 0.01, "l2": 0.001}}
    whole = {"training": {"max_epochs": 30, "batch_size": None}}
    yield "FISTA", "regression", {**linear, "optimizer": {"kind": "fista"}, **whole}, [{}]
    yield "linear", "multiclass", linear, seeds
    uneven = {
        "l1": {"strength": 1e-3, "feature_weights": {"length": 3.0}},
        "l2": {"strength": 0.1, "scope": "input"},
    }
    yield "strengths by weight", "regression", {"regularization": uneven}, seeds
    decays = [
        {"optimizer": {**RULES["adamw"], "kind": "adamw", "weight_decay": decay}} for decay in (0.01, 0.3)
    ]
    yield "decays of their own", "multiclass", {}, decays
    mixed = zip(ACTIVATIONS, cycle(TECHNIQUES), cycle(RULES), cycle(TASKS), strict=False)
    for activation, technique, rule, task in mixed:
        network = {"hidden": [7, 5], "activation": activation}
        optimizer = {"kind": rule, **RULES[rule]}
        common = {"network": network, "regularization": TECHNIQUES[technique], "optimizer": optimizer}
        yield f"{activation}, {technique}, {rule}, {task}", task, common, seeds


def curves(chosen: Sequence[JobSpec], given: Table, device: str) -> Curves:
    prepared = prepare(chosen[0], given)
    trainings = [Training(spec, prepared, device=device) for spec in chosen]
    for _ in Stack(trainings).pulses():
        pass
    return [curve(training) for training in trainings]


def furthest(ones: Curves, others: Curves) -> tuple[float, str]:
    """The largest difference relative to 1 + |value|, and where; infinite where one has no such epoch."""
    far, place = 0.0, ""
    for member, (one, other) in enumerate(zip(ones, others, strict=True)):
        for number, (own, theirs) in enumerate(zip_longest(one, other, fillvalue={}), 1):
            for name in own.keys() | theirs.keys():
                a, b = own.get(name, float("inf")), theirs.get(name, float("-inf"))
                apart = 0.0 if a == b or (a != a and b != b) else abs(a - b) / (1 + abs(b))
                if not apart <= far:  # a NaN on one side only is as far as can be
                    far, place = (
                        (apart if apart == apart else float("inf")),
                        f"{name}, epoch {number}, of {member}",
                    )
    return far, place


def alike(device: str, quick: bool) -> Iterator[Found]:
    """Every layer, rule, task and metric: the device's curves against the CPU's."""
    for name, task, common, own in islice(kinds(), 4 if quick else None):
        try:
            given = mixed_table(task)
            fitting = [metric for metric, each in METRICS.items() if task in each.tasks]
            chosen = specs(given, {**SHORT, "metrics": fitting, **common}, own)
            far, where = furthest(curves(chosen, given, device), curves(chosen, given, "cpu"))
            most = NEAR_THE_OPTIMUM if name == "FISTA" else NEAR
            yield {"what": name, "furthest": far, "where": where, "most": most}
        except Exception as error:
            yield {"what": name, "error": told(error)}


def again(device: str, _quick: bool) -> Iterator[Found]:
    """The same twice, alone and among four, broken off within an epoch and gone on with."""
    given = data("binary", rows=455, columns=30)
    common = {"network": {"hidden": [64, 64]}, "regularization": COCKTAIL}
    training = {"max_epochs": 4, "batch_size": 32}
    chosen = specs(given, common, [{"training": {**training, "seed": seed}} for seed in range(4)])
    most = None if device == "cpu" else ROUNDING
    first = curves(chosen, given, device)
    yield compared("the same stack twice", curves(chosen, given, device), first, None)
    alone = curves(chosen[:1], given, device)
    yield compared("alone against among four", alone, first[:1], most)
    yield compared("broken off and gone on with", resumed(chosen[0], given, device), alone, most)


def resumed(spec: JobSpec, given: Table, device: str) -> Curves:
    prepared = prepare(spec, given)
    broken_off = Training(spec, prepared, device=device)
    for _ in islice(broken_off.stack.work(), 13):
        pass
    with tempfile.TemporaryDirectory() as folder:
        checkpoints.save(Path(folder) / "checkpoint", broken_off)
        other = Training(spec, prepared, device=device)
        other.resume(checkpoints.load(Path(folder) / "checkpoint"))
    list(other)
    return [curve(other)]


def compared(what: str, ones: Curves, others: Curves, most: float | None) -> Found:
    return {"what": what, "bits_equal": ones == others, "furthest": furthest(ones, others)[0], "most": most}
