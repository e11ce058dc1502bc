"""From spec to steps: gradient descent with penalties and decoupled decay, its learning-rate schedule.

One step is
    g ← ∇loss + Σ ∇penalty           smooth penalties go through the optimizer (l2)
    w ← (1 − lr·weight_decay)·w       decoupled decay spares biases and norm parameters
    w ← optimizer(w, g)
    w ← prox(w)                       penalties without a gradient, in the metric of the step (l1)
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from models.flat import FlatParameters
from models.history import History
from models.regularizers import Monitor, Penalty
from models.spec import OptimizerSpec
from models.updates import rule_of


class Stepper(Protocol):
    """What the loop needs of an optimizer. The data loss's gradient lies in the flat parameters."""

    learning_rate: float
    converged: bool
    looks_ahead: bool
    """The gradient is taken at another point than the one that is kept."""

    def look_ahead(self) -> None:
        """Move to the point where the gradient is wanted."""

    def step(self) -> None:
        """Move on from there."""

    def epoch_ended(self, history: History) -> None:
        """See the curve, where the learning rate follows it."""

    def state(self) -> dict[str, Any]:
        """What the steps so far have left behind, but for the weights: tensors and plain values."""

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""


class Descent:
    """SGD with momentum, or Adam; `adamw` is Adam whose weight decay defaults to 0.01."""

    converged = False
    looks_ahead = False

    def __init__(
        self,
        spec: OptimizerSpec,
        flat: FlatParameters,
        penalties: list[tuple[Penalty, Tensor]],
        schedule: Schedule,
    ) -> None:
        self._spec = spec
        self._weights = flat.weights
        self._flat = flat
        self._penalties = penalties
        self._proximal = [(penalty, strength) for penalty, strength in penalties if penalty.proximal]
        self._schedule = schedule
        self._rule = rule_of(spec, {"weights": flat.weights, "others": flat.others})
        self._steps = 0
        self.learning_rate = schedule.rate(1)

    def look_ahead(self) -> None:
        """The gradient is wanted where the weights are."""

    @torch.no_grad()
    def step(self) -> None:
        self._steps += 1
        self.learning_rate = rate = self._schedule.rate(self._steps)
        for penalty, strength in self._penalties:
            penalty.add_gradient(self._weights.data, strength, self._flat.gradient)
        if self._spec.weight_decay:
            self._weights.mul_(1 - rate * self._spec.weight_decay)
        self._rule.step(rate)
        if self._proximal:
            # With lr alone the penalty would weigh 1 − μ of what was asked, and under Adam far more or less.
            step = self._rule.reach("weights", rate)
            for penalty, strength in self._proximal:
                penalty.shrink(self._weights.data, strength, step)

    def epoch_ended(self, history: History) -> None:
        self._schedule.epoch_ended(history)

    def state(self) -> dict[str, Any]:
        return {"learning_rate": self.learning_rate} | self._rule.state() | self._schedule.state()

    def resume(self, state: dict[str, Any]) -> None:
        self._steps, self.learning_rate = state["steps"], state["learning_rate"]
        self._rule.resume(state)
        self._schedule.resume(state)


class Schedule:
    """The learning rate of each step: a linear warm-up to the peak, then the schedule's course to the end.

    `constant` stays; `cosine` falls to 0 (Loshchilov & Hutter 2017); `one_cycle` rises from peak/25 over the
    first 30 % and falls to peak/10⁴ (Smith & Topin 2019); `reduce_on_plateau` is cut when val_loss
    (train_loss without validation rows) has not improved for `plateau_patience` epochs.
    """

    def __init__(self, spec: OptimizerSpec, steps_per_epoch: int, max_epochs: int) -> None:
        self._spec = spec
        self._peak = spec.learning_rate or 1e-3
        self._warmup = spec.warmup_epochs * steps_per_epoch
        self._total = max(steps_per_epoch * max_epochs - self._warmup, 1)
        self._plateau_factor = 1.0
        self._plateau_until = 0

    def rate(self, step: int) -> float:
        """Learning rate of step `step`, from 1."""
        if step <= self._warmup:
            return self._peak * step / (self._warmup + 1)
        return self._peak * self._course(min((step - self._warmup - 1) / self._total, 1.0))

    def _course(self, progress: float) -> float:
        if self._spec.schedule == "cosine":
            return _half_cosine(1.0, 0.0, progress)
        if self._spec.schedule == "one_cycle":
            rising = progress < 0.3
            return (
                _half_cosine(0.04, 1.0, progress / 0.3)
                if rising
                else _half_cosine(1.0, 1e-4, (progress - 0.3) / 0.7)
            )
        return self._plateau_factor

    def epoch_ended(self, history: History) -> None:
        if self._spec.schedule != "reduce_on_plateau" or len(history) <= self._plateau_until:
            return
        watched = "val_loss" if "val_loss" in history.epochs[-1].values else "train_loss"
        _, improved_at = Monitor(metric=watched).stalled_for(history)
        since = max(improved_at, self._plateau_until)
        if len(history) - since >= (self._spec.plateau_patience or 5):
            self._plateau_factor *= self._spec.plateau_factor or 0.5
            self._plateau_until = len(history)

    def state(self) -> dict[str, Any]:
        return {"plateau_factor": self._plateau_factor, "plateau_until": self._plateau_until}

    def resume(self, state: dict[str, Any]) -> None:
        self._plateau_factor, self._plateau_until = state["plateau_factor"], state["plateau_until"]


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
