"""All parameters of a network in two flat tensors, so that a step is a few vector operations.

Weights (two dimensions and more) lie in one, biases and norm parameters in the other: penalties and decay
act on weights alone. The network's own parameters and gradients are views into these.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.network import Network
from models.regularizers import Penalty


class FlatParameters:
    """`weights` (P,) and `others` (Q,): leaf tensors with gradients, laid under the network's parameters."""

    def __init__(self, network: Network) -> None:
        self._network = network
        parameters = list(network.parameters())
        self.weights = _lay_under([p for p in parameters if p.ndim >= 2])
        self.others = _lay_under([p for p in parameters if p.ndim < 2])

    @property
    def gradient(self) -> Tensor:
        """The gradient on `weights`, (P,)."""
        gradient = self.weights.grad
        assert gradient is not None  # noqa: S101 - laid under the parameters when they were flattened
        return gradient

    def zero_gradients(self) -> None:
        for tensor in (self.weights, self.others):
            if tensor.grad is not None:
                tensor.grad.zero_()

    def strength(self, penalty: Penalty, columns: list[str]) -> Tensor:
        """The penalty's strength on each weight, (P,): scope and feature weights multiplied in.

        `columns` names the dataset's column behind each network input.
        """
        parts = []
        for index, (_, layer) in enumerate(self._network.linears()):
            reached = penalty.scope == "all" or index == 0
            part = torch.full_like(layer.weight, penalty.strength if reached else 0.0)
            if index == 0 and penalty.feature_weights:
                part *= part.new_tensor([penalty.feature_weights.get(column, 1.0) for column in columns])
            parts.append(part.flatten())
        return torch.cat(parts)


def _lay_under(parameters: list[nn.Parameter]) -> nn.Parameter:
    flat = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    flat.grad = torch.zeros_like(flat)
    start = 0
    for parameter in parameters:
        span = slice(start, start + parameter.numel())
        parameter.data = flat.data[span].view_as(parameter)
        parameter.grad = flat.grad[span].view_as(parameter)
        start = span.stop
    return flat
