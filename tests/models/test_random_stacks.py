"""Stacks drawn at random: shapes, batches, techniques, departures; each member is held to itself alone."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from models import checkpoints
from models.datasets import Table
from models.errors import DataError, SpecError
from models.metrics import METRICS
from models.spec import JobSpec, NetworkSpec
from models.splits import split_rows
from models.stacks import Stack
from models.training import Training
from tests.models.company import alone, assert_equal, begun, data, specs, together

ACTIVATIONS = get_args(NetworkSpec.model_fields["activation"].annotation)
WIDTHS = [1, 1, 1, 2, 3, 4, 5, 7, 8, 10, 15, 16, 17, 31, 32, 33, 48, 64]
COLUMNS = [1, 1, 1, 2, 3, 5, 8, 13, 16, 17, 30, 33]
ROWS = [5, 9, 16, 17, 30, 33, 47, 64, 65, 97, 130]
BATCHES = [1, 2, 3, 7, 8, 13, 16, 31, 32, 33, 64, 1000]


@dataclass(frozen=True)
class Case:
    """Members of one stack, drawn from a seed."""

    data: Table
    specs: list[JobSpec]
    dtype: torch.dtype

    @classmethod
    def drawn(cls, seed: int, *, columns: int | None = None) -> Case:
        """Another draw where one asks for what may not be."""
        rng = np.random.default_rng([seed, columns or 0])
        while True:
            task = str(rng.choice(["binary", "multiclass", "regression"]))
            given = data(task, int(rng.choice(ROWS)), columns or int(rng.choice(COLUMNS)))
            common = _common(rng, task)
            batch_size, batch_norm = int(rng.choice(BATCHES)), bool(rng.random() < 0.35)
            own = [_own(rng, common, batch_size, batch_norm) for _ in range(int(rng.integers(2, 7)))]
            dtype = torch.float64 if rng.random() < 0.15 else torch.float32
            try:
                chosen = specs(given, common, own)
                split_rows(chosen[0].split, given)
            except (SpecError, DataError):
                continue
            return cls(given, chosen, dtype)


def _common(rng: np.random.Generator, task: str) -> dict[str, Any]:
    hidden = [int(width) for width in rng.choice(WIDTHS, size=rng.choice([0, 1, 1, 2, 2, 3]))]
    fitting = [name for name, metric in METRICS.items() if task in metric.tasks]
    optimizer: dict[str, Any] = {"kind": str(rng.choice(["sgd", "adam", "adamw"]))}
    if optimizer["kind"] == "sgd":
        optimizer |= {"momentum": float(rng.choice([0.0, 0.9])), "nesterov": bool(rng.random() < 0.4)}
        optimizer["nesterov"] = optimizer["nesterov"] and optimizer["momentum"] > 0
    return {
        "network": {"hidden": hidden, "activation": str(rng.choice(ACTIVATIONS))},
        "optimizer": optimizer,
        "metrics": [str(name) for name in rng.choice(fitting, size=2, replace=False)],
    }


def _own(
    rng: np.random.Generator, common: dict[str, Any], batch_size: int, batch_norm: bool
) -> dict[str, Any]:
    def some(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    strength = {"strength": 1e-2, "scope": "input", "feature_weights": {"x0": 3.0}}
    hidden = [0.3 * float(rng.random()) for _ in common["network"]["hidden"]]
    return {
        "training": {
            "max_epochs": int(rng.integers(1, 4)),
            "batch_size": batch_size,
            "seed": int(rng.integers(1000)),
        },
        "optimizer": common["optimizer"]
        | {
            "learning_rate": some(0.003, 0.01, 0.05),
            "weight_decay": some(0.0, 0.1),
            "schedule": some("constant", "cosine", "one_cycle"),
        },
        "regularization": {
            "batch_norm": batch_norm,
            "l1": some(None, 1e-3, strength),
            "l2": some(None, None, 1e-2, strength),
            "dropout": some(None, {"input": 0.2}, {"input": 0.1, "hidden": hidden}),
            "early_stopping": some(None, {"monitor": "val_loss", "patience": 1}),
        },
    }


def unseated(case: Case, seed: int) -> list[Training]:
    """In one stack, but one member is taken out somewhere and trained on alone, another by a checkpoint."""
    rng = np.random.default_rng([seed, 1])
    trainings = begun(case.specs, case.data, dtype=case.dtype)
    work = Stack(trainings).work()
    for _ in itertools.islice(work, int(rng.integers(0, 12))):
        pass
    leaving = trainings[int(rng.integers(len(trainings)))]
    if leaving.stop_reason is None:
        leaving.stack.release(leaving)
    for _ in itertools.chain(work, leaving.pulses()):
        pass
    return trainings


def resumed(case: Case, seed: int, folder: Path) -> list[Training]:
    """Each from a checkpoint that was taken of it in the stack, each for itself from then on."""
    rng = np.random.default_rng([seed, 2])
    trainings = begun(case.specs, case.data, dtype=case.dtype)
    for _ in itertools.islice(Stack(trainings).work(), int(rng.integers(1, 12))):
        pass
    for number, training in enumerate(trainings):
        checkpoints.save(folder / str(number), training)
    later = begun(case.specs, case.data, dtype=case.dtype)
    for number, training in enumerate(later):
        training.resume(checkpoints.load(folder / str(number)))
        list(training)
    return later


def assert_themselves(case: Case, seed: int, folder: Path) -> None:
    expected = alone(case.specs, case.data, dtype=case.dtype)
    assert_equal(together(case.specs, case.data, dtype=case.dtype), expected)
    assert_equal(unseated(case, seed), expected)
    assert_equal(resumed(case, seed, folder), expected)


@pytest.mark.parametrize("seed", range(8))
def test_every_member_of_a_random_stack_is_itself(seed: int, tmp_path: Path) -> None:
    assert_themselves(Case.drawn(seed), seed, tmp_path)


@pytest.mark.parametrize("seed", range(6))
def test_of_one_column_too(seed: int, tmp_path: Path) -> None:
    assert_themselves(Case.drawn(seed, columns=1), seed, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 400))
def test_every_member_of_many_random_stacks_is_itself(seed: int, tmp_path: Path) -> None:
    assert_themselves(Case.drawn(seed, columns=None if seed % 3 else 1), seed, tmp_path)
