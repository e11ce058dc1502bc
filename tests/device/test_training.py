"""Whatever trains on a CPU trains on a device, and comes to the same numbers, bit for bit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from models import checkpoints
from models.datasets import Table
from models.metrics import METRICS
from models.preprocessing import Prepared, prepare
from models.spec import JobSpec, NetworkSpec, OptimizerSpec
from models.stacks import Stack
from models.training import Training
from models.weights import summarize
from tests.models.company import curve, specs
from tests.models.networks import TECHNIQUES, mixed_table
from tests.pretended import DEVICE, Accelerator

ACTIVATIONS = get_args(NetworkSpec.model_fields["activation"].annotation)
RULES: dict[str, dict[str, Any]] = {
    "adam": {"learning_rate": 0.01},
    "adamw": {"learning_rate": 0.01, "weight_decay": 0.1},
    "sgd": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
}
TASKS = ("binary", "multiclass", "regression")
CASES: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "rates of their own": (
        "binary",
        {},
        [{"optimizer": {"kind": "adam", "learning_rate": r}} for r in (0.01, 0.02)],
    ),
    "a decay of their own": (
        "regression",
        {},
        [{"optimizer": {"kind": "adamw", "learning_rate": 0.01, "weight_decay": r}} for r in (0.01, 0.2)],
    ),
    "feature weights": (
        "multiclass",
        {},
        [
            {
                "regularization": {
                    "l1": {"strength": r, "feature_weights": {"length": 3.0}},
                    "l2": {"strength": 1e-3, "scope": "input"},
                }
            }
            for r in (1e-3, 1e-2)
        ],
    ),
    "some drop out, others do not": (
        "binary",
        {},
        [{"regularization": {"dropout": 0.4}}, {"regularization": {"l2": 0.1}}],
    ),
    "a schedule": (
        "regression",
        {"optimizer": {"kind": "adam", "schedule": "reduce_on_plateau"}},
        [{}, {}],
    ),
    "a monitored metric": (
        "binary",
        {"regularization": {"early_stopping": {"monitors": [{"metric": "val_roc_auc", "patience": 1}]}}},
        [{}, {}],
    ),
    "quantiles, no encoding": ("regression", {"preprocessing": {"numeric": "quantile"}}, [{}, {}]),
    "linear": ("multiclass", {"network": {"hidden": []}, "regularization": {"l1": 0.01}}, [{}, {}]),
    "no validation rows": ("binary", {"split": {"validation": 0, "test": 0}}, [{}, {}]),
    "the full batch": ("binary", {"training": {"max_epochs": 3, "batch_size": None}}, [{}, {}]),
}
SHORT = {"network": {"hidden": [6, 3]}, "training": {"max_epochs": 2, "batch_size": 12}}


def fitting(task: str) -> list[str]:
    return [name for name, metric in METRICS.items() if task in metric.tasks]


def together(chosen: Sequence[JobSpec], prepared: Prepared, device: str) -> list[Training]:
    trainings = [Training(spec, prepared, device=device) for spec in chosen]
    for _ in Stack(trainings).pulses():
        pass
    return trainings


def everything(training: Training) -> Any:
    rows = training.data.train.x
    summary = summarize(training.network, training.spec, training.prepared.preprocessor, rows)
    ending = training.stop_reason, training.stop_detail, training.best_epoch
    return repr((curve(training), training.result(), ending)), summary


def compare(chosen: Sequence[JobSpec], given: Table) -> None:
    prepared = prepare(chosen[0], given)
    there, here = (together(chosen, prepared, device) for device in (DEVICE, "cpu"))
    assert [everything(one) for one in there] == [everything(one) for one in here]


@pytest.mark.parametrize("name", CASES)
def test_a_kind_of_job(name: str, gpu: Accelerator) -> None:
    task, common, own = CASES[name]
    given = mixed_table(task)
    compare(specs(given, {**SHORT, "metrics": fitting(task), **common}, own), given)
    assert gpu.launches


def combined(activation: str, technique: str, rule: str, task: str) -> None:
    given = mixed_table(task)
    common = {
        **SHORT,
        "network": {"hidden": [6, 3], "activation": activation},
        "metrics": fitting(task),
        "regularization": TECHNIQUES[technique],
        "optimizer": {"kind": rule, **RULES[rule]},
    }
    training = SHORT["training"]
    compare(specs(given, common, [{"training": {**training, "seed": seed}} for seed in range(2)]), given)


@pytest.mark.parametrize(
    ("activation", "technique", "rule", "task"),
    list(zip(ACTIVATIONS, *map(itertools.cycle, (TECHNIQUES, RULES, TASKS)), strict=False)),
)
def test_every_activation(activation: str, technique: str, rule: str, task: str, gpu: Accelerator) -> None:
    combined(activation, technique, rule, task)


@pytest.mark.long
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("technique", TECHNIQUES)
def test_every_combination(technique: str, rule: str, task: str, gpu: Accelerator) -> None:
    for activation in ACTIVATIONS:
        combined(activation, technique, rule, task)


def test_the_tables_are_whole() -> None:
    assert {*RULES, "fista"} == set(get_args(OptimizerSpec.model_fields["kind"].annotation))


# ── going on, and leaving ───────────────────────────────────────────────────────────────────────────────────

COCKTAIL = {"regularization": TECHNIQUES["all"], "training": {"max_epochs": 4, "batch_size": 8}}
FISTA = {
    "network": {"hidden": []},
    "optimizer": {"kind": "fista"},
    "regularization": {"l1": 0.01},
    "training": {"max_epochs": 6},
}


@pytest.mark.parametrize(("settings", "pulses"), [(COCKTAIL, 14), (FISTA, 5)])
@pytest.mark.parametrize("then", [DEVICE, "cpu"])
def test_another_process_goes_on_in_the_midst_of_an_epoch(
    settings: dict[str, Any], pulses: int, then: str, gpu: Accelerator, tmp_path: Path
) -> None:
    """Also on another kind of device; with the same numbers there only because this one is pretended."""
    given = mixed_table("binary")
    (spec,) = specs(given, {**SHORT, **settings}, [{}])
    prepared = prepare(spec, given)
    broken_off = Training(spec, prepared, device=DEVICE)
    for _ in itertools.islice(broken_off.stack.work(), pulses):
        pass
    checkpoints.save(tmp_path / "checkpoint", broken_off)
    assert broken_off.batch or spec.optimizer.kind == "fista"
    resumed = Training(spec, prepared, device=then)
    resumed.resume(checkpoints.load(tmp_path / "checkpoint"))
    assert list(resumed)
    whole = Training(spec, prepared)
    list(whole)
    assert everything(resumed) == everything(whole)


@pytest.mark.parametrize(
    "leave", [lambda one: one.stack.release(one), lambda one: one.finish()], ids=["release", "finish"]
)
def test_a_member_leaves_in_the_midst_of_an_epoch(
    leave: Callable[[Training], object], gpu: Accelerator
) -> None:
    given = mixed_table("multiclass")
    chosen = specs(
        given,
        {**SHORT, **COCKTAIL},
        [{"training": {"max_epochs": 3, "batch_size": 8, "seed": s}} for s in range(3)],
    )
    prepared = prepare(chosen[0], given)

    def left(device: str) -> list[Any]:
        trainings = [Training(spec, prepared, device=device) for spec in chosen]
        work = Stack(trainings).work()
        for _ in itertools.islice(work, 9):
            pass
        leave(trainings[1])
        for _ in work:
            pass
        if trainings[1].stop_reason is None:
            list(trainings[1])
        return [everything(each) for each in trainings]

    assert left(DEVICE) == left("cpu")
