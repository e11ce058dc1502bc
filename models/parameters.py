"""All parameters of a stack of K networks in a few flat tensors, so that a step is a few vector operations.

    flat = [ block of hidden_1.weight | block of hidden_2.weight | … ]      a block is (K, n), a row a member

Weights (two dimensions and more) lie in one flat tensor, biases and norm parameters in another, the running
statistics of batch norm in a third: penalties and decay act on weights alone; statistics have no gradient.
Each member's `Network` lies over its rows: its parameters are views, so what the stack learns it has learnt.

A row is filled up with zeros to whole vectors, and a matrix to two rows and two columns at least (see
`models.lanes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor

from models.lanes import at_least_two, whole_lanes
from models.network import Network


class Layout:
    """Where each parameter of K networks lies in a flat tensor."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], members: int) -> None:
        self.shapes = dict(shapes)
        self.members = members
        self._widths = {name: whole_lanes(prod(at_least_two(shape))) for name, shape in shapes.items()}
        starts, start = {}, 0
        for name, width in self._widths.items():
            starts[name], start = start, start + members * width
        self._starts, self.size = starts, start

    def block(self, flat: Tensor, name: str) -> Tensor:
        """A parameter of all members with the zeros that fill up its rows, (K, n); a view."""
        start, width = self._starts[name], self._widths[name]
        return flat[start : start + self.members * width].view(self.members, width)

    def blocks(self, flat: Tensor) -> list[Tensor]:
        """Every parameter's block, in order; one number for all is each block's."""
        if not flat.dim():
            return [flat] * len(self.shapes)
        return [self.block(flat, name) for name in self.shapes]

    def whole(self, flat: Tensor, name: str) -> Tensor:
        """A parameter of all members with the idle row and column that it may have; a view."""
        shape = at_least_two(self.shapes[name])
        return self.block(flat, name)[:, : prod(shape)].view(self.members, *shape)

    def of(self, flat: Tensor, name: str) -> Tensor:
        """A parameter of all members, (K, *its shape); a view."""
        return self.whole(flat, name)[:, *(slice(size) for size in self.shapes[name])]

    def rows(self, flat: Tensor, member: int) -> list[Tensor]:
        """A member's rows of every block; views."""
        return [block[member] for block in self.blocks(flat)]

    def take(self, flat: Tensor, member: int) -> Tensor:
        """A member's parameters one behind the other, with nothing between them, (P,); a copy."""
        parts = [self.of(flat, name)[member].flatten() for name in self.shapes]
        return torch.cat(parts) if parts else flat.new_empty(0)

    def put(self, flat: Tensor, member: int, taken: Tensor) -> None:
        """Write what `take` gave."""
        start = 0
        for name, shape in self.shapes.items():
            end = start + prod(shape)
            self.of(flat, name)[member].copy_(taken[start:end].view(shape))
            start = end


class Parameters:
    """What K networks of one shape have learnt, and its gradients."""

    def __init__(self, networks: Sequence[Network]) -> None:
        """Takes over the networks' parameters as they are, and lays the networks over its own memory."""
        self._networks = list(networks)
        first, members = networks[0], len(networks)
        named = {name: tuple(each.shape) for name, each in first.named_parameters()}
        held = {name: tuple(each.shape) for name, each in _statistics(first).items()}
        self.weight_layout = Layout({n: shape for n, shape in named.items() if len(shape) >= 2}, members)
        self.other_layout = Layout({n: shape for n, shape in named.items() if len(shape) < 2}, members)
        self.statistic_layout = Layout(held, members)
        like = next(first.parameters())
        # Not inside inference mode, wherever this is called: people may want gradients of a network later.
        with torch.inference_mode(False), torch.no_grad():
            self.weights = like.new_zeros(self.weight_layout.size)
            self.weight_gradient = torch.zeros_like(self.weights)
            self.others = like.new_zeros(self.other_layout.size)
            self.other_gradient = torch.zeros_like(self.others)
            self.statistics = like.new_zeros(self.statistic_layout.size)
            for member, network in enumerate(networks):
                self._lay_under(network, member)

    def _lay_under(self, network: Network, member: int) -> None:
        for name, parameter in network.named_parameters():
            layout, flat, _ = self._home(name)
            own = layout.of(flat, name)[member]
            parameter.data = own.copy_(parameter.data)
        for name, statistic in _statistics(network).items():
            own = self.statistic_layout.of(self.statistics, name)[member].copy_(statistic)
            module, _, buffer = name.rpartition(".")
            network.get_submodule(module).register_buffer(buffer, own)

    def _home(self, name: str) -> tuple[Layout, Tensor, Tensor]:
        if name in self.weight_layout.shapes:
            return self.weight_layout, self.weights, self.weight_gradient
        return self.other_layout, self.others, self.other_gradient

    def of(self, name: str) -> tuple[Tensor, Tensor]:
        """A parameter of all members and its gradient, both (K, *its shape) and views."""
        layout, flat, gradient = self._home(name)
        return layout.of(flat, name), layout.of(gradient, name)

    def whole(self, name: str) -> tuple[Tensor, Tensor]:
        """The same with the idle row and column that a matrix may have."""
        layout, flat, gradient = self._home(name)
        return layout.whole(flat, name), layout.whole(gradient, name)

    def rows_of(self, name: str) -> tuple[Tensor, Tensor]:
        """The same with what fills up the rows, (K, n)."""
        layout, flat, gradient = self._home(name)
        return layout.block(flat, name), layout.block(gradient, name)

    def statistic(self, name: str) -> Tensor:
        """Running means or variances with what fills up the rows, (K, n)."""
        return self.statistic_layout.block(self.statistics, name)

    # ── one member ──────────────────────────────────────────────────────────────────────────────────────────

    def state(self, member: int) -> dict[str, Tensor]:
        """All that a member has learnt: weights (P,), others (Q,), running statistics by name; copies."""
        return self.take((self.weights, self.others, self.statistics), member)

    def take(self, flats: Sequence[Tensor], member: int) -> dict[str, Tensor]:
        """The same from other flat tensors that are laid out as these are."""
        weights, others, statistics = flats
        names = self.statistic_layout.shapes
        return {
            "weights": self.weight_layout.take(weights, member),
            "others": self.other_layout.take(others, member),
        } | {name: self.statistic_layout.of(statistics, name)[member].clone() for name in names}

    def put(self, flats: Sequence[Tensor], member: int, state: Mapping[str, Tensor]) -> None:
        """Write such a state into flat tensors; `ValueError` where it is another network's."""
        own = self.take(flats, member)
        if missing := own.keys() - state.keys():
            raise ValueError(f"another network has these weights: {', '.join(sorted(missing))} are missing")
        kept = {name: copied(state[name], like=own[name]) for name in own}
        self.weight_layout.put(flats[0], member, kept["weights"])
        self.other_layout.put(flats[1], member, kept["others"])
        for name in self.statistic_layout.shapes:
            self.statistic_layout.of(flats[2], name)[member].copy_(kept[name])

    @torch.no_grad()
    def overwrite(self, member: int, state: Mapping[str, Tensor]) -> None:
        """Let a member have learnt this instead; `ValueError` where it is another network's."""
        self.put((self.weights, self.others, self.statistics), member, state)


class Snapshot:
    """What each member had learnt when it was at its best."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._flats: tuple[Tensor, Tensor, Tensor] | None = None
        self._taken: set[int] = set()

    def take(self, members: Sequence[int]) -> None:
        """These are at their best now."""
        if not members:
            return
        kept, self._taken = self._memory(), self._taken | set(members)
        own = self._parameters
        layouts = (own.weight_layout, own.other_layout, own.statistic_layout)
        everybody = len(members) == own.weight_layout.members
        chosen = None if everybody else torch.tensor(members, device=own.weights.device)
        for flat, now, layout in zip(kept, (own.weights, own.others, own.statistics), layouts, strict=True):
            if chosen is None:
                flat.copy_(now)
                continue
            for to, block in zip(layout.blocks(flat), layout.blocks(now), strict=True):
                to.index_copy_(0, chosen, block.index_select(0, chosen))

    def state(self, member: int) -> dict[str, Tensor]:
        """A member's; empty where none was kept."""
        return self._parameters.take(self._memory(), member) if member in self._taken else {}

    def put(self, member: int, state: Mapping[str, Tensor]) -> None:
        """Let this be a member's, or nothing."""
        self._taken.discard(member)
        if state:
            self._parameters.put(self._memory(), member, state)
            self._taken.add(member)

    def _memory(self) -> tuple[Tensor, Tensor, Tensor]:
        if self._flats is None:
            own = self._parameters
            with torch.inference_mode(False):
                self._flats = (
                    torch.zeros_like(own.weights),
                    torch.zeros_like(own.others),
                    torch.zeros_like(own.statistics),
                )
        return self._flats


def copied(tensor: Tensor, *, like: Tensor) -> Tensor:
    """A copy of its own on the other's device, after a look that they are of one kind: nothing broadcasts."""
    if (tensor.shape, tensor.dtype) != (like.shape, like.dtype):
        raise ValueError(f"a tensor is {tensor.dtype} {list(tensor.shape)} instead of {list(like.shape)}")
    return tensor.detach().to(like.device, copy=True)


def _statistics(network: Network) -> dict[str, Tensor]:
    return {name: each for name, each in network.named_buffers() if each.is_floating_point()}
