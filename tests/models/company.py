"""Trainings alone and in company: made of specs, brought to their ends, and compared byte by byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from models.datasets import Table
from models.defaults import complete
from models.preprocessing import Prepared, prepare
from models.spec import JobSpec
from models.stacks import Stack
from models.training import Training
from tests.models.building import table


def specs(data: Table, common: dict[str, Any], own: Sequence[dict[str, Any]]) -> list[JobSpec]:
    """Complete specs: what all share, and what is each one's own."""
    asked = ({"dataset": "given", **common, **each} for each in own)
    return [complete(JobSpec.model_validate(each), data.description).spec for each in asked]


def begun(chosen: Sequence[JobSpec], data: Table, *, dtype: torch.dtype = torch.float32) -> list[Training]:
    """Trainings on the same prepared data, none of which has begun."""
    prepared: Prepared = prepare(chosen[0], data)
    trainings = [Training(spec, prepared) for spec in chosen]
    for training in trainings:
        training._floating = dtype
        training.network.to(dtype=dtype)
    return trainings


def alone(chosen: Sequence[JobSpec], data: Table, *, dtype: torch.dtype = torch.float32) -> list[Training]:
    """Each one trained to its end, by itself."""
    trainings = begun(chosen, data, dtype=dtype)
    for training in trainings:
        assert list(training)
    return trainings


def together(chosen: Sequence[JobSpec], data: Table, *, dtype: torch.dtype = torch.float32) -> list[Training]:
    """All of them trained to their ends in one stack."""
    trainings = begun(chosen, data, dtype=dtype)
    told = [pair for measured in Stack(trainings).pulses() for pair in measured]
    for training in trainings:
        assert [epoch for one, epoch in told if one is training] == training.history.epochs
    return trainings


def curve(done: Training) -> list[dict[str, float]]:
    """Everything that was measured but for the time it took."""
    return [
        {name: value for name, value in epoch.values.items() if name != "epoch_seconds"}
        for epoch in done.history.epochs
    ]


def everything(done: Training) -> dict[str, Any]:
    """All that came of a training, to be compared by `==`.

    But for weights that are no numbers: one NaN is as good as the other.
    """
    weights = {name: _bits(tensor) for name, tensor in done.network.state_dict().items()}
    return {
        "curve": repr(curve(done)),  # in which NaN equals itself
        "weights": weights,
        "ending": (done.stop_reason, done.stop_detail, done.best_epoch, done.restored_epoch),
        "result": repr(done.result()),
    }


def _bits(tensor: torch.Tensor) -> bytes:
    if tensor.is_floating_point():
        tensor = tensor.masked_fill(tensor.isnan(), float("nan"))
    return tensor.numpy().tobytes()


def assert_equal(found: Sequence[Training], expected: Sequence[Training]) -> None:
    """To the last bit."""
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        ours, theirs = everything(one), everything(other)
        assert [what for what in theirs if ours[what] != theirs[what]] == [], f"training {number}"


def data(task: str, rows: int = 90, columns: int = 5) -> Table:
    """Random columns, and a target that some of them tell."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, columns))
    signal = x @ rng.standard_normal(columns)
    if task == "regression":
        return table(x, signal)
    return table(x, np.digitize(signal, [0.0] if task == "binary" else [-1.0, 1.0]))
