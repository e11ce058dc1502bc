"""From spec to network.

    input ─ [dropout] ─┬─ Linear ─ [batch norm] ─ activation ─ [dropout] ─┬─ Linear ─ output
                       └────────────── once a hidden layer ───────────────┘

With no hidden layer it is a linear model. Binary classification has one logit, K classes have K, regression
has one value.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from models.layers import Linear, Randomness
from models.spec import JobSpec

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
_SATURATING = ("tanh", "sigmoid")


class Network(nn.Sequential):
    """The layers in order: `hidden_1`, `hidden_1_norm`, …, `output`. (n, features) → (n, outputs)."""

    randomness: Randomness
    """What its dropout layers draw from."""

    def linears(self) -> Iterator[tuple[str, nn.Linear]]:
        """The layers that hold weight matrices, from the input on."""
        return ((name, layer) for name, layer in self.named_children() if isinstance(layer, nn.Linear))

    def parameter_count(self) -> int:
        """Everything that is learned, biases and norm parameters included."""
        return sum(parameter.numel() for parameter in self.parameters())


def build(spec: JobSpec, features: int, outputs: int, seed: int) -> Network:
    """A network with initial weights from `seed`: the same seed, the same weights on every machine."""
    techniques = (spec.regularization.techniques() if spec.regularization else {}).values()
    randomness = Randomness(seed)
    hidden = spec.network.hidden or []
    layers: OrderedDict[str, nn.Module] = OrderedDict()

    def add(name: str, layer: nn.Module | None) -> None:
        if layer is not None:
            layers[name] = layer

    for technique in techniques:
        add("input_dropout", technique.on_input(features, randomness))
    for index, (entering, width) in enumerate(zip([features, *hidden], hidden, strict=False)):
        name = f"hidden_{index + 1}"
        add(name, Linear(entering, width))
        for technique in techniques:
            add(f"{name}_norm", technique.before_activation(index, width))
        add(f"{name}_activation", _ACTIVATIONS[spec.network.activation]())
        for technique in techniques:
            add(f"{name}_dropout", technique.after_activation(index, width, randomness))
    add("output", Linear([features, *hidden][-1], outputs))

    network = Network(layers)
    network.randomness = randomness
    _initialize(network, spec.network.activation, torch.Generator().manual_seed(seed))
    return network


@torch.no_grad()
def _initialize(network: Network, activation: str, generator: torch.Generator) -> None:
    """He (2015) uniform before rectifiers, Glorot (2010) before saturating units and the output; biases zero.

    A linear model starts at zero: its objective is convex, and a column without evidence stays out.
    """
    *hidden, (_, output) = network.linears()
    for _, layer in hidden:
        fan = (
            layer.in_features
            if activation not in _SATURATING
            else (layer.in_features + layer.out_features) / 2
        )
        gain = 6.0 if activation not in _SATURATING else 3.0
        _uniform(layer.weight, math.sqrt(gain / fan), generator)
        nn.init.zeros_(layer.bias)
    bound = math.sqrt(6.0 / (output.in_features + output.out_features)) if hidden else 0.0
    _uniform(output.weight, bound, generator)
    nn.init.zeros_(output.bias)


def _uniform(weight: Tensor, bound: float, generator: torch.Generator) -> None:
    weight.uniform_(-bound, bound, generator=generator) if bound else weight.zero_()
