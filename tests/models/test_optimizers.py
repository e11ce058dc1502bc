"""Steps against torch's own optimizers, schedules against their formulas."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from models.flat import FlatParameters
from models.history import Epoch, History
from models.network import Network, build
from models.optimizers import Descent, Schedule
from models.spec import JobSpec, OptimizerSpec
from models.updates import rule_of


def network() -> Network:
    spec = {"dataset": "given", "network": {"hidden": [7]}, "regularization": {"batch_norm": True}}
    return build(JobSpec.model_validate(spec), features=5, outputs=3, seed=0)


def descend(net: Network, step: Any, zero: Any) -> dict[str, torch.Tensor]:
    """The parameters after thirty steps."""
    x, y = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3
    for _ in range(30):
        zero()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        step()
    # Batch norm takes the mean out, so this bias's gradient is rounding alone, and Adam scales that up.
    return {name: each.detach().clone() for name, each in net.named_parameters() if name != "hidden_1.bias"}


KINDS: list[tuple[dict[str, Any], Any]] = [
    ({"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    (
        {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    ),
    ({"kind": "adam", "learning_rate": 0.01}, lambda p: torch.optim.Adam(p, 0.01)),
    ({"kind": "adamw", "learning_rate": 0.01, "weight_decay": 0.1}, None),
]


@pytest.mark.parametrize(("settings", "theirs"), KINDS)
def test_a_step_is_torchs_step(settings: dict[str, Any], theirs: Any) -> None:
    """On one flat tensor as on many; weight decay as AdamW's, but not on biases and norm parameters."""
    spec = OptimizerSpec.model_validate(settings)
    ours, reference = network(), network()
    flat = FlatParameters(ours)
    descent = Descent(spec, flat, [], Schedule(spec, 1, 30))
    if theirs is None:
        decayed = [p for p in reference.parameters() if p.ndim >= 2]
        spared = [p for p in reference.parameters() if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": spared, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, 0.01)
    else:
        optimizer = theirs(reference.parameters())
    found = descend(ours, descent.step, flat.zero_gradients)
    expected = descend(reference, optimizer.step, optimizer.zero_grad)
    assert len(found) == 5
    for name, one in found.items():
        torch.testing.assert_close(one, expected[name], rtol=1e-4, atol=1e-5)


RULES: list[tuple[dict[str, Any], Any]] = [
    ({"kind": "sgd", "momentum": 0.0}, lambda p: torch.optim.SGD(p, fused=True)),
    ({"kind": "sgd", "momentum": 0.9}, lambda p: torch.optim.SGD(p, momentum=0.9, fused=True)),
    (
        {"kind": "sgd", "momentum": 0.9, "nesterov": True},
        lambda p: torch.optim.SGD(p, momentum=0.9, nesterov=True, fused=True),
    ),
    ({"kind": "adam"}, lambda p: torch.optim.Adam(p, fused=True)),
    ({"kind": "adam", "betas": [0.8, 0.95]}, lambda p: torch.optim.Adam(p, betas=(0.8, 0.95), fused=True)),
]


@pytest.mark.parametrize(("settings", "theirs"), RULES)
@pytest.mark.parametrize("floating", [torch.float32, torch.float64])
def test_a_rule_is_torchs_own_bit_for_bit(
    settings: dict[str, Any], theirs: Any, floating: torch.dtype
) -> None:
    stream = torch.Generator().manual_seed(1)
    start = torch.randn(50, generator=stream, dtype=floating)
    ours, reference = (torch.nn.Parameter(start.clone()) for _ in range(2))
    rule, optimizer = rule_of(OptimizerSpec.model_validate(settings), {"weights": ours}), theirs([reference])
    for step in range(1, 31):
        ours.grad = reference.grad = torch.randn(50, generator=stream, dtype=floating)
        optimizer.param_groups[0]["lr"] = 0.1 / step
        optimizer.step()
        with torch.no_grad():
            rule.step(0.1 / step)
        assert torch.equal(ours, reference)


def test_flat_parameters_lie_under_the_networks() -> None:
    net = network()
    flat = FlatParameters(net)
    assert flat.weights.numel() == sum(p.numel() for p in net.parameters() if p.ndim >= 2)
    flat.weights.data.fill_(2.0)
    assert all((layer.weight == 2).all() for _, layer in net.linears())
    assert not any((layer.bias == 2).any() for _, layer in net.linears())


def rates(steps: int, **settings: Any) -> list[float]:
    spec = OptimizerSpec.model_validate({"learning_rate": 1.0, **settings})
    schedule = Schedule(spec, steps_per_epoch=10, max_epochs=steps // 10)
    return [schedule.rate(step) for step in range(1, steps + 1)]


def test_constant_stays() -> None:
    assert set(rates(100)) == {1.0}


def test_cosine_falls_from_the_peak_to_nearly_zero() -> None:
    found = rates(100, schedule="cosine")
    assert found == [pytest.approx((1 + math.cos(math.pi * step / 100)) / 2) for step in range(100)]


def test_one_cycle_rises_for_three_tenths_and_falls_far() -> None:
    found = rates(1000, schedule="one_cycle")
    assert found[0] == pytest.approx(0.04)
    assert found.index(max(found)) == 300
    assert max(found) == pytest.approx(1.0)
    assert found[-1] < 2e-4
    assert all(a < b for a, b in pairwise(found[:301]))
    assert all(a > b for a, b in pairwise(found[300:]))


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle", "reduce_on_plateau"])
def test_warm_up_rises_evenly_to_where_the_schedule_begins(schedule: str) -> None:
    found = rates(200, schedule=schedule, warmup_epochs=3)
    assert found[:30] == [pytest.approx(step / 31) for step in range(1, 31)]
    assert found[30] == pytest.approx(0.04 if schedule == "one_cycle" else 1.0)


def test_reduce_on_plateau_follows_the_curve() -> None:
    settings = {
        "schedule": "reduce_on_plateau",
        "plateau_patience": 2,
        "plateau_factor": 0.1,
        "learning_rate": 1.0,
    }
    schedule, history, found = Schedule(OptimizerSpec.model_validate(settings), 1, 100), History(), []
    for number, loss in enumerate([1.0, 0.5, 0.6, 0.6, 0.6, 0.6, 0.4, 0.4], start=1):
        history.append(Epoch(number, {"val_loss": loss}))
        schedule.epoch_ended(history)
        found.append(schedule.rate(number))
    assert found == [pytest.approx(rate) for rate in [1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01]]


def test_training_loads_no_compiler(tmp_path: Path) -> None:
    """torch.optim would: two seconds of every process's start."""
    spec = tmp_path / "spec.json"
    spec.write_text('{"dataset": "iris", "training": {"max_epochs": 1}}')
    script = (
        "import sys; from models.__main__ import main; main([sys.argv[1]]); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(spec)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
