"""Update rules on flat tensors: SGD with momentum, and Adam, by the fused kernels that torch.optim calls.

`torch.optim`'s own classes do the same arithmetic, bit for bit (a test compares them), but their first use
loads torch's compiler: two seconds of processor time in every process that trains, which no job here needs.
What a rule remembers is plain tensors, so that a checkpoint can hold it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from models.flat import copied
from models.spec import OptimizerSpec

Places = Mapping[str, nn.Parameter]
"""Name → a flat parameter with its gradient."""


class Rule(Protocol):
    """How a gradient moves the parameters."""

    def step(self, rate: float) -> None:
        """Move every parameter against its gradient, at this learning rate."""

    def reach(self, place: str, rate: float) -> Tensor | float:
        """How far the last step would have moved each coordinate for a steady gradient of one."""

    def state(self) -> dict[str, Any]:
        """What it remembers."""

    def resume(self, state: Mapping[str, Any]) -> None:
        """Remember that."""


def rule_of(spec: OptimizerSpec, places: Places) -> Rule:
    """The rule that a spec asks for; `adamw` is Adam, since decoupled decay is not the rule's."""
    if spec.kind == "sgd":
        return Sgd(places, momentum=spec.momentum or 0.0, nesterov=bool(spec.nesterov))
    first, second = spec.betas or (0.9, 0.999)
    return Adam(places, betas=(first, second))


def _gradients(places: Places) -> list[Tensor]:
    return [each.grad for each in places.values() if each.grad is not None]


class Sgd:
    """v ← μv + g (v = g at first); w ← w − lr·v, or lr·(g + μv) with Nesterov's momentum."""

    def __init__(self, places: Places, *, momentum: float, nesterov: bool) -> None:
        self._places = places
        self._momentum = momentum
        self._nesterov = nesterov
        self._velocities = {name: torch.zeros_like(each) for name, each in places.items()} if momentum else {}
        self._steps = 0

    def step(self, rate: float) -> None:
        self._steps += 1
        torch._fused_sgd_(
            list(self._places.values()),
            _gradients(self._places),
            list(self._velocities.values()),
            weight_decay=0.0,
            momentum=self._momentum,
            lr=rate,
            dampening=0.0,
            nesterov=self._nesterov,
            maximize=False,
            is_first_step=self._steps == 1,
        )

    def reach(self, place: str, rate: float) -> float:  # noqa: ARG002 - the same everywhere
        """lr·(1 − μᵗ)/(1 − μ): momentum adds up the last gradients."""
        return rate * (1 - self._momentum**self._steps) / (1 - self._momentum)

    def state(self) -> dict[str, Any]:
        return {"steps": self._steps} | {f"{name}.velocity": each for name, each in self._velocities.items()}

    def resume(self, state: Mapping[str, Any]) -> None:
        self._steps = state["steps"]
        for name, velocity in self._velocities.items():
            velocity.copy_(copied(state[f"{name}.velocity"], like=velocity))


class Adam:
    """m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; w ← w − lr·m̂/(√v̂ + ε) (Kingma & Ba 2015)."""

    EPS = 1e-8

    def __init__(self, places: Places, *, betas: tuple[float, float]) -> None:
        self._places = places
        self._betas = betas
        self._firsts = {name: torch.zeros_like(each) for name, each in places.items()}
        self._seconds = {name: torch.zeros_like(each) for name, each in places.items()}
        # The kernel reads the step count from a tensor beside each parameter.
        self._counts = [torch.zeros((), device=each.device) for each in places.values()]
        self._steps = 0

    def step(self, rate: float) -> None:
        self._steps += 1
        torch._foreach_add_(self._counts, 1)
        torch._fused_adam_(
            list(self._places.values()),
            _gradients(self._places),
            list(self._firsts.values()),
            list(self._seconds.values()),
            [],
            self._counts,
            lr=rate,
            beta1=self._betas[0],
            beta2=self._betas[1],
            weight_decay=0.0,
            eps=self.EPS,
            amsgrad=False,
            maximize=False,
        )

    def reach(self, place: str, rate: float) -> Tensor:
        """lr/(√v̂ + ε), expanded by the bias correction's root and in place: four passes over the weights."""
        root = math.sqrt(1 - self._betas[1] ** self._steps)
        return self._seconds[place].sqrt().add_(self.EPS * root).reciprocal_().mul_(rate * root)

    def state(self) -> dict[str, Any]:
        firsts = {f"{name}.first_moment": each for name, each in self._firsts.items()}
        seconds = {f"{name}.second_moment": each for name, each in self._seconds.items()}
        return {"steps": self._steps} | firsts | seconds

    def resume(self, state: Mapping[str, Any]) -> None:
        self._steps = state["steps"]
        for count in self._counts:
            count.fill_(self._steps)
        for name in self._places:
            for kept, each in (("first_moment", self._firsts[name]), ("second_moment", self._seconds[name])):
                each.copy_(copied(state[f"{name}.{kept}"], like=each))
