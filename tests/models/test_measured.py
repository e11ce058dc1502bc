"""What a training measures is what its answers have, to the precision in which they are given."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as reference
import torch

from models.datasets import Table
from models.evaluation import Data, drained, evaluate
from models.training import Training
from tests.models.building import table, trained, training

LINEAR: dict[str, Any] = {
    "network": {"hidden": []},
    "regularization": {},
    "optimizer": {"learning_rate": 0.02},
    "training": {"max_epochs": 60},
}


def line(offset: float, spread: float, *, rows: int = 300) -> Table:
    """A target around `offset` that two columns explain but for a hundredth of its spread."""
    stream = np.random.default_rng(0)
    x = stream.normal(size=(rows, 2))
    return table(x, offset + spread * (x @ [1.0, -2.0] + 0.01 * stream.normal(size=rows)), classes=False)


def answers(done: Training, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The target in a split, and what the network says of it as `/predict` does: z·sd + mean in double."""
    rows = getattr(done.prepared, split)
    scale = done.prepared.preprocessor.target
    with torch.no_grad():
        z = done.network(torch.from_numpy(rows.x).float()).squeeze(-1).double().numpy()
    return rows.target, z * scale.sd + scale.mean if scale else z


@pytest.mark.parametrize(
    ("offset", "spread"), [(1.6e9, 10.0), (-1e12, 3.0), (0, 1e-30), (0, 1e30), (5, 1e-6)]
)
def test_curve_and_result_have_the_score_of_the_answers(offset: float, spread: float) -> None:
    done = trained(line(offset, spread), metrics=["r2", "rmse", "mae"], **LINEAR)
    result = done.result()
    for split in ("train", "validation", "test"):
        truth, said = answers(done, split)
        assert result[split]["r2"] > 0.99
        assert result[split]["r2"] == pytest.approx(reference.r2_score(truth, said), rel=1e-6)
        assert result[split]["rmse"] == pytest.approx(
            reference.root_mean_squared_error(truth, said), rel=1e-4
        )
        assert result[split]["mae"] == pytest.approx(reference.mean_absolute_error(truth, said), rel=1e-4)
    kept = done.history.epochs[done.restored_epoch - 1].values
    assert kept["val_rmse"] == pytest.approx(result["validation"]["rmse"], rel=1e-9)


@pytest.mark.parametrize("monitor", ["val_rmse", "val_r2", "val_mae"])
def test_early_stopping_sees_a_target_far_from_zero_as_one_around_zero(monitor: str) -> None:
    """In single precision neighbours of 1.6e9 are 128 apart: every epoch had the same rmse."""
    spec = LINEAR | {"regularization": {"early_stopping": {"monitor": monitor, "patience": 4}}}
    near, far = (trained(line(offset, 10.0), **spec) for offset in (0.0, 1.6e9))
    assert far.stop_reason == near.stop_reason
    assert abs(len(far.history) - len(near.history)) <= 1
    assert abs((far.best_epoch or 0) - (near.best_epoch or 0)) <= 1
    assert len(far.history) > 20


def test_a_constant_target_is_met_or_not() -> None:
    """Nothing to standardize by: the sd counts as 1, and R² is 0 until the constant is met exactly."""
    stream = np.random.default_rng(1)
    done = trained(table(stream.normal(size=(40, 2)), np.full(40, 0.1), classes=False), **LINEAR)
    assert done.result()["train"]["r2"] in (0.0, 1.0)
    assert done.result()["train"]["rmse"] < 0.05


def test_log_loss_of_sure_answers_is_the_loss() -> None:
    """1 − P in single precision is 0 or at least 6e-8; the loss is worked out from the logits."""
    x = np.concatenate([np.linspace(-9, -6, 40), np.linspace(6, 9, 40)]).reshape(-1, 1)
    y = (x[:, 0] > 0).astype(int)
    y[0] = 1 - y[0]
    done = training(table(x, y), metrics=["log_loss"], **LINEAR)
    linear = next(iter(dict(done.network.linears()).values()))
    with torch.no_grad():
        linear.weight.fill_(25.0)
    measured = drained(evaluate(done.stack.network, done.data.watched, ["log_loss"]))["train"]
    assert float(measured["loss"][0]) > 0.1
    assert float(measured["log_loss"][0]) == pytest.approx(float(measured["loss"][0]), rel=1e-5)


def test_features_far_from_zero_are_standardized_before_they_lose_their_digits() -> None:
    stream = np.random.default_rng(2)
    x = stream.normal(size=(200, 2))
    y = x @ [1.0, 2.0] + 0.1 * stream.normal(size=200)
    near, far = (trained(table(x + offset, y, classes=False), **LINEAR) for offset in (0.0, 1.6e9))
    for split, name in itertools.product(("train", "test"), ("r2", "rmse")):
        assert far.result()[split][name] == pytest.approx(near.result()[split][name], rel=1e-3)


def test_truth_is_the_table_s_own_number() -> None:
    data = line(1.6e9, 10.0)
    done = training(data, **LINEAR)
    watched = Data.of(done.prepared, torch.float32, "cpu").watched
    assert watched.truths["train"].dtype == torch.float64
    np.testing.assert_array_equal(watched.truths["train"], data.target[done.prepared.train.indices])
