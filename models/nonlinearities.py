"""Every activation and its derivative: torch's own kernels, writing where they are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

aten = torch.ops.aten

Function = Callable[[Tensor, Tensor], Tensor]
"""(inputs, where to) → there; both may be the same memory."""
Derivative = Callable[[Tensor, Tensor, Tensor], object]
"""(gradient in the outputs, what is kept, where to): writes the gradient in the inputs; as above."""


@dataclass(frozen=True, slots=True)
class Nonlinearity:
    """An activation and its derivative: torch's own kernels, without the graph."""

    function: Function
    derivative: Derivative
    of_outputs: bool
    """The derivative is known from the outputs; else from the inputs."""
    is_exact: bool = False
    """One rounding at most: vector code and scalar code agree."""


def _relu_backward(da: Tensor, a: Tensor, to: Tensor) -> object:
    return aten.threshold_backward.grad_input(da, a, 0, grad_input=to)


def _leaky_relu_backward(da: Tensor, a: Tensor, to: Tensor) -> object:
    return aten.leaky_relu_backward.grad_input(da, a, 0.01, True, grad_input=to)


def _elu_backward(da: Tensor, a: Tensor, to: Tensor) -> object:
    return aten.elu_backward.grad_input(da, 1.0, 1.0, 1.0, True, a, grad_input=to)


def _known(function: object, derivative: object) -> tuple[Function, Derivative]:
    """Kernels that take nothing else."""
    return (
        lambda x, to: function(x, out=to),  # type: ignore[operator]
        lambda da, kept, to: derivative(da, kept, grad_input=to),  # type: ignore[operator]
    )


NONLINEARITIES: dict[type[nn.Module], Nonlinearity] = {
    nn.ReLU: Nonlinearity(lambda x, to: torch.clamp_min(x, 0, out=to), _relu_backward, True, True),
    nn.LeakyReLU: Nonlinearity(
        lambda x, to: aten.leaky_relu.out(x, 0.01, out=to), _leaky_relu_backward, True, True
    ),
    nn.ELU: Nonlinearity(lambda x, to: aten.elu.out(x, out=to), _elu_backward, True),
    nn.GELU: Nonlinearity(*_known(aten.gelu.out, aten.gelu_backward.grad_input), False),
    nn.SiLU: Nonlinearity(*_known(aten.silu.out, aten.silu_backward.grad_input), False),
    nn.Tanh: Nonlinearity(*_known(torch.tanh, aten.tanh_backward.grad_input), True),
    nn.Sigmoid: Nonlinearity(*_known(torch.sigmoid, aten.sigmoid_backward.grad_input), True),
}
"""Each activation of `models.network`."""
