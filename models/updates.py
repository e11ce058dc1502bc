"""Update rules on flat tensors: SGD with momentum, and Adam, by the fused kernels that torch.optim calls.

`torch.optim`'s own classes do the same arithmetic, bit for bit (a test compares them), but their first use
loads torch's compiler: two seconds of processor time in every process that trains, which no job here needs.

Members of a stack have learning rates of their own. Where all agree, a step is one call on the flat tensors;
else one call for each rate, on the rows of the members that have it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from models.parameters import Layout, copied
from models.spec import OptimizerSpec


@dataclass(frozen=True, slots=True)
class Place:
    """A flat tensor of parameters, its gradient, and where the members lie in both."""

    flat: Tensor
    gradient: Tensor
    layout: Layout


Places = Mapping[str, Place]


class Rule(Protocol):
    """How a gradient moves the parameters."""

    def step(self, rates: Sequence[float]) -> None:
        """Move every parameter against its gradient, at each member's learning rate."""

    def reach(self, place: str, rates: Sequence[float], force: Tensor) -> Tensor:
        """How far the last step would have moved each coordinate under a steady gradient of `force`.

        `force` is one number for all, or flat as the parameters are, and so is the answer. The caller may
        write over it; the next call does.
        """

    def state(self, member: int) -> dict[str, Any]:
        """What it remembers of a member."""

    def resume(self, member: int, state: Mapping[str, Any]) -> None:
        """Remember that."""


def rule_of(spec: OptimizerSpec, places: Places) -> Rule:
    """The rule that a spec asks for; `adamw` is Adam, since decoupled decay is not the rule's."""
    if spec.kind == "sgd":
        return Sgd(places, momentum=spec.momentum or 0.0, nesterov=bool(spec.nesterov))
    first, second = spec.betas or (0.9, 0.999)
    return Adam(places, betas=(first, second))


class _Memory:
    """Tensors beside the parameters, laid out as they are: what a rule remembers of each coordinate."""

    def __init__(self, places: Places, names: Sequence[str]) -> None:
        self._places = places
        self._kept = {name: {key: torch.zeros_like(p.flat) for key, p in places.items()} for name in names}
        self.steps = 0
        """So many steps every member has taken: they begin together."""

    def whole(self) -> list[list[Tensor]]:
        """Parameters, gradients and each memory, flat: what a kernel takes where all members agree."""
        flats = [[place.flat for place in self._places.values()], [p.gradient for p in self._places.values()]]
        return flats + [list(kept.values()) for kept in self._kept.values()]

    def rows(self, members: Sequence[int]) -> list[list[Tensor]]:
        """The same, of some members only."""
        layouts = [place.layout for place in self._places.values()]
        return [
            [
                row
                for flat, layout in zip(flats, layouts, strict=True)
                for member in members
                for row in layout.rows(flat, member)
            ]
            for flats in self.whole()
        ]

    def of(self, name: str, place: str) -> Tensor:
        return self._kept[name][place]

    def state(self, member: int) -> dict[str, Any]:
        taken = {
            f"{key}.{name}": self._places[key].layout.take(flat, member)
            for name, kept in self._kept.items()
            for key, flat in kept.items()
        }
        return {"steps": self.steps} | taken

    def resume(self, member: int, state: Mapping[str, Any]) -> None:
        self.steps = state["steps"]
        for name, kept in self._kept.items():
            for key, flat in kept.items():
                layout = self._places[key].layout
                layout.put(flat, member, copied(state[f"{key}.{name}"], like=layout.take(flat, member)))


def _groups(rates: Sequence[float]) -> dict[float, list[int]]:
    """Learning rate → the members that have it."""
    groups: dict[float, list[int]] = {}
    for member, rate in enumerate(rates):
        groups.setdefault(rate, []).append(member)
    return groups


def _agreed(rates: Sequence[float]) -> bool:
    return len(set(rates)) == 1


class _Fused(ABC):
    """A step by a fused kernel: one call where rates agree, else one for each rate."""

    def __init__(self, places: Places, names: Sequence[str]) -> None:
        self._places = places
        self._memory = _Memory(places, names)
        self._whole = self._memory.whole()
        self._rows: dict[tuple[int, ...], list[list[Tensor]]] = {}

    def step(self, rates: Sequence[float]) -> None:
        self._memory.steps += 1
        if _agreed(rates):
            self._apply(self._whole, rates[0])
            return
        for rate, members in _groups(rates).items():
            chosen = tuple(members)
            if chosen not in self._rows:
                self._rows[chosen] = self._memory.rows(members)
            self._apply(self._rows[chosen], rate)

    @abstractmethod
    def _apply(self, tensors: list[list[Tensor]], rate: float) -> None:
        """One step at this rate: of parameters, with gradients, and what is remembered of each."""

    def state(self, member: int) -> dict[str, Any]:
        return self._memory.state(member)

    def resume(self, member: int, state: Mapping[str, Any]) -> None:
        self._memory.resume(member, state)


class Sgd(_Fused):
    """v ← μv + g (v = g at first); w ← w − lr·v, or lr·(g + μv) with Nesterov's momentum."""

    def __init__(self, places: Places, *, momentum: float, nesterov: bool) -> None:
        super().__init__(places, ["velocity"] if momentum else [])
        self._momentum = momentum
        self._nesterov = nesterov

    def _apply(self, tensors: list[list[Tensor]], rate: float) -> None:
        parameters, gradients, *velocities = tensors
        torch._fused_sgd_(
            parameters,
            gradients,
            velocities[0] if velocities else [],
            weight_decay=0.0,
            momentum=self._momentum,
            lr=rate,
            dampening=0.0,
            nesterov=self._nesterov,
            maximize=False,
            is_first_step=self._memory.steps == 1,
        )

    def reach(self, place: str, rates: Sequence[float], force: Tensor) -> Tensor:
        """force·lr·(1 − μᵗ)/(1 − μ): momentum adds up the last gradients."""
        grown = (1 - self._momentum**self._memory.steps) / (1 - self._momentum)
        if _agreed(rates):
            return force * (rates[0] * grown)
        found = self._places[place]
        reach = torch.empty_like(found.flat)
        ahead = reach.new_tensor([rate * grown for rate in rates]).unsqueeze(1)
        for block, own in zip(found.layout.blocks(reach), found.layout.blocks(force), strict=True):
            torch.mul(own, ahead.expand_as(block), out=block)
        return reach


class Adam(_Fused):
    """m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; w ← w − lr·m̂/(√v̂ + ε) (Kingma & Ba 2015)."""

    EPS = 1e-8

    def __init__(self, places: Places, *, betas: tuple[float, float]) -> None:
        super().__init__(places, ["first_moment", "second_moment"])
        self._betas = betas
        # The kernel reads the step count from a tensor beside each parameter.
        self._count = next(iter(places.values())).flat.new_zeros(())
        self._ahead = self._count.clone()
        self._reach = {name: torch.empty_like(place.flat) for name, place in places.items()}

    def _apply(self, tensors: list[list[Tensor]], rate: float) -> None:
        parameters, gradients, firsts, seconds = tensors
        torch._fused_adam_(
            parameters,
            gradients,
            firsts,
            seconds,
            [],
            [self._count.fill_(self._memory.steps)] * len(parameters),
            lr=rate,
            beta1=self._betas[0],
            beta2=self._betas[1],
            weight_decay=0.0,
            eps=self.EPS,
            amsgrad=False,
            maximize=False,
        )

    def reach(self, place: str, rates: Sequence[float], force: Tensor) -> Tensor:
        """force·lr/(√v̂ + ε), flat, expanded by the bias correction's root: four passes over the weights."""
        root = math.sqrt(1 - self._betas[1] ** self._memory.steps)
        reach = self._reach[place]
        # √v as 1/(1/√v), which is exact at 0: the square root's own kernel is ten times slower on zeros.
        torch.rsqrt(self._memory.of("second_moment", place), out=reach).reciprocal_().add_(self.EPS * root)
        if _agreed(rates):
            return torch.div(force * self._ahead.fill_(rates[0] * root), reach, out=reach)
        ahead, layout = (
            reach.new_tensor([rate * root for rate in rates]).unsqueeze(1),
            self._places[place].layout,
        )
        for block, own in zip(layout.blocks(reach), layout.blocks(force), strict=True):
            torch.div(own * ahead, block, out=block)
        return reach
