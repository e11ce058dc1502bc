"""What the weights of a stack say at the end of an epoch: what penalties cost, their norm, their sparsity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from math import prod

import torch
from torch import Tensor

from models.parameters import Parameters
from models.pricing import Priced


class Scale:
    """Weighs the members of a stack; biases and norm parameters are not weights."""

    def __init__(self, parameters: Parameters, penalties: Mapping[str, Sequence[Priced]]) -> None:
        layout = parameters.weight_layout
        self._blocks = layout.blocks(parameters.weights)
        self._weights = sum(prod(shape) for shape in layout.shapes.values())
        self._filled_up = sum(block.shape[1] for block in self._blocks) - self._weights
        self._priced = {
            name: [(each.penalty, layout.blocks(each.strength)) for each in parts]
            for name, parts in penalties.items()
        }
        self._nothing = parameters.weights.new_zeros(layout.members)

    @torch.inference_mode()
    def series(self) -> dict[str, Tensor]:
        """`penalty_<technique>`, `weight_norm` (√Σw²) and `sparsity` (share of exact zeros), (K,) each."""
        found = {f"penalty_{name}": self._nothing for name in ("l1", "l2")}
        found |= {f"penalty_{name}": self._cost(name) for name in self._priced}
        squares = _added([(block * block).sum(-1) for block in self._blocks])
        zeros = _added([(block == 0).sum(-1) for block in self._blocks])
        return found | {
            "weight_norm": squares.sqrt(),
            "sparsity": (zeros - self._filled_up).double() / self._weights,
        }

    def _cost(self, name: str) -> Tensor:
        costs = [
            penalty.penalty(block, strength)
            for penalty, strengths in self._priced[name]
            for block, strength in zip(self._blocks, strengths, strict=True)
        ]
        known = [cost for cost in costs if cost is not None]
        return _added(known) if known else self._nothing


def _added(parts: Sequence[Tensor]) -> Tensor:
    return reduce(torch.add, parts)
