"""K networks of one shape as one network, over flat parameters.

What `models.network` builds is the definition: plain torch modules, one network each. They are read here and
become layers of all members (`models.derivatives`); where the derivative of one is not written, autograd
finds it and the rest stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models import layers
from models.by_autograd import ByAutograd
from models.derivatives import (
    Activation,
    BatchNorm,
    Dropout,
    Gradients,
    Inputs,
    Layer,
    Linear,
)
from models.masks import Masks
from models.network import Network
from models.nonlinearities import NONLINEARITIES
from models.parameters import Parameters


class Chain:
    """The layers for batches of so many rows, each wired to the one before it."""

    def __init__(self, inputs: Inputs, wired: Sequence[Layer]) -> None:
        self.inputs = inputs
        self.layers = list(wired)
        self.backwards = [layer for layer in reversed(wired) if layer.dy]
        last = wired[-1]
        assert last.dy  # noqa: S101 - it has parameters
        self.outputs, self.gradient = last.y.view, last.dy.view


class StackedNetwork:
    """K networks as one, over `parameters`. (K, rows, features) → (K, rows, outputs)."""

    def __init__(
        self, networks: Sequence[Network], *, written: bool = True, input_gradient: bool = False
    ) -> None:
        """Networks of one shape; dropout may differ or be missing. Not `written`: autograd throughout.

        `input_gradient`: `backward` gives the gradient in the network's inputs too.
        """
        self._input_gradient = input_gradient
        self.networks = list(networks)
        self.parameters = Parameters(networks)
        self._names = _names(networks)
        self._dropped = [name for name in self._names if _rates(networks, name)]
        self.masks = Masks(
            [network.randomness for network in networks],
            [_rates(networks, name) for name in self._dropped],
            [self._width_before(name) for name in self._dropped],
            [self._is_normed(name) for name in self._dropped],
            like=self.parameters.weights,
        )
        self._written = written
        self.by_autograd = [name for name in self._names if self._is_by_autograd(name)]
        self._chains: dict[int, Chain] = {}
        self._last: Chain | None = None

    def forward(self, x: Tensor, *, alike: int = 1) -> Tensor:
        """In training, with the next masks; `alike` steps from here on are known to have as many rows.

        What is returned is the caller's to keep.
        """
        if self._dropped:
            self.masks.next(x.shape[1], at_most=alike)
        chain = self._last = self._chain_for(x)
        chain.inputs.take(x)
        for layer in chain.layers:
            layer.forward()
        return chain.outputs.clone()

    @property
    def gradient(self) -> Tensor:
        """Where the gradient in the outputs of the last `forward` belongs."""
        if self._last is None:
            raise RuntimeError("backward comes after forward")
        return self._last.gradient

    def backward(self, dy: Tensor) -> Tensor | None:
        """Write the gradients of all parameters, from that in the outputs; it may lie in `gradient` already.

        Returns the gradient in the inputs, where it is asked for.
        """
        if dy is not self.gradient:
            self.gradient.copy_(dy)
        assert self._last  # noqa: S101 - or there would be no gradient
        for layer in self._last.backwards:
            layer.backward()
        inputs = self._last.inputs
        return inputs.dy.view if inputs.dy else None

    def evaluate(self, x: Tensor) -> Tensor:
        """In evaluation: (rows, features), the same rows for every member, → (K, rows, outputs)."""
        x = x.expand(len(self.networks), -1, -1)
        # Any chain will do: what is evaluated brings its own memory.
        chain = next(iter(self._chains.values()), None) or self._chain_for(x[:, :0])
        for layer in chain.layers:
            x = layer.evaluate(x)
        return x

    # ── from torch's modules to layers ──────────────────────────────────────────────────────────────────────

    def _chain_for(self, x: Tensor) -> Chain:
        """The layers for as many rows; an epoch has batches of two sizes at most."""
        rows = x.shape[1]
        if rows not in self._chains:
            # Not inside inference mode, wherever this is called: others may want to write there later.
            with torch.inference_mode(False), torch.no_grad():
                self._chains[rows] = self._new_chain(x)
        return self._chains[rows]

    def _new_chain(self, x: Tensor) -> Chain:
        inputs, wired, gradients = Inputs(x, gradient=self._input_gradient), list[Layer](), Gradients()
        for name in self._names:
            wired.append(self._layer(name, wired[-1] if wired else inputs, gradients, x.shape[1]))
        return Chain(inputs, wired)

    def _layer(self, name: str, before: Layer | Inputs, gradients: Gradients, rows: int) -> Layer:
        if name in self._dropped:
            return Dropout(self.masks, self._dropped.index(name), before, gradients)
        modules = [network.get_submodule(name) for network in self.networks]
        first = modules[0]
        if name in self.by_autograd:
            return ByAutograd(name, modules, self.parameters, before)
        if isinstance(first, nn.Linear):
            biased = not _is_norm(self.networks[0], self._around(name)[1][:1])
            return Linear(name, self.parameters, before, gradients, rows, biased=biased)
        assert not isinstance(before, Inputs)  # noqa: S101 - see `_is_by_autograd`
        if isinstance(first, nn.BatchNorm1d):
            return BatchNorm(name, self.parameters, first, before, gradients, rows)
        return Activation(type(first), before)

    def _is_by_autograd(self, name: str) -> bool:
        """Whether the derivative is not written; a norm or an activation is known behind a Linear only."""
        kind = type(getattr(self.networks[0], name, None))
        is_linear = kind in (nn.Linear, layers.Linear)
        before, _ = self._around(name)
        behind = any(isinstance(getattr(self.networks[0], each, None), nn.Linear) for each in before)
        is_known = is_linear or (behind and (kind in NONLINEARITIES or kind is nn.BatchNorm1d))
        return name not in self._dropped and not (self._written and is_known)

    def _around(self, name: str) -> tuple[list[str], list[str]]:
        place = self._names.index(name)
        return self._names[:place], self._names[place + 1 :]

    def _width_before(self, name: str) -> int:
        """How many numbers a row has there: what the Linear before it leaves, or what enters the first."""
        before, after = self._around(name)
        linears = dict(self.networks[0].linears())
        leaving = [linears[earlier].out_features for earlier in before if earlier in linears]
        return (
            leaving[-1]
            if leaving
            else next(linears[later].in_features for later in after if later in linears)
        )

    def _is_normed(self, name: str) -> bool:
        """Whether a batch norm stands between this place and the Linear before it."""
        before, _ = self._around(name)
        return _is_norm(self.networks[0], before[-2:])


def _names(networks: Sequence[Network]) -> list[str]:
    """Every layer that any of the networks has, in order."""
    fullest = max(networks, key=len)
    names = [name for name, _ in fullest.named_children()]
    for network in networks:
        own = [name for name, _ in network.named_children()]
        if missing := [name for name in own if name not in names]:
            for name in missing:
                names.insert(names.index(own[own.index(name) + 1]), name)
    return names


def _rates(networks: Sequence[Network], name: str) -> list[float]:
    """Each network's dropout rate at a place, 0 where it has none; empty where nobody has."""
    found = [getattr(network, name, None) for network in networks]
    if not any(isinstance(each, layers.Dropout) for each in found):
        return []
    return [each.rate if isinstance(each, layers.Dropout) else 0.0 for each in found]


def _is_norm(network: Network, names: Sequence[str]) -> bool:
    return any(type(getattr(network, name, None)) is nn.BatchNorm1d for name in names)


class Written(torch.autograd.Function):
    """A `StackedNetwork` as a function of autograd: Written.apply(network, x, weights, others) → outputs.

    `weights` and `others` are the network's own flat tensors. So ordinary torch may stand before and behind
    it: a loss of any kind, a perturbation of the inputs, and `torch.autograd.gradcheck`.
    """

    @staticmethod
    def forward(ctx: Any, network: StackedNetwork, x: Tensor, *flats: Tensor) -> Tensor:  # noqa: ARG004
        ctx.network = network
        return network.forward(x)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        dx, own = ctx.network.backward(dy.contiguous()), ctx.network.parameters
        return None, dx, own.weight_gradient.clone(), own.other_gradient.clone()
