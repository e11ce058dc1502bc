"""Whole vectors: how every member of a stack is computed alike, bit for bit, alone and among others.

A kernel works through its numbers in vector registers, two at a time, and leaves the last ones, which do not
fill both, to scalar code that rounds otherwise. Which numbers are the last depends on who else is in the
stack. So rows of parameters are filled up to whole turns of the widest kernel there is, matrices begin where
a register does, and what is left over is filled up here. And a matrix of one row or column is given a second
one (`at_least_two`), since products with a single one go to other kernels alone than in a stack.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

LANES = 32
"""Numbers that the widest kernels take in a turn: two registers of 64 bytes in float32 (AVX-512).

Registers of other machines have 16 bytes (NEON, SSE) or 32 (AVX2, SVE); what they take divides this.
"""

_BYTES = 64
"""A cache line, and the widest register: where matrices begin."""


def whole_lanes(count: int) -> int:
    """`count` rounded up to a multiple of `LANES`."""
    return -(-count // LANES) * LANES


def at_least_two(shape: tuple[int, ...]) -> tuple[int, ...]:
    """What a parameter takes: of a matrix two rows and two columns at least, the second idle and zero."""
    return tuple(max(size, 2) for size in shape) if len(shape) >= 2 else shape


class Workspace:
    """Memory for (K, rows, columns) that is made once and written at every step.

    `view` is what is seen of it, (K, rows, columns); `whole` all of it, which is whole vectors: what fills it
    up is nobody's. Every member lies in one piece that begins on a register, rows side by side as matrix
    products want it; or, where `turned`, rows come first and hold all members side by side, as batch norm's
    kernel wants its units.
    """

    __slots__ = ("turned", "view", "whole")

    def __init__(self, whole: Tensor, view: Tensor, *, turned: bool = False) -> None:
        self.whole, self.view, self.turned = whole, view, turned

    @classmethod
    def of(cls, like: Tensor, shape: tuple[int, ...], *, turned: bool = False) -> Workspace:
        """New memory for (K, rows, columns), all zeros."""
        members, rows, columns = shape
        if turned:
            width = whole_lanes(columns)
            whole = like.new_zeros(rows, members * width)
            view = whole.view(rows, members, width).transpose(0, 1)[..., :columns]
            return cls(whole, view, turned=True)
        stride = _aligned(like, rows * columns)
        whole = like.new_zeros(whole_lanes(members * stride))
        return cls(whole, whole.as_strided(shape, (stride, columns, 1)))

    @property
    def in_order(self) -> bool:
        """Every member in one piece: what a matrix product takes as it is."""
        columns = self.view.shape[2]
        return self.view.stride()[1:] == (columns, 1) and (not self.turned or len(self.view) == 1)

    def alike(self) -> Workspace:
        """New memory laid out as this is, what fills it up included."""
        whole = torch.zeros_like(self.whole)
        return Workspace(whole, whole.as_strided(self.view.shape, self.view.stride()), turned=self.turned)

    def in_one_piece(self) -> Workspace:
        """New memory for as many numbers, in order."""
        return Workspace.of(self.whole, self.view.shape)

    def is_like(self, other: Workspace) -> bool:
        """Of one shape and layout."""
        own, others = self.view, other.view
        return self.turned == other.turned and own.shape == others.shape and own.stride() == others.stride()

    def narrowed(self, columns: int) -> Workspace:
        """The same memory, of which only the first columns are seen."""
        return Workspace(self.whole, self.view[..., :columns], turned=self.turned)


def on_lanes(x: Tensor) -> Tensor:
    """The same (K, rows, columns), every member in one piece that begins on a vector register.

    Matrix products add up in an order that depends on where a matrix begins.
    """
    members, rows, columns = x.shape
    if x.is_contiguous():
        in_one_piece = members == 1 or _is_aligned(x, rows * columns)
    else:
        in_one_piece = x.stride() == (0, columns, 1)  # all members share one matrix
    if in_one_piece and x.data_ptr() % _BYTES == 0:
        return x
    return _empty(x, rows, columns).copy_(x)


def product(a: Tensor, b: Tensor, *, plus: Tensor | None = None) -> Tensor:
    """a·b for each member, (K, n, m)·(K, m, k) → (K, n, k), plus a row (K, 1, k)."""
    rows, columns = a.shape[1], b.shape[2]
    if a.shape[0] == 1 or _is_aligned(a, rows * columns):
        return torch.bmm(a, b) if plus is None else torch.baddbmm(plus, a, b)
    out = _empty(a, rows, columns)
    return torch.bmm(a, b, out=out) if plus is None else torch.baddbmm(plus, a, b, out=out)


def _empty(like: Tensor, rows: int, columns: int) -> Tensor:
    """An empty (K, rows, columns), K as `like` has it, whose members begin on vector registers."""
    count, members = rows * columns, like.shape[0]
    if members == 1 or _is_aligned(like, count):
        return like.new_empty(members, rows, columns)
    return like.new_empty(members, _aligned(like, count))[:, :count].view(members, rows, columns)


def beside(to: Tensor) -> Tensor:
    """Where a product for `to`, (K, rows, columns), is written quickest: there, or in other memory.

    Products of all members are one call where nothing lies between their results, else one for each.
    """
    members, rows, columns = to.shape
    if to.is_contiguous() or not _is_aligned(to, rows * columns):
        return to
    return to.new_zeros(members, rows, columns)


def _is_aligned(like: Tensor, count: int) -> bool:
    """Whether what stands behind so many numbers begins on a register, where they do."""
    return count * like.element_size() % _BYTES == 0


def _aligned(like: Tensor, count: int) -> int:
    """`count` rounded up to such a number."""
    whole = _BYTES // like.element_size()
    return -(-count // whole) * whole


def in_whole_vectors(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """An elementwise function of tensors of one shape, computed by vector code to the last number."""
    first = tensors[0]
    count = first.numel()
    if first.dim() > 1 and not first.is_contiguous() and first.transpose(0, 1).is_contiguous():
        # As batch norm leaves it. Some kernels go another way where memory is not in order.
        return in_whole_vectors(function, *(each.transpose(0, 1) for each in tensors)).transpose(0, 1)
    if count % LANES == 0:
        return function(*(each.contiguous() for each in tensors))
    filled = (pad(each.reshape(-1), (0, whole_lanes(count) - count)) for each in tensors)
    return function(*filled)[:count].view(first.shape)
