"""Steps against torch's own optimizers, schedules against their formulas."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch

from models.history import Epoch, History
from models.losses import Readout
from models.network import Network, build
from models.optimizers import Descent, Schedule
from models.parameters import Layout
from models.spec import JobSpec, OptimizerSpec
from models.stacked import StackedNetwork
from models.updates import Place, rule_of


def network() -> Network:
    spec = {"dataset": "given", "network": {"hidden": [7]}, "regularization": {"batch_norm": True}}
    return build(JobSpec.model_validate(spec), features=5, outputs=3, seed=0)


X, Y = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3


def descended(net: Network, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The parameters after thirty steps of torch's, with autograd."""
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(X), Y).backward()
        optimizer.step()
    return learnt(net)


def learnt(net: Network) -> dict[str, torch.Tensor]:
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
    stacked = StackedNetwork([ours])
    descent = Descent([spec], stacked.parameters, [], [Schedule(spec, 1, 30)])
    readout = Readout("multiclass")
    for _ in range(30):
        stacked.backward(readout.gradient(stacked.forward(X[None]), readout.encoded(Y, 3, torch.float32)))
        descent.step()
    if theirs is None:
        decayed = [p for p in reference.parameters() if p.ndim >= 2]
        spared = [p for p in reference.parameters() if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": spared, "weight_decay": 0.0}]
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(groups, 0.01)
    else:
        optimizer = theirs(reference.parameters())
    found, expected = learnt(ours), descended(reference, optimizer)
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
    layout = Layout({"hidden_1.weight": (5, 16)}, 1)
    start = torch.randn(80, generator=stream, dtype=floating)
    place = Place(start.clone(), torch.zeros_like(start), layout)
    reference = torch.nn.Parameter(start.clone())
    rule, optimizer = rule_of(OptimizerSpec.model_validate(settings), {"weights": place}), theirs([reference])
    for step in range(1, 31):
        reference.grad = torch.randn(80, generator=stream, dtype=floating)
        place.gradient.copy_(reference.grad)
        optimizer.param_groups[0]["lr"] = 0.1 / step
        optimizer.step()
        rule.step([0.1 / step])
        assert torch.equal(place.flat, reference)


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("settings", [settings for settings, _ in RULES])
def test_members_with_rates_of_their_own_move_as_they_would_alone(
    settings: dict[str, Any], *, alike: bool
) -> None:
    """Rates differ, agree, differ again: a member's weights, and how far its step reaches, are its own."""
    spec, stream = OptimizerSpec.model_validate(settings), torch.Generator().manual_seed(2)
    shapes = {"hidden_1.weight": (3, 5), "output.weight": (2, 3)}
    together, alone = Layout(shapes, 3), Layout(shapes, 1)
    place = Place(torch.zeros(together.size), torch.zeros(together.size), together)
    own = [Place(torch.zeros(alone.size), torch.zeros(alone.size), alone) for _ in range(3)]
    rule, rules = rule_of(spec, {"weights": place}), [rule_of(spec, {"weights": each}) for each in own]
    force, forces = torch.tensor(0.7), [torch.tensor(0.7)] * 3
    if not alike:
        force, forces = torch.zeros(together.size), [torch.zeros(alone.size) for _ in range(3)]
        for member, strengths in enumerate(torch.rand(3, 21, generator=stream)):
            together.put(force, member, strengths)
            alone.put(forces[member], 0, strengths)
    for rates in ([0.1, 0.2, 0.1], [0.3, 0.3, 0.3], [0.1, 0.2, 0.3]):
        for member in range(3):
            gradient = torch.randn(21, generator=stream)
            together.put(place.gradient, member, gradient)
            alone.put(own[member].gradient, 0, gradient)
            rules[member].step([rates[member]])
        rule.step(rates)
        reach = torch.zeros_like(place.flat) + rule.reach("weights", rates, force)
        for member in range(3):
            assert torch.equal(together.take(place.flat, member), alone.take(own[member].flat, 0))
            own_reach = rules[member].reach("weights", [rates[member]], forces[member])
            reached = torch.zeros_like(own[member].flat) + own_reach
            assert torch.equal(together.take(reach, member), alone.take(reached, 0))


def test_networks_lie_over_their_rows_of_the_flat_parameters() -> None:
    nets = [network(), network()]
    parameters = StackedNetwork(nets).parameters
    parameters.weights.fill_(2.0)
    for net in nets:
        assert all((layer.weight == 2).all() for _, layer in net.linears())
        assert not any((layer.bias == 2).any() for _, layer in net.linears())
    parameters.overwrite(1, parameters.state(1) | {"weights": torch.full((5 * 7 + 7 * 3,), 3.0)})
    assert all((layer.weight == 2).all() for _, layer in nets[0].linears())
    assert all((layer.weight == 3).all() for _, layer in nets[1].linears())


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
    assert found[30] == pytest.approx(1.0)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle", "reduce_on_plateau"])
@pytest.mark.parametrize("warmup", [0, 1, 5, 19, 20, 40])
def test_the_rate_has_one_peak_and_no_leap_whatever_is_combined(schedule: str, warmup: int) -> None:
    """Up, perhaps level, down, and never up again; at most in the ten steps that a warm-up leaves."""
    found = rates(200, schedule=schedule, warmup_epochs=warmup)
    top = found.index(max(found))
    assert all(a <= b for a, b in pairwise(found[: top + 1]))
    assert all(a >= b for a, b in pairwise(found[top:]))
    assert max(abs(a - b) for a, b in pairwise(found)) < 0.16
    assert max(found) == pytest.approx(1.0, abs=0.01) or warmup >= 20


def test_one_cycle_falls_from_the_end_of_its_warm_up_to_the_last_step() -> None:
    found = rates(1000, schedule="one_cycle", warmup_epochs=10)
    assert found.index(max(found)) == 100
    assert found[-1] < 2e-4
    assert found[550] == pytest.approx(0.5, abs=0.01)


def plateau(losses: list[float], **settings: Any) -> list[float]:
    """The rate after each epoch with these losses."""
    spec = {
        "schedule": "reduce_on_plateau",
        "plateau_patience": 2,
        "plateau_factor": 0.1,
        "learning_rate": 1.0,
    }
    schedule, history, found = Schedule(OptimizerSpec.model_validate(spec | settings), 1, 100), History(), []
    for number, loss in enumerate(losses, start=1):
        history.append(Epoch(number, {"val_loss": loss}))
        schedule.epoch_ended(history)
        found.append(schedule.rate(number + 1))
    return found


def test_a_plateau_during_the_warm_up_does_not_count() -> None:
    found = plateau([0.5] * 8, warmup_epochs=4)
    assert found == [pytest.approx(rate) for rate in [0.4, 0.6, 0.8, 1, 1, 0.1, 0.1, 0.01]]


def test_what_is_undefined_is_no_plateau() -> None:
    nan = math.nan
    assert plateau([0.5, nan, nan, nan, nan]) == [1.0] * 5
    assert plateau([0.5, 0.6, nan, 0.6]) == [pytest.approx(rate) for rate in [1, 1, 1, 0.1]]


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
