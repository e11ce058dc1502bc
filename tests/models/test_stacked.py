"""Derivatives written out: against finite differences, and against torch's own modules under autograd."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from models.losses import Readout
from models.network import Network, build
from models.spec import JobSpec, NetworkSpec
from models.stacked import StackedNetwork, Written

ACTIVATIONS = get_args(NetworkSpec.model_fields["activation"].annotation)
CLOSE: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-12}


def network(seed: int = 0, outputs: int = 3, dropout: Any = None, **network: Any) -> Network:
    """A network whose every parameter is off its initial value, biases and norm parameters too."""
    batch_norm = network.pop("batch_norm", True)
    spec = {
        "dataset": "given",
        "network": {"hidden": [5, 4], **network},
        "regularization": {"batch_norm": batch_norm, "dropout": dropout},
    }
    net = build(JobSpec.model_validate(spec), features=3, outputs=outputs, seed=seed)
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            # The mean takes out the bias before a batch norm: it stays at zero, and so does its gradient.
            if not (
                batch_norm and name.startswith("hidden") and name.endswith("bias") and "norm" not in name
            ):
                parameter.add_(torch.randn(parameter.shape, generator=stream), alpha=0.3)
    net.double()
    return net


def rows(members: int, count: int = 6) -> Tensor:
    return random(members, count, 3)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def by_torch(nets: Sequence[Network], x: Tensor, dy: Tensor) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """What torch's own modules say under autograd: outputs, and each network's gradients."""
    outputs, gradients = [], []
    for member, net in enumerate(nets):
        net.train().zero_grad()
        y = net(x[member])
        y.backward(dy[member])
        outputs.append(y.detach())
        gradients.append({name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None})
    return torch.stack(outputs), gradients


def gradients_of(stacked: StackedNetwork, member: int) -> dict[str, Tensor]:
    names = dict(stacked.networks[member].named_parameters())
    return {name: stacked.parameters.of(name)[1][member] for name in names}


SHAPES: list[dict[str, Any]] = [
    *({"activation": activation} for activation in ACTIVATIONS),
    *({"activation": activation, "batch_norm": False} for activation in ACTIVATIONS),
    {"outputs": 1},
    {"outputs": 1, "batch_norm": False},
    {"hidden": [], "batch_norm": None},
    {"hidden": [], "batch_norm": None, "outputs": 1, "dropout": {"input": 0.3}},
    {"dropout": {"input": 0.3, "hidden": [0.5, 0.2]}},
    {"dropout": 0.5, "batch_norm": False, "activation": "tanh"},
    {"hidden": [16, 32]},
    *({"hidden": [1], "activation": activation, "batch_norm": False} for activation in ACTIVATIONS),
    {"hidden": [1, 4], "activation": "gelu", "dropout": 0.3},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_derivative_is_that_of_finite_differences(shape: dict[str, Any]) -> None:
    small = {"hidden": [min(3, width) for width in shape.get("hidden", [5, 4])][:1]}
    nets = [network(seed, **shape | small) for seed in (0, 1)]
    stacked = StackedNetwork(nets, input_gradient=True)
    streams = [net.randomness.state() for net in nets]

    def outputs(x: Tensor, weights: Tensor, others: Tensor) -> Tensor:
        for net, state in zip(nets, streams, strict=True):
            net.randomness.resume(state)
        stacked.masks.forget()
        return Written.apply(stacked, x, weights, others)

    x = rows(2, 5).requires_grad_()
    own = stacked.parameters
    assert torch.autograd.gradcheck(outputs, (x, own.weights.requires_grad_(), own.others.requires_grad_()))


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_stack_is_its_networks_in_outputs_gradients_and_statistics(
    shape: dict[str, Any], members: int
) -> None:
    ours = [network(seed, **shape) for seed in range(members)]
    theirs = [network(seed, **shape) for seed in range(members)]
    stacked, x = StackedNetwork(ours), rows(members)
    dy = random(members, 6, shape.get("outputs", 3))
    for _ in range(2):
        outputs = stacked.forward(x)
        stacked.backward(dy)
        expected, gradients = by_torch(theirs, x, dy)
        torch.testing.assert_close(outputs, expected, **CLOSE)
        for member in range(members):
            found = gradients_of(stacked, member)
            assert found.keys() == gradients[member].keys()
            for name, gradient in gradients[member].items():
                torch.testing.assert_close(
                    found[name], gradient, **CLOSE, msg=lambda text, n=name: f"{n}: {text}"
                )
    for own, other in zip(ours, theirs, strict=True):
        for (name, mine), theirs_ in zip(own.named_buffers(), other.buffers(), strict=True):
            if mine.is_floating_point():
                torch.testing.assert_close(mine, theirs_, **CLOSE, msg=name)
    with torch.no_grad():
        evaluated = torch.stack([net.eval()(x[0]) for net in theirs])
        torch.testing.assert_close(stacked.evaluate(x[0]), evaluated, **CLOSE)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_written_out_it_says_what_autograd_says(shape: dict[str, Any]) -> None:
    nets = [[network(seed, **shape) for seed in (0, 1)] for _ in range(2)]
    written, recorded = StackedNetwork(nets[0]), StackedNetwork(nets[1], written=False)
    assert not written.by_autograd
    assert set(recorded.by_autograd) >= {name for name, _ in nets[0][0].linears()}
    dy = random(2, 6, shape.get("outputs", 3))
    torch.testing.assert_close(written.forward(rows(2)), recorded.forward(rows(2)), **CLOSE)
    written.backward(dy)
    recorded.backward(dy)
    own, other = written.parameters, recorded.parameters
    torch.testing.assert_close(own.weight_gradient, other.weight_gradient, **CLOSE)
    torch.testing.assert_close(own.other_gradient, other.other_gradient, **CLOSE)


class Gate(nn.Module):
    """A layer that nobody has written a derivative for, with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor([0.5, 1.0, -1.0, 2.0, 0.1], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.slope * x) if self.training else x


def gated(seed: int) -> Network:
    net = network(seed, dropout=0.3)
    children = list(net.named_children())
    place = [name for name, _ in children].index("hidden_1_activation")
    changed = Network(OrderedDict([*children[:place], ("hidden_1_gate", Gate()), *children[place:]]))
    changed.randomness = net.randomness
    return changed


def assert_torchs(make: Callable[[int], Network]) -> StackedNetwork:
    """Two such networks as a stack say what they say one by one under autograd."""
    ours, theirs = [make(0), make(1)], [make(0), make(1)]
    stacked, x, dy = StackedNetwork(ours), rows(2), random(2, 6, 3)
    with torch.inference_mode():
        outputs = stacked.forward(x)
        stacked.backward(dy)
    expected, gradients = by_torch(theirs, x, dy)
    torch.testing.assert_close(outputs, expected, **CLOSE)
    for member, name in itertools.product(range(2), gradients[0]):
        torch.testing.assert_close(gradients_of(stacked, member)[name], gradients[member][name], **CLOSE)
    return stacked


def test_a_layer_of_a_new_kind_is_left_to_autograd_and_said_so() -> None:
    assert assert_torchs(gated).by_autograd == ["hidden_1_gate"]


class Doubled(nn.BatchNorm1d):
    """A batch norm that is more than one."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x


def rebuilt(net: Network, children: Sequence[tuple[str, nn.Module]]) -> Network:
    changed = Network(OrderedDict(children))
    changed.randomness = net.randomness
    return changed.double()


def doubled(seed: int) -> Network:
    linear, *others = network(seed, batch_norm=False).named_children()
    return rebuilt(network(seed), [linear, ("norm", Doubled(5)), *others])


def normed_at_once(seed: int) -> Network:
    """Dropout and a batch norm before every Linear."""
    children = list(network(seed, batch_norm=False, dropout={"input": 0.3}).named_children())
    return rebuilt(network(seed), [children[0], ("norm", nn.BatchNorm1d(3)), *children[1:]])


def twice(seed: int) -> Network:
    """One activation behind the other, behind a single unit."""
    children = list(network(seed, hidden=[1], batch_norm=False, activation="tanh").named_children())
    return rebuilt(network(seed), [*children[:2], ("again", nn.Tanh()), *children[2:]])


@pytest.mark.parametrize("make", [doubled, normed_at_once, twice])
def test_layers_stand_wherever_a_technique_puts_them(make: Callable[[int], Network]) -> None:
    assert_torchs(make)


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_what_is_idle_stays_idle(members: int, *, batch_norm: bool) -> None:
    """A single output's second row, beside hidden layers as wide as that; a single unit's second column."""
    shape: dict[str, Any] = {"hidden": [2, 1, 2], "outputs": 1, "activation": "sigmoid", "dropout": 0.3}
    nets = [network(seed, batch_norm=batch_norm, **shape) for seed in range(members)]
    stacked = StackedNetwork(nets)
    for _ in range(2):
        stacked.forward(rows(members))
        stacked.backward(random(members, 6, 1))
    own = stacked.parameters
    idle_row = own.weight_layout.block(own.weight_gradient, "output.weight")
    assert idle_row[:, :2].any()
    assert not idle_row[:, 2:].any()
    idle_column = own.whole("hidden_3.weight")[1]
    assert idle_column.shape == (members, 2, 2)
    assert idle_column[..., 0].any()
    assert not idle_column[..., 1].any()


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("hidden", [[1], [40, 64], [30, 1, 40]], ids=str)
def test_of_a_single_row_gradients_are_the_same_alone_with_the_signs_of_their_zeros(
    hidden: list[int], activation: str
) -> None:
    def make() -> list[Network]:
        return [network(seed, hidden=hidden, activation=activation, batch_norm=False) for seed in range(3)]

    x, dy = rows(3, 1), random(3, 1, 3) * torch.tensor([0.0, -1.0, 1.0])
    stacked, apart = StackedNetwork(make()), [StackedNetwork([net]) for net in make()]
    stacked.forward(x)
    stacked.backward(dy)
    for member, own in enumerate(apart):
        own.forward(x[member : member + 1])
        own.backward(dy[member : member + 1])
        for name in dict(own.networks[0].named_parameters()):
            whole, one = stacked.parameters.of(name)[1][member], own.parameters.of(name)[1][0]
            assert torch.equal(whole, one)
            assert torch.equal(whole.signbit(), one.signbit()), name


def test_what_was_trained_in_inference_mode_is_trained_on_outside() -> None:
    stacked, x = StackedNetwork([network(0)]), rows(1)
    with torch.inference_mode():
        stacked.forward(x)
        stacked.backward(random(1, 6, 3))
    assert torch.isfinite(stacked.forward(x)).all()


def test_networks_without_dropout_stand_beside_those_with_it() -> None:
    """Rates differ, and some networks lack a layer: each draws what it would alone."""
    dropouts = [None, 0.5, {"input": 0.2, "hidden": [0.0, 0.3]}, {"hidden": [0.4, 0.0]}]
    ours = [network(seed, dropout=one) for seed, one in enumerate(dropouts)]
    theirs = [network(seed, dropout=one) for seed, one in enumerate(dropouts)]
    stacked = StackedNetwork(ours)
    for count in (6, 6, 6, 4, 6):
        x = rows(4, count)
        expected = torch.stack([net.train()(x[member]).detach() for member, net in enumerate(theirs)])
        torch.testing.assert_close(stacked.forward(x, alike=2), expected, **CLOSE)
    stacked.masks.rewind()
    assert [net.randomness.state() for net in ours] == [net.randomness.state() for net in theirs]


@pytest.mark.parametrize(("task", "outputs"), [("binary", 1), ("multiclass", 4), ("regression", 1)])
def test_the_losses_gradient_is_autograds(task: Any, outputs: int) -> None:
    readout, stream = Readout(task), torch.Generator().manual_seed(3)
    z = torch.randn(2, 7, outputs, generator=stream, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, max(outputs, 2), (7,), generator=stream)
    targets = targets if task == "multiclass" else targets.double()
    readout.losses(z, targets).mean(-1).sum().backward()
    found = readout.gradient(z.detach(), readout.encoded(targets, outputs, torch.float64))
    torch.testing.assert_close(found, z.grad)
