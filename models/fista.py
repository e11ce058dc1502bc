"""FISTA: the optimum of a linear model's objective, exact zeros and all.

Accelerated proximal gradient (Beck & Teboulle 2009) with adaptive restart (O'Donoghue & Candès 2015) on the
full batch:

    x⁺ = prox_{penalty/L}( z − ∇f(z)/L )          f = loss + smooth penalties, L bounds its curvature
    t⁺ = (1 + √(1 + 4t²)) / 2
    z⁺ = x⁺ + (t − 1)/t⁺ · (x⁺ − x)               restarted with t = 1 when it points uphill

It ends by itself when no coordinate moves by more than the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from models.losses import Readout
from models.parameters import Parameters, copied
from models.pricing import Priced
from models.regularizers import L2


class Fista:
    """One step an epoch; between steps the network holds the iterate x, during the gradient the point z."""

    looks_ahead = True

    def __init__(
        self,
        parameters: Parameters,
        penalties: Sequence[Priced],
        x: Tensor,
        readout: Readout,
        tolerance: float,
    ) -> None:
        """`parameters` of one network: nobody else's steps could keep pace with it."""
        self._weights, self._gradient = parameters.weights, parameters.weight_gradient
        self._moved = [
            (parameters.weights, parameters.weight_gradient),
            (parameters.others, parameters.other_gradient),
        ]
        self._layouts = [parameters.weight_layout, parameters.other_layout]
        self._penalties = penalties
        self._tolerance = tolerance
        self._rate = 1.0 / _lipschitz(x, readout, penalties)
        self._converged = False
        self._t = 1.0
        self._current = self._copies()
        self._ahead = self._copies()

    def _copies(self) -> list[Tensor]:
        return [flat.clone() for flat, _ in self._moved]

    @torch.no_grad()
    def look_ahead(self) -> None:
        for (flat, _), ahead in zip(self._moved, self._ahead, strict=True):
            flat.copy_(ahead)

    @torch.no_grad()
    def step(self) -> None:
        for each in self._penalties:
            each.penalty.add_gradient(self._weights, each.strength, self._gradient)
        for flat, gradient in self._moved:
            flat.sub_(gradient, alpha=self._rate)
        for each in self._penalties:
            each.penalty.shrink(self._weights, each.strength * self._rate)
        self._extrapolate()

    def _extrapolate(self) -> None:
        reached = self._copies()
        moves = [new - old for new, old in zip(reached, self._current, strict=True)]
        uphill = sum(
            float((ahead - new).dot(move))
            for ahead, new, move in zip(self._ahead, reached, moves, strict=True)
        )
        following = (1 + math.sqrt(1 + 4 * self._t**2)) / 2
        momentum = 0.0 if uphill > 0 else (self._t - 1) / following
        self._t = 1.0 if uphill > 0 else following
        self._ahead = [new + momentum * move for new, move in zip(reached, moves, strict=True)]
        self._current = reached
        # After a restart the move is a plain proximal gradient step: the one that tells the optimum.
        self._converged = max(float(move.abs().max()) for move in moves) < self._tolerance

    def learning_rate(self, member: int) -> float:  # noqa: ARG002 - there is one
        """The step size, which is the curvature's."""
        return self._rate

    def has_converged(self, member: int) -> bool:  # noqa: ARG002 - there is one
        return self._converged

    def state(self, member: int) -> dict[str, Any]:
        numbers = {"t": self._t, "learning_rate": self._rate, "converged": self._converged}
        return numbers | {
            f"{name}_{place}": layout.take(kept[place], member)
            for name, kept in (("ahead", self._ahead), ("current", self._current))
            for place, layout in enumerate(self._layouts)
        }

    def resume(self, member: int, state: Mapping[str, Any]) -> None:
        self._t, self._rate, self._converged = (state[name] for name in ("t", "learning_rate", "converged"))
        for name, kept in (("ahead", self._ahead), ("current", self._current)):
            for place, layout in enumerate(self._layouts):
                kept[place] = kept[place].clone()
                own = layout.take(kept[place], member)
                layout.put(kept[place], member, copied(state[f"{name}_{place}"], like=own))


def _lipschitz(x: Tensor, readout: Readout, penalties: Sequence[Priced]) -> float:
    """Largest curvature of the smooth part: c·σ²([x, 1])/n + 2·max(l2)."""
    design = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    gram = design.T @ design if design.shape[1] <= design.shape[0] else design @ design.T
    largest = float(torch.linalg.eigvalsh(gram)[-1])
    ridge = sum(2 * float(each.strength.max()) for each in penalties if isinstance(each.penalty, L2))
    return readout.curvature() * largest / len(x) + ridge
