"""Layers of a kind whose derivative is not written, say of a new technique: autograd finds it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.derivatives import Inputs, Layer
from models.lanes import Workspace, on_lanes
from models.parameters import Parameters


class ByAutograd:
    """Such a layer of all members: each one's module, one after the other."""

    def __init__(
        self, name: str, modules: Sequence[nn.Module], parameters: Parameters, before: Layer | Inputs
    ) -> None:
        """Each module leaves as many numbers a row as enter it, unless it says `out_features`."""
        self.name = name
        self._modules = modules
        self._before = before
        self._gradients = [parameters.of(f"{name}.{own}")[1] for own, _ in modules[0].named_parameters()]
        members, rows, entering = before.y.view.shape
        shape = (members, rows, int(getattr(modules[0], "out_features", entering)))
        self.y, self.dy = (Workspace.of(parameters.weights, shape) for _ in range(2))
        self._x: list[Tensor] = []
        self._given: list[Tensor] = []

    def forward(self) -> None:
        with torch.inference_mode(False), torch.enable_grad():
            self._x = [each.clone().requires_grad_() for each in self._before.y.view]
            pairs = zip(self._modules, self._x, strict=True)
            self._given = [module.train()(each) for module, each in pairs]
            with torch.no_grad():
                for to, each in zip(self.y.view, self._given, strict=True):
                    to.copy_(each)

    def backward(self) -> None:
        with torch.inference_mode(False):
            found = [self._of_member(member, dy.clone()) for member, dy in enumerate(self.dy.view)]
        for member, (dx, *own) in enumerate(found):
            for gradient, each in zip(self._gradients, own, strict=True):
                gradient[member].copy_(each)
            if self._before.dy:
                self._before.dy.view[member].copy_(dx)

    def _of_member(self, member: int, dy: Tensor) -> tuple[Tensor, ...]:
        asked = [self._x[member], *self._modules[member].parameters()]
        return torch.autograd.grad(self._given[member], asked, dy, allow_unused=True, materialize_grads=True)

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> Tensor:
        return torch.stack(
            [module.eval()(each) for module, each in zip(self._modules, on_lanes(x), strict=True)]
        )
