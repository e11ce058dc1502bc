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
from typing import Any

import torch
from torch import Tensor

from models.flat import FlatParameters, copied
from models.history import History
from models.losses import Readout
from models.regularizers import L2, Penalty


class Fista:
    """One step an epoch; between steps the network holds the iterate x, during the gradient the point z."""

    looks_ahead = True

    def __init__(
        self,
        flat: FlatParameters,
        penalties: list[tuple[Penalty, Tensor]],
        x: Tensor,
        readout: Readout,
        tolerance: float,
    ) -> None:
        self._tensors = (flat.weights, flat.others)
        self._flat = flat
        self._penalties = penalties
        self._tolerance = tolerance
        self.learning_rate = 1.0 / _lipschitz(x, readout, penalties)
        self.converged = False
        self._t = 1.0
        self._current = self._copies()
        self._ahead = self._copies()

    def _copies(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self._tensors]

    @torch.no_grad()
    def look_ahead(self) -> None:
        for tensor, ahead in zip(self._tensors, self._ahead, strict=True):
            tensor.copy_(ahead)

    @torch.no_grad()
    def step(self) -> None:
        for penalty, strength in self._penalties:
            penalty.add_gradient(self._flat.weights.data, strength, self._flat.gradient)
        for tensor in self._tensors:
            tensor.sub_(tensor.grad if tensor.grad is not None else 0.0, alpha=self.learning_rate)
        for penalty, strength in self._penalties:
            penalty.shrink(self._flat.weights.data, strength, self.learning_rate)
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
        self.converged = max(float(move.abs().max()) for move in moves) < self._tolerance

    def epoch_ended(self, history: History) -> None:
        """The step size is the curvature's, not the curve's."""

    def state(self) -> dict[str, Any]:
        numbers = {"t": self._t, "learning_rate": self.learning_rate, "converged": self.converged}
        ahead = {f"ahead_{place}": tensor for place, tensor in enumerate(self._ahead)}
        current = {f"current_{place}": tensor for place, tensor in enumerate(self._current)}
        return numbers | ahead | current

    def resume(self, state: dict[str, Any]) -> None:
        self._t, self.learning_rate, self.converged = (
            state[name] for name in ("t", "learning_rate", "converged")
        )
        for place, like in enumerate(self._tensors):
            self._ahead[place] = copied(state[f"ahead_{place}"], like=like)
            self._current[place] = copied(state[f"current_{place}"], like=like)


def _lipschitz(x: Tensor, readout: Readout, penalties: list[tuple[Penalty, Tensor]]) -> float:
    """Largest curvature of the smooth part: c·σ²([x, 1])/n + 2·max(l2)."""
    design = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    gram = design.T @ design if design.shape[1] <= design.shape[0] else design @ design.T
    largest = float(torch.linalg.eigvalsh(gram)[-1])
    ridge = sum(2 * float(strength.max()) for penalty, strength in penalties if isinstance(penalty, L2))
    return readout.curvature() * largest / len(x) + ridge
