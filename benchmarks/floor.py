"""What the arithmetic alone costs: the matrix products of an epoch and the optimizer's pass, nothing else.

A hidden layer of n rows costs three products a step: n×i·i×o forward, i×n·n×o for the weights' gradient and,
but for the first layer, n×o·o×i for the gradient of what came in. Evaluation costs the forward product of
the training and the validation rows. The optimizer reads and writes its state once a step. Activations, batch
norm, dropout, the loss and the gathering of rows come for nothing here, so nobody reaches the floor.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from benchmarks.measuring import Contender
from benchmarks.workloads import LEARNING_RATE, Workload

Shape = tuple[int, int, int]
"""(m, k, n) of a product m×k · k×n."""


def step_products(widths: list[int], rows: int) -> list[Shape]:
    """Forward, weights' gradient, and inputs' gradient but for the first layer."""
    layers = list(pairwise(widths))
    forward = [(rows, entering, leaving) for entering, leaving in layers]
    weights = [(entering, rows, leaving) for entering, leaving in layers]
    inputs = [(rows, leaving, entering) for entering, leaving in layers[1:]]
    return forward + weights + inputs


def evaluation_products(widths: list[int], rows: int) -> list[Shape]:
    return [(rows, entering, leaving) for entering, leaving in pairwise(widths)]


def parameters(workload: Workload) -> int:
    """Weights, biases, and scale and shift of each hidden unit's batch norm."""
    widths = workload.widths
    weights = sum((entering + 1) * leaving for entering, leaving in pairwise(widths))
    return weights + 2 * sum(workload.hidden)


def contender(workload: Workload, members: int = 1, threads: int = 1) -> Contender:
    """An epoch's arithmetic for a stack of so many members."""
    epoch = _epoch(workload, members)

    def act(_: int) -> None:
        torch.set_num_threads(threads)
        epoch()
        torch.set_num_threads(1)

    return Contender(act, members * workload.train_rows)


def _epoch(workload: Workload, members: int) -> Callable[[], None]:
    widths, rows = workload.widths, workload.train_rows
    whole, rest = divmod(rows, workload.batch)
    step = [_product(shape, members) for shape in step_products(widths, workload.batch)]
    last = [_product(shape, members) for shape in step_products(widths, rest)] if rest else []
    measured = [
        _product(shape, members)
        for held in (rows, workload.held_out_rows)
        for shape in evaluation_products(widths, held)
    ]
    update = _update(members * parameters(workload))

    def epoch() -> None:
        for _ in range(whole):
            for multiply in step:
                multiply()
            update()
        if last:
            for multiply in last:
                multiply()
            update()
        for multiply in measured:
            multiply()

    return epoch


def _product(shape: Shape, members: int) -> Callable[[], object]:
    m, k, n = shape
    lead = (members,) if members > 1 else ()
    a, b, out = torch.randn(*lead, m, k), torch.randn(*lead, k, n), torch.empty(*lead, m, n)
    multiply = torch.bmm if members > 1 else torch.mm
    return lambda: multiply(a, b, out=out)


def _update(size: int) -> Callable[[], None]:
    """Adam's fused pass over parameters, gradient and two moments."""
    weights, gradient, first, second = (torch.zeros(size) for _ in range(4))
    step: list[Tensor] = [torch.ones(())]

    def update() -> None:
        torch._fused_adam_(
            [weights],
            [gradient],
            [first],
            [second],
            [],
            step,
            lr=LEARNING_RATE,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    return update
