"""All parameters of a network in two flat tensors, so that a step is a few vector operations.

Weights (two dimensions and more) lie in one, biases and norm parameters in the other: penalties and decay
act on weights alone. The network's own parameters and gradients are views into these.
"""

from __future__ import annotations

from collections.abc import Mapping

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

    def penalties(self, parts: Mapping[str, tuple[Penalty, Tensor]]) -> dict[str, Tensor]:
        """What each penalty adds to the objective, as the curve names it: 0 where it is off."""
        w = self.weights.detach()
        values = {name: part.penalty(w, strength) for name, (part, strength) in parts.items()}
        added = {f"penalty_{name}": w.new_zeros(()) for name in ("l1", "l2")}
        return added | {f"penalty_{name}": value for name, value in values.items() if value is not None}

    def state(self) -> dict[str, Tensor]:
        """All that the network has learnt: both tensors, and its buffers by name. They are no copies."""
        learnt = {"weights": self.weights.detach(), "others": self.others.detach()}
        return learnt | dict(self._network.named_buffers())

    @torch.no_grad()
    def overwrite(self, state: Mapping[str, Tensor]) -> None:
        """Learn this instead. It is copied into the tensors that are there: the network lies over them."""
        own = self.state()
        for name, learnt in self.copies(state).items():
            own[name].copy_(learnt)

    def copies(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state of this very network as tensors of its own, where the network is."""
        own = self.state()
        if state.keys() != own.keys():
            raise ValueError("another network has these weights")
        return {name: copied(state[name], like=own[name]) for name in own}


def copied(tensor: Tensor, *, like: Tensor) -> Tensor:
    """A copy of its own on the other's device, after a look that they are of one kind: nothing broadcasts."""
    if (tensor.shape, tensor.dtype) != (like.shape, like.dtype):
        raise ValueError(f"a tensor is {tensor.dtype} {list(tensor.shape)} instead of {list(like.shape)}")
    return tensor.detach().to(like.device, copy=True)


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
