"""Every layer of K networks at once, forward and backward, with the derivative written out.

    Linear        z = x·Wᵀ + b            ∂W = ∂zᵀ·x          ∂b = 1ᵀ·∂z          ∂x = ∂z·W
    batch norm    y = γ·x̂ + β             ∂γ = Σ ∂y·x̂         ∂β = Σ ∂y
                  x̂ = (z − μ)/√(σ²+ε)     ∂z = γ/√(σ²+ε)·(∂y − mean(∂y) − x̂·mean(∂y·x̂))
    activation    a = f(z)                ∂z = f′(z)·∂a
    dropout       h = a·m/(1−p)           ∂a = ∂h·m/(1−p)

Activations are (K, rows, width), member first. A layer has a place for what it gives, `y`, and one for the
gradient of the loss in that, `dy`; it reads the `y` of the layer before it and writes that one's `dy`, and
the gradient in its own parameters into the flat tensors of `models.parameters`. Places are made once for a
number of rows, and written at every step. So a step is a list of kernels on memory that is there already: no
graph to record and to walk, nothing to set to zero, nothing to allocate, hardly a view to make. On small
networks that was most of it.

What `models.network` builds is the definition: plain torch modules, one network each. A test holds both equal
in outputs and gradients, for every layer. A layer of a kind not known here, say of a new technique, is
differentiated by autograd, a member at a time (`models.by_autograd`).

A member is computed alike, bit for bit, alone and in any stack, on a CPU with one thread; `models.lanes` says
how.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from models.lanes import Workspace, beside, in_whole_vectors, on_lanes, product
from models.masks import Masks
from models.nonlinearities import NONLINEARITIES
from models.parameters import Parameters

aten = torch.ops.aten


class Layer(Protocol):
    """One layer of all members, for batches of so many rows."""

    @property
    def y(self) -> Workspace:
        """What it gives: (K, rows, leaving)."""

    @property
    def dy(self) -> Workspace | None:
        """The gradient in that; None: nobody asks for it, neither here nor before."""

    def forward(self) -> None:
        """In training: from the layer before to `y`."""

    def backward(self) -> None:
        """From `dy` to the gradients in the parameters, and to the layer before."""

    def evaluate(self, x: Tensor) -> Tensor:
        """In evaluation: (K, any rows, entering) → (K, any rows, leaving).

        It touches no place, so it may be asked at any time, also between `forward` and `backward`.
        """


class Inputs:
    """The batch itself, in front of the first layer."""

    def __init__(self, x: Tensor, *, gradient: bool) -> None:
        """`gradient`: that in the inputs is asked for too."""
        self.y = Workspace(x.new_empty(0), x)
        self.take(x)
        self.dy = self.y.in_one_piece() if gradient else None

    def take(self, x: Tensor) -> None:
        """The next batch. It is read from where it lies, unless its members begin anywhere."""
        self.y.view = on_lanes(x)


class Gradients:
    """Memory for the gradients in what layers give.

    Such a gradient lives from one layer to the one before it, so all but neighbours share: it stays in the
    cache.
    """

    def __init__(self) -> None:
        self._made: list[Workspace] = []

    def beside(self, y: Workspace, before: Layer | Inputs) -> Workspace:
        """For the gradient in `y`, and not where that in what the layer before gives is."""
        for made in self._made:
            if made is not before.dy and made.is_like(y):
                return made
        self._made.append(y.alike())
        return self._made[-1]


# ── matrices ────────────────────────────────────────────────────────────────────────────────────────────────


class Linear:
    """z = x·Wᵀ + b, W (K, leaving, entering).

    A single output is computed as two, the second of which is idle and stays zero, and so is a single input:
    for a matrix of one column kernels change over to others, which round otherwise alone than in a stack.
    """

    def __init__(
        self,
        name: str,
        parameters: Parameters,
        before: Layer | Inputs,
        gradients: Gradients,
        rows: int,
        *,
        biased: bool,
    ) -> None:
        """Not `biased`: a batch norm follows, whose mean takes the bias out again."""
        leaving, entering = parameters.weight_layout.shapes[f"{name}.weight"]
        self._leaving, self._entering = leaving, entering
        self._weight, self._weight_gradient = parameters.whole(f"{name}.weight")
        members, width, breadth = self._weight.shape
        self._transposed = self._weight.transpose(1, 2)
        bias, bias_gradient = parameters.rows_of(f"{name}.bias")
        self._bias = bias[:, None, :width] if biased else None
        self._bias_gradient = bias_gradient[:, None, :width]
        self._weight_sum, self._bias_sum = beside(self._weight_gradient), beside(self._bias_gradient)
        # The sum over rows as a product with ones, which adds up alike for everybody.
        self._ones = bias.new_ones(1, 1, rows).expand(members, -1, -1)

        z = Workspace.of(bias, (members, rows, width))
        # What is idle must stay zero, so nobody else may write there.
        dz = gradients.beside(z, before) if width == leaving else z.alike()
        if not biased and members > 1:
            z = dz  # A stack's batch norm copies it at once; alone it keeps it for the way back.
        self._z, self._dz, self._dz_turned = z.view, dz.view, dz.view.transpose(1, 2)
        self.y, self.dy = (each if width == leaving else each.narrowed(leaving) for each in (z, dz))

        # Products read and write members in one piece; what lies otherwise, or lacks a column, is copied.
        self._before = before
        self._x = self._beside(before.y, breadth)
        self._dx = self._beside(before.dy, breadth) if before.dy else None

    def _beside(self, place: Workspace, columns: int) -> Workspace:
        """The place itself where products take it as it is, else one of our own."""
        members, rows, entering = place.view.shape
        if place.in_order and columns == entering:
            return place
        return Workspace.of(place.whole, (members, rows, columns))

    def forward(self) -> None:
        if self._x is not self._before.y:
            self._x.view[..., : self._entering].copy_(self._before.y.view)
        if self._bias is None:
            torch.bmm(self._x.view, self._transposed, out=self._z)
        else:
            torch.baddbmm(self._bias, self._x.view, self._transposed, out=self._z)

    def backward(self) -> None:
        self._add_up()
        if not self._dx:
            return
        torch.bmm(self._dz, self._weight, out=self._dx.view)
        if self._before.dy and self._dx is not self._before.dy:
            self._before.dy.view.copy_(self._dx.view[..., : self._entering])

    def _add_up(self) -> None:
        """The gradients in the parameters, over the rows."""
        if self._dz.shape[1] == 1:
            # There is nothing to add up. A matrix product would add to zero, or not, and −0 is not 0.
            torch.mul(self._dz_turned, self._x.view, out=self._weight_gradient)
            if self._bias is not None:
                self._bias_gradient.copy_(self._dz)
            return
        torch.bmm(self._dz_turned, self._x.view, out=self._weight_sum)
        if self._weight_sum is not self._weight_gradient:
            self._weight_gradient.copy_(self._weight_sum)
        if self._bias is None:
            return
        torch.bmm(self._ones, self._dz, out=self._bias_sum)
        if self._bias_sum is not self._bias_gradient:
            self._bias_gradient.copy_(self._bias_sum)

    def evaluate(self, x: Tensor) -> Tensor:
        idle = self._transposed.shape[1] - self._entering
        x = on_lanes(pad(x, (0, idle)) if idle else x)
        return product(x, self._transposed, plus=self._bias)[..., : self._leaving]


class BatchNorm:
    """Each unit standardized by its batch, then scaled and shifted, by torch's own kernel for all members.

    The kernel wants units side by side, (rows, K·width). One network's lie so already; a stack's are copied.
    """

    def __init__(
        self,
        name: str,
        parameters: Parameters,
        definition: nn.BatchNorm1d,
        before: Layer,
        gradients: Gradients,
        rows: int,
    ) -> None:
        self._width = definition.num_features
        self._momentum, self._eps = definition.momentum or 0.0, definition.eps
        learnt = [parameters.rows_of(f"{name}.{what}") for what in ("weight", "bias")]
        (self._gamma, gamma_gradient), (self._beta, beta_gradient) = learnt
        self._mean, self._variance = (
            parameters.statistic(f"{name}.running_{what}") for what in ("mean", "var")
        )
        self._learnt = (self._gamma.view(-1), self._beta.view(-1))
        self._running = (self._mean.view(-1), self._variance.view(-1))
        members, room = self._gamma.shape
        shape = (members, rows, self._width)
        self.y = Workspace.of(self._gamma, shape, turned=True)
        self.dy = gradients.beside(self.y, before)
        self._given = (self.y.whole, self._learnt[0].clone(), self._learnt[0].clone())
        """y, and the batch's mean and 1/√(σ²+ε) of each unit."""
        self._before = before
        self._is_copied = members > 1 or room != self._width
        self._z = Workspace.of(self._gamma, shape, turned=True) if self._is_copied else before.y
        self._z_beside = self._z.whole.view(rows, members * room)
        assert before.dy  # noqa: S101 - a Linear stands somewhere before
        dz = before.dy.view.transpose(0, 1) if self._is_copied else before.dy.view[0]
        self._homes = [dz, gamma_gradient.view(-1), beta_gradient.view(-1)]
        self._shape = (rows, members, room)

    def forward(self) -> None:
        if self._is_copied:
            self._z.view.copy_(self._before.y.view)
        torch.native_batch_norm(
            self._z_beside, *self._learnt, *self._running, True, self._momentum, self._eps, out=self._given
        )

    def backward(self) -> None:
        _, mean, deviation = self._given
        dz, *gradients = aten.native_batch_norm_backward.default(
            self.dy.whole,
            self._z_beside,
            self._learnt[0],
            *self._running,
            mean,
            deviation,
            True,
            self._eps,
            _ALL_THREE,
        )
        if self._is_copied:
            dz = dz.view(self._shape)[..., : self._width]
        torch._foreach_copy_(self._homes, [dz, *gradients])

    def evaluate(self, x: Tensor) -> Tensor:
        scale = self._gamma * (self._variance + self._eps).rsqrt()
        shift = torch.addcmul(self._beta, self._mean, scale, value=-1)
        shift, scale = (each[:, None, : self._width] for each in (shift, scale))
        # Behind a Linear, which every norm and activation is, nobody else holds what comes in.
        return torch.addcmul(shift, x, scale, out=x)


_ALL_THREE = [True, True, True]
"""Gradients in inputs, scale and shift."""


# ── elements ────────────────────────────────────────────────────────────────────────────────────────────────


class Activation:
    """The nonlinearity after a Linear or a batch norm, in its place where nobody needs that again."""

    def __init__(self, kind: type[nn.Module], before: Layer) -> None:
        self._f = NONLINEARITIES[kind]
        in_place = self._f.of_outputs and isinstance(before, Linear | BatchNorm)
        self.y = before.y if in_place else before.y.alike()
        self.dy = before.dy
        self._x, self._kept = before.y.whole, (self.y if self._f.of_outputs else before.y).whole

    def forward(self) -> None:
        self._f.function(self._x, self.y.whole)

    def backward(self) -> None:
        if self.dy:
            self._f.derivative(self.dy.whole, self._kept, self.dy.whole)

    def evaluate(self, x: Tensor) -> Tensor:
        if self._f.is_exact:
            return self._f.function(x, x)
        return in_whole_vectors(lambda each: self._f.function(each, torch.empty_like(each)), x)


class Dropout:
    """h = a·mask, where the mask holds 0 or 1/(1 − rate) by each member's own rate and stream of bits."""

    def __init__(self, masks: Masks, place: int, before: Layer | Inputs, gradients: Gradients) -> None:
        self._masks, self._place, self._before = masks, place, before
        self.y = before.y.in_one_piece()
        self.dy = gradients.beside(self.y, before) if before.dy else None
        self._mask = torch.empty(0)

    def forward(self) -> None:
        self._mask = self._masks.of(self._place)
        torch.mul(self._before.y.view, self._mask, out=self.y.view)

    def backward(self) -> None:
        if self.dy and self._before.dy:
            torch.mul(self.dy.view, self._mask, out=self._before.dy.view)

    def evaluate(self, x: Tensor) -> Tensor:
        return x
