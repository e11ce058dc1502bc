"""Every layer of K networks at once, forward and backward, with the derivative written out.

Activations are (K, rows, width), member first. `forward` keeps what `backward` needs; `backward` takes the
gradient of the loss in a layer's outputs, writes the gradient in its parameters into the flat tensors of
`models.parameters`, and gives the gradient in its inputs. There is no graph to record and to walk, and no
gradient to be set to zero: on small networks that was most of a step.

    Linear        z = x·Wᵀ + b            ∂W = ∂zᵀ·x          ∂b = 1ᵀ·∂z          ∂x = ∂z·W
    batch norm    y = γ·x̂ + β             ∂γ = Σ ∂y·x̂         ∂β = Σ ∂y
                  x̂ = (z − μ)/√(σ²+ε)     ∂z = γ/√(σ²+ε)·(∂y − mean(∂y) − x̂·mean(∂y·x̂))
    activation    a = f(z)                ∂z = f′(z)·∂a
    dropout       h = a·m/(1−p)           ∂a = ∂h·m/(1−p)

What `models.network` builds is the definition: plain torch modules, one network each. A test holds both equal
in outputs and gradients, for every layer. A layer of a kind not known here, say of a new technique, is
differentiated by autograd, a member at a time (`ByAutograd`).

A member is computed alike, bit for bit, alone and in any stack, on a CPU with one thread; `models.lanes` says
how.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.lanes import LANES, in_whole_vectors, on_lanes, room
from models.masks import Masks
from models.parameters import Parameters

aten = torch.ops.aten


class Layer(Protocol):
    """One layer of all members."""

    def forward(self, x: Tensor) -> Tensor:
        """In training: (K, rows, entering) → (K, rows, leaving)."""

    def backward(self, dy: Tensor) -> Tensor | None:
        """From the gradient in the last outputs to that in the inputs; None: nobody needs it."""

    def evaluate(self, x: Tensor) -> Tensor:
        """In evaluation."""


# ── matrices ────────────────────────────────────────────────────────────────────────────────────────────────


def product(a: Tensor, b: Tensor, *, plus: Tensor | None = None) -> Tensor:
    """a·b for each member, (K, n, m)·(K, m, k) → (K, n, k), plus a row (K, 1, k)."""
    rows, columns = a.shape[1], b.shape[2]
    if a.shape[0] == 1 or rows * columns % LANES == 0:
        return torch.bmm(a, b) if plus is None else torch.baddbmm(plus, a, b)
    out = room(a, rows, columns)
    return torch.bmm(a, b, out=out) if plus is None else torch.baddbmm(plus, a, b, out=out)


class Linear:
    """z = x·Wᵀ + b, W (K, leaving, entering).

    A single output is computed as two, the second of which is idle and stays zero: for a matrix of one column
    kernels change over to others, which add up in another order alone than in a stack.
    """

    def __init__(self, name: str, parameters: Parameters, *, is_first: bool, biased: bool) -> None:
        """`is_first`: nobody asks for the gradient in its inputs. Not `biased`: a batch norm follows."""
        self.name = name
        leaving, entering = parameters.weight_layout.shapes[f"{name}.weight"]
        self._is_single = leaving == 1
        shape = (max(leaving, 2), entering)
        self._weight, self._weight_gradient = parameters.of(f"{name}.weight", shape)
        self._transposed = self._weight.transpose(1, 2)
        bias, bias_gradient = parameters.rows_of(f"{name}.bias")
        self._bias = bias[:, None, : shape[0]] if biased else None
        self._bias_gradient = bias_gradient[:, None, : shape[0]]
        self._is_first = is_first
        self._x = self._ones = torch.empty(0, 0, 0)

    def forward(self, x: Tensor) -> Tensor:
        self._x = on_lanes(x)
        return self._leaving(self._x)

    def backward(self, dz: Tensor) -> Tensor | None:
        dz = on_lanes(functional.pad(dz, (0, 1)) if self._is_single else dz)
        torch.bmm(dz.transpose(1, 2), self._x, out=self._weight_gradient)
        if self._bias is not None:
            torch.bmm(self._one_each(dz), dz, out=self._bias_gradient)
        return None if self._is_first else product(dz, self._weight)

    def evaluate(self, x: Tensor) -> Tensor:
        return self._leaving(on_lanes(x))

    def _leaving(self, x: Tensor) -> Tensor:
        z = product(x, self._transposed, plus=self._bias)
        return z[..., :1] if self._is_single else z

    def _one_each(self, dz: Tensor) -> Tensor:
        """1ᵀ, (K, 1, rows): the sum over rows as a product, which adds up alike for everybody."""
        if self._ones.shape[2] != dz.shape[1]:
            self._ones = dz.new_ones(1, 1, dz.shape[1]).expand(dz.shape[0], -1, -1)
        return self._ones


class BatchNorm:
    """Each unit standardized by its batch, then scaled and shifted, by torch's own kernel for all members.

    The kernel wants units side by side, so its memory is (rows, K, width) while its shape stays (K, rows,
    width). The bias before it is left alone: the mean takes it out again, and its gradient is zero.
    """

    def __init__(self, name: str, parameters: Parameters, definition: nn.BatchNorm1d) -> None:
        self._width = definition.num_features
        self._momentum, self._eps = definition.momentum or 0.0, definition.eps
        (self._gamma, gamma), (self._beta, beta) = (
            parameters.rows_of(f"{name}.{what}") for what in ("weight", "bias")
        )
        self._mean, self._variance = (
            parameters.statistic(f"{name}.running_{what}") for what in ("mean", "var")
        )
        self._members, self._room = self._gamma.shape
        flat = tuple(each.view(-1) for each in (self._gamma, self._beta, self._mean, self._variance))
        self._flat_gamma, self._flat_beta, self._flat_mean, self._flat_variance = flat
        self._gamma_gradient, self._beta_gradient = gamma.view(-1), beta.view(-1)
        self._kept: tuple[Tensor, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        z = self._side_by_side(x)
        learnt = (self._flat_gamma, self._flat_beta)
        running = (self._flat_mean, self._flat_variance)
        y, mean, deviation = aten.native_batch_norm.default(
            z, *learnt, *running, True, self._momentum, self._eps
        )
        self._kept = (z, mean, deviation)
        return self._members_first(y)

    def backward(self, dy: Tensor) -> Tensor:
        z, mean, deviation = self._kept
        running = (self._flat_mean, self._flat_variance)
        dz, gamma_gradient, beta_gradient = aten.native_batch_norm_backward.default(
            self._side_by_side(dy),
            z,
            self._flat_gamma,
            *running,
            mean,
            deviation,
            True,
            self._eps,
            _ALL_THREE,
        )
        self._gamma_gradient.copy_(gamma_gradient)
        self._beta_gradient.copy_(beta_gradient)
        return self._members_first(dz)

    def evaluate(self, x: Tensor) -> Tensor:
        scale = self._gamma * (self._variance + self._eps).rsqrt()
        shift = self._beta - self._mean * scale
        return x.mul_(scale[:, None, : self._width]).add_(shift[:, None, : self._width])

    def _side_by_side(self, x: Tensor) -> Tensor:
        """(K, rows, width) → (rows, K·room), a copy only where its memory is ordered otherwise."""
        if self._room != self._width:
            x = functional.pad(x, (0, self._room - self._width))
        turned = x if self._members == 1 else x.transpose(0, 1)
        return turned.reshape(-1, self._members * self._room)

    def _members_first(self, y: Tensor) -> Tensor:
        alone = self._members == 1
        y = y.unsqueeze(0) if alone else y.view(-1, self._members, self._room).transpose(0, 1)
        return y if self._room == self._width else y[..., : self._width]


_ALL_THREE = [True, True, True]
"""Gradients in inputs, scale and shift."""


# ── elements ────────────────────────────────────────────────────────────────────────────────────────────────

Function = Callable[[Tensor], Tensor]
Derivative = Callable[[Tensor, Tensor], Tensor]
"""(gradient in the outputs, what is kept) → gradient in the inputs."""


@dataclass(frozen=True, slots=True)
class Nonlinearity:
    """An activation and its derivative: torch's own kernels, without the graph."""

    function: Function
    derivative: Derivative
    of_outputs: bool
    """The derivative is known from the outputs; else from the inputs."""
    is_exact: bool = False
    """One rounding at most: vector code and scalar code agree."""


NONLINEARITIES: dict[type[nn.Module], Nonlinearity] = {
    nn.ReLU: Nonlinearity(torch.relu, lambda da, a: aten.threshold_backward.default(da, a, 0), True, True),
    nn.LeakyReLU: Nonlinearity(
        functional.leaky_relu, lambda da, a: aten.leaky_relu_backward.default(da, a, 0.01, True), True, True
    ),
    nn.ELU: Nonlinearity(
        functional.elu, lambda da, a: aten.elu_backward.default(da, 1.0, 1.0, 1.0, True, a), True
    ),
    nn.GELU: Nonlinearity(functional.gelu, aten.gelu_backward.default, False),
    nn.SiLU: Nonlinearity(functional.silu, aten.silu_backward.default, False),
    nn.Tanh: Nonlinearity(torch.tanh, aten.tanh_backward.default, True),
    nn.Sigmoid: Nonlinearity(torch.sigmoid, aten.sigmoid_backward.default, True),
}
"""Each activation of `models.network`."""


class Activation:
    """The nonlinearity after a Linear or a batch norm."""

    def __init__(self, kind: type[nn.Module]) -> None:
        self._f = NONLINEARITIES[kind]
        self._kept = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        y = self.evaluate(x)
        self._kept = y if self._f.of_outputs else x
        return y

    def backward(self, dy: Tensor) -> Tensor:
        if self._f.is_exact:
            return self._f.derivative(dy, self._kept)
        return in_whole_vectors(self._f.derivative, dy, self._kept)

    def evaluate(self, x: Tensor) -> Tensor:
        return self._f.function(x) if self._f.is_exact else in_whole_vectors(self._f.function, x)


class Dropout:
    """h = a·mask, where the mask holds 0 or 1/(1 − rate) by each member's own rate and stream of bits."""

    def __init__(self, masks: Masks, place: int) -> None:
        self._masks = masks
        self._place = place
        self._mask = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self._mask = self._masks.of(self._place)
        if x.shape[0] == 1:
            return x * self._mask
        # The next Linear wants members in one piece.
        return torch.mul(x, self._mask, out=room(x, x.shape[1], x.shape[2]))

    def backward(self, dy: Tensor) -> Tensor:
        if dy.shape[0] == 1:
            return dy * self._mask
        # What comes before, a batch norm perhaps, wants its own order, which is the mask's.
        return torch.mul(dy, self._mask, out=torch.empty_like(self._mask))

    def evaluate(self, x: Tensor) -> Tensor:
        return x


# ── anything else ───────────────────────────────────────────────────────────────────────────────────────────


class ByAutograd:
    """Layers of a kind whose derivative is not written here: each member's module, one after the other."""

    def __init__(self, name: str, modules: Sequence[nn.Module], parameters: Parameters) -> None:
        self.name = name
        self._modules = modules
        self._gradients = [parameters.of(f"{name}.{own}")[1] for own, _ in modules[0].named_parameters()]
        self._x: list[Tensor] = []
        self._y: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            self._x = [each.clone().requires_grad_() for each in x]
            self._y = [module.train()(each) for module, each in zip(self._modules, self._x, strict=True)]
            return torch.stack([each.detach() for each in self._y])

    def backward(self, dy: Tensor) -> Tensor:
        with torch.inference_mode(False):
            found = [self._of_member(member, dy[member].clone()) for member in range(len(dy))]
        for place, gradient in enumerate(self._gradients):
            for member, (_, *own) in enumerate(found):
                gradient[member].copy_(own[place])
        return torch.stack([dx for dx, *_ in found])

    def _of_member(self, member: int, dy: Tensor) -> tuple[Tensor, ...]:
        asked = [self._x[member], *self._modules[member].parameters()]
        return torch.autograd.grad(self._y[member], asked, dy, allow_unused=True, materialize_grads=True)

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> Tensor:
        return torch.stack([module.eval()(each) for module, each in zip(self._modules, x, strict=True)])
