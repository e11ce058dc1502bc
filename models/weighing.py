"""What the weights of a stack say at the end of an epoch: what penalties cost, their norm, their sparsity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor

from models.parameters import Parameters
from models.pricing import Priced


class Scale:
    """Weighs the members of a stack; biases and norm parameters are not weights."""

    def __init__(self, parameters: Parameters, penalties: Mapping[str, Sequence[Priced]]) -> None:
        layout = parameters.weight_layout
        self._blocks = layout.blocks(parameters.weights)
        self._own = [layout.of(parameters.weights, name) for name in layout.shapes]
        """Without what fills the blocks up."""
        self._weights = sum(own[0].numel() for own in self._own)
        self._priced = {
            name: [(each, layout.blocks(each.strength)) for each in parts]
            for name, parts in penalties.items()
        }
        self._nothing = parameters.weights.new_zeros(layout.members)

    @torch.inference_mode()
    def series(self) -> dict[str, Tensor]:
        """`penalty_<technique>`, `weight_norm` (√Σw²) and `sparsity` (share of exact zeros), (K,) each."""
        found = {f"penalty_{name}": self._nothing for name in ("l1", "l2")}
        found |= {f"penalty_{name}": self._cost(name) for name in self._priced}
        squares = _added([(block * block).sum(-1) for block in self._blocks])
        zeros = _added([(own == 0).flatten(1).sum(-1) for own in self._own])
        return found | {
            "weight_norm": squares.sqrt(),
            "sparsity": zeros.double() / self._weights,
        }

    def _cost(self, name: str) -> Tensor:
        costs = [
            # Who did not ask pays nothing, also for weights that are no numbers any more.
            cost if each.asked is None else torch.where(each.asked, cost, 0)
            for each, strengths in self._priced[name]
            for block, strength in zip(self._blocks, strengths, strict=True)
            if (cost := each.penalty.penalty(block, strength)) is not None
        ]
        return _added(costs) if costs else self._nothing


def _added(parts: Sequence[Tensor]) -> Tensor:
    return reduce(torch.add, parts)
