"""What a number comes to must not depend on where it stands or on who stands beside it: kernel by kernel.

The capability is the process's own; `./run check capabilities` runs this under the others that the CPU has.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, get_args

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from models import footprint
from models.lanes import LANES, Workspace, at_least_two, on_lanes, product, whole_lanes
from models.metrics import METRICS
from models.nonlinearities import NONLINEARITIES
from models.spec import NetworkSpec
from models.stacks import Stack
from tests.models.company import begun, data, specs

aten = torch.ops.aten

ACTIVATIONS = get_args(NetworkSpec.model_fields["activation"].annotation)
DTYPES = [torch.float32, torch.float64]
Kernel = Callable[..., Tensor | list[Tensor]]
"""Of tensors of one length: one number of each together."""


def _to(function: Callable[..., object]) -> Kernel:
    """One that writes where it is told."""

    def act(*tensors: Tensor) -> Tensor:
        to = torch.empty_like(tensors[0])
        function(*tensors, to)
        return to

    return act


def _fused_adam(w: Tensor, g: Tensor, m: Tensor, v: Tensor) -> list[Tensor]:
    moved = [each.clone() for each in (w, g, m, v.abs())]
    torch._fused_adam_(
        *([each] for each in moved),
        [],
        [w.new_tensor(3.0)],
        lr=0.01,
        beta1=0.9,
        beta2=0.999,
        weight_decay=0.0,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )
    return moved


def _fused_sgd(momentum: float, nesterov: bool, w: Tensor, g: Tensor, v: Tensor) -> list[Tensor]:
    moved = [each.clone() for each in (w, g, v)]
    torch._fused_sgd_(
        [moved[0]],
        [moved[1]],
        [moved[2]] if momentum else [],
        weight_decay=0.0,
        momentum=momentum,
        lr=0.01,
        dampening=0.0,
        nesterov=nesterov,
        maximize=False,
        is_first_step=False,
    )
    return moved


def _soft_threshold(w: Tensor, t: Tensor) -> Tensor:
    t = t.abs()
    return w.clone().sub_(w.clamp(-t, t))


ROUNDED: dict[str, tuple[int, Kernel]] = {
    **{f"{kind.__name__}": (1, _to(each.function)) for kind, each in NONLINEARITIES.items()},
    **{f"{kind.__name__} backward": (2, _to(each.derivative)) for kind, each in NONLINEARITIES.items()},
    "sigmoid": (1, torch.sigmoid),
    "cross-entropy": (
        2,
        lambda z, y: functional.binary_cross_entropy_with_logits(z, (y > 0).to(z), reduction="none"),
    ),
    "log": (1, lambda x: x.abs().log()),
    "Adam": (4, _fused_adam),
    "SGD": (3, partial(_fused_sgd, 0.0, False)),
    "momentum": (3, partial(_fused_sgd, 0.9, False)),
    "Nesterov": (3, partial(_fused_sgd, 0.9, True)),
    "1/√": (1, lambda x: x.abs().rsqrt()),
    "1/√, in place": (1, lambda x: torch.rsqrt(x.abs(), out=torch.empty_like(x)).reciprocal_().add_(1e-8)),
    "L2": (3, lambda g, w, s: g.clone().addcmul_(s, w, value=2)),
    "L1": (2, _soft_threshold),
    "a + b·c": (3, torch.addcmul),
}
"""Kernels that round more than once, and what they take."""

BY_ROW: dict[str, Kernel] = {
    "softmax": lambda x: x.softmax(-1),
    "log-softmax": lambda x: x.log_softmax(-1),
    "sum": lambda x: x.sum(-1),
    "mean": lambda x: x.mean(-1),
    "running sum": lambda x: x.cumsum(-1),
}
"""Kernels that take a row, (rows, n), for themselves."""


def numbers(count: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Of all sizes that occur, with zeros of both signs."""
    stream = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, generator=stream, dtype=dtype)
    scales = 10.0 ** torch.randint(-6, 3, (count,), generator=stream).to(dtype)
    drawn = drawn * scales
    drawn[::17], drawn[5::29] = 0.0, -0.0
    return drawn


def together(kernel: Kernel, *tensors: Tensor) -> Tensor:
    found = kernel(*tensors)
    return torch.stack(found if isinstance(found, list) else [found])


def same(one: Tensor, other: Tensor) -> bool:
    """The bits, but for those of what is no number."""
    whole = torch.int32 if one.dtype == torch.float32 else torch.int64
    alike = one.contiguous().view(whole) == other.contiguous().view(whole)
    return bool((alike | (one.isnan() & other.isnan())).all())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ROUNDED)
def test_in_whole_vectors_a_number_stands_anywhere(name: str, dtype: torch.dtype) -> None:
    """Reordered numbers give reordered results, and each turn of a kernel what it gives by itself."""
    takes, kernel = ROUNDED[name]
    for turns in (1, 2, 3, 5, 8, 13):
        given = [numbers(turns * LANES, dtype, seed) for seed in range(takes)]
        expected = together(kernel, *given)
        order = torch.randperm(turns * LANES, generator=torch.Generator().manual_seed(turns))
        assert same(together(kernel, *(each[order] for each in given)), expected[:, order])
        apart = [together(kernel, *parts) for parts in zip(*(g.split(LANES) for g in given), strict=True)]
        assert same(torch.cat(apart, dim=1), expected)
        among = [torch.cat([numbers(LANES, dtype, 8), each, numbers(LANES, dtype, 9)]) for each in given]
        assert same(together(kernel, *among)[:, LANES:-LANES], expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", BY_ROW)
def test_a_row_is_its_own(name: str, dtype: torch.dtype) -> None:
    for rows, columns in itertools.product((1, 2, 3, 7, 16, 33), (2, 3, 5, 16, 31, 97)):
        given = numbers(rows * columns, dtype).view(rows, columns)
        expected = torch.cat([BY_ROW[name](each.clone()) for each in given.split(1)])
        assert same(BY_ROW[name](given), expected), (rows, columns)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rows", [2, 3, 7, 13, 32, 64])
def test_a_unit_is_normed_alike_beside_any_others(rows: int, dtype: torch.dtype) -> None:
    widths = [LANES, 3 * LANES]
    z, dy = (numbers(rows * sum(widths), dtype, seed).view(rows, -1) for seed in (1, 2))
    gamma, beta = numbers(sum(widths), dtype, 3), numbers(sum(widths), dtype, 4)

    def normed(units: slice) -> list[Tensor]:
        own_z, own_dy, g, b = (
            z[:, units].clone(),
            dy[:, units].clone(),
            gamma[units].clone(),
            beta[units].clone(),
        )
        running = [torch.zeros_like(g), torch.ones_like(g)]
        given = tuple(torch.empty_like(each) for each in (own_z, g, g))
        torch.native_batch_norm(own_z, g, b, *running, True, 0.1, 1e-5, out=given)
        _, mean, deviation = given
        back = aten.native_batch_norm_backward.default(
            own_dy, own_z, g, *running, mean, deviation, True, 1e-5, [True] * 3
        )
        return [*given, *running, *back]

    first, second, both = normed(slice(0, LANES)), normed(slice(LANES, None)), normed(slice(None))
    for one, other, whole in zip(first, second, both, strict=True):
        assert same(torch.cat([one, other], dim=-1), whole)


def test_the_estimate_of_memory_fills_units_up_as_batch_norm_does() -> None:
    assert footprint._LANES == LANES


SIZES = (1, 2, 3, 5, 8, 13, 17, 32, 33, 64)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rows", [1, 2, 7, 13, 32, 64, 100])
def test_a_product_is_the_same_alone_and_among_others(rows: int, dtype: torch.dtype) -> None:
    """Forward, and both ways back, of matrices laid out as layers lay them out, −0 and 0 told apart."""
    members = 3
    for entering, leaving in itertools.product(SIZES, SIZES):
        width, breadth = at_least_two((leaving, entering))
        x = random_workspace((members, rows, breadth), dtype, idle=entering)
        dz = random_workspace((members, rows, width), dtype, idle=leaving)
        room = whole_lanes(width * breadth)
        weights = numbers(members * room, dtype, 5).view(members, room)[:, : width * breadth]
        w = weights.view(members, width, breadth)
        bias = numbers(members * whole_lanes(width), dtype, 6).view(members, 1, -1)[..., :width]
        ones = w.new_ones(1, 1, rows)
        whole = list(products(x, w, bias, dz, ones.expand(members, -1, -1)))
        for member in range(members):
            one = slice(member, member + 1)
            parts = [on_lanes(each[one].clone()) for each in (x, w, bias, dz)]
            own = list(products(*parts, ones))
            for number, (found, expected) in enumerate(zip(whole, own, strict=True)):
                assert same(found[one], expected), (entering, leaving, number)


def random_workspace(shape: tuple[int, int, int], dtype: torch.dtype, *, idle: int) -> Tensor:
    """Members that begin on registers; columns from `idle` on hold zeros."""
    view = Workspace.of(torch.empty(0, dtype=dtype), shape).view
    members, rows, columns = shape
    view.copy_(numbers(members * rows * columns, dtype, columns).view(shape))[..., idle:] = 0
    return view


def products(x: Tensor, w: Tensor, bias: Tensor, dz: Tensor, ones: Tensor) -> Iterator[Tensor]:
    yield product(x, w.transpose(1, 2), plus=bias)
    yield product(x, w.transpose(1, 2))
    yield product(dz, w)
    if x.shape[1] > 1:  # of one row there is nothing to add up
        yield product(dz.transpose(1, 2), x)
        yield product(ones, dz)


# ── is that all? ────────────────────────────────────────────────────────────────────────────────────────────

TESTED_HERE = """
    _fused_adam_ _fused_sgd_ _log_softmax addcmul addcmul_ baddbmm binary_cross_entropy_with_logits bmm clamp
    clamp_min cumsum elu elu_backward gelu gelu_backward leaky_relu leaky_relu_backward log log_softmax mean
    native_batch_norm native_batch_norm_backward nanmean reciprocal_ rsqrt sigmoid sigmoid_backward silu
    silu_backward softmax sum tanh tanh_backward threshold_backward
"""
ROUNDED_ONCE = "abs add add_ div mul mul_ neg pow rsub sqrt square sub sub_"
"""Vector code and scalar code give the one number that is nearest; of powers there are squares only."""
EXACT = """
    __and__ __or__ _foreach_copy_ _to_copy alias amax amin argmax as_strided bitwise_not cat clone
    constant_pad_nd contiguous copy_ cummax detach detach_ empty empty_like eq expand expand_as fill_
    flatten gather ge gt index index_copy_ index_select le lift_fresh lt masked_fill nan_to_num ne new_empty
    new_ones new_zeros pad randperm reshape roll scatter_add_ select slice sort squeeze stack to transpose
    unbind unsqueeze view where zeros_like
"""
"""They move, compare or count: `scatter_add_` adds up whole numbers."""


class Recorded(TorchDispatchMode):
    """Remembers which operations there were."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func._schema.name.removeprefix("aten::"))
        return func(*args, **(kwargs or {}))


def test_whatever_the_engine_calls_was_looked_at() -> None:
    """A kernel that is new here must be looked at: does what it gives depend on who stands beside?"""
    known = set(f"{TESTED_HERE} {ROUNDED_ONCE} {EXACT}".split())
    recorded = Recorded()
    tasks, kinds = itertools.cycle(("binary", "multiclass", "regression")), itertools.cycle(("sgd", "adam"))
    for number, (activation, task, kind) in enumerate(zip(ACTIVATIONS, tasks, kinds, strict=False)):
        given = data(task, rows=50)
        penalties = {"l1": 1e-3, "l2": 1e-3, "dropout": {"input": 0.1, "hidden": 0.2}}
        shared = {
            "network": {"hidden": [5, 1], "activation": activation},
            "metrics": [name for name, metric in METRICS.items() if task in metric.tasks],
            "training": {"max_epochs": 2, "batch_size": 16},
        }
        own = [
            {
                "optimizer": {"kind": kind, "learning_rate": rate, "weight_decay": rate},
                "regularization": penalties | {"batch_norm": number % 2 == 0, "early_stopping": True},
            }
            for rate in (0.001, 0.01)
        ]
        stack = Stack(begun(specs(given, shared, own), given))
        with recorded:
            for _ in stack.work():
                pass
    assert recorded.names - known == set()
    assert {"_fused_adam_", "_fused_sgd_", "native_batch_norm_backward", "sigmoid_backward"} <= recorded.names
