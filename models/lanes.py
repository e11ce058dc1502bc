"""Whole vectors: how every member of a stack is computed alike, bit for bit, alone and among others.

A kernel works through its numbers in vector registers and leaves the last few, which fill none, to scalar code
that rounds otherwise. Which numbers are the last depends on who else is in the stack. So rows of parameters are
filled up to whole vectors, matrices begin on one, and what is left over elsewhere is filled up here.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import pad

LANES = 16
"""Numbers in 64 bytes of float32: a cache line, and the widest vector register."""

_BYTES = 64


def whole_lanes(count: int) -> int:
    """`count` rounded up to a multiple of `LANES`."""
    return -(-count // LANES) * LANES


def room(like: Tensor, rows: int, columns: int) -> Tensor:
    """An empty (K, rows, columns), K as `like` has it, whose members begin on whole vectors."""
    count = rows * columns
    if count % LANES == 0 or len(like) == 1:
        return like.new_empty(len(like), rows, columns)
    return like.new_empty(len(like), whole_lanes(count))[:, :count].view(len(like), rows, columns)


def on_lanes(x: Tensor) -> Tensor:
    """The same (K, rows, columns), every member in one piece that begins on a whole vector.

    Matrix products add up in an order that depends on where a matrix begins.
    """
    members, rows, columns = x.shape
    shared = x.stride(0) == 0 and x[0].is_contiguous()
    in_one_piece = shared or (x.is_contiguous() and (members == 1 or rows * columns % LANES == 0))
    if in_one_piece and x.data_ptr() % _BYTES == 0:
        return x
    return room(x, rows, columns).copy_(x)


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
