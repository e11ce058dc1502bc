"""From spec to steps: gradient descent with penalties and decoupled decay, its learning-rate schedule.

One step is
    g ← ∇loss + Σ ∇penalty           smooth penalties go through the optimizer (l2)
    w ← (1 − lr·weight_decay)·w       decoupled decay spares biases and norm parameters
    w ← optimizer(w, g)
    w ← prox(w)                       penalties without a gradient, in the metric of the step (l1)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from models.history import History
from models.parameters import Parameters
from models.pricing import Priced
from models.regularizers import Monitor
from models.spec import OptimizerSpec
from models.updates import Place, rule_of


class Stepper(Protocol):
    """What the loop needs of an optimizer. The data loss's gradient lies in the flat parameters."""

    looks_ahead: bool
    """The gradient is taken at another point than the one that is kept."""

    def look_ahead(self) -> None:
        """Move to the point where the gradient is wanted."""

    def step(self) -> None:
        """Move on from there."""

    def learning_rate(self, member: int) -> float:
        """A member's, of the last step."""

    def has_converged(self, member: int) -> bool:
        """Whether nothing moves any more."""

    def state(self, member: int) -> dict[str, Any]:
        """What a member's steps so far have left behind, but for its weights: tensors and plain values."""

    def resume(self, member: int, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""


class Descent:
    """SGD with momentum, or Adam, for K members; `adamw` is Adam whose weight decay defaults to 0.01."""

    looks_ahead = False

    def __init__(
        self,
        specs: Sequence[OptimizerSpec],
        parameters: Parameters,
        penalties: Sequence[Priced],
        schedules: Sequence[Schedule],
    ) -> None:
        """A spec and a schedule a member; the members' rules are the same."""
        self._weights = parameters.weights
        self._gradient = parameters.weight_gradient
        self._layout = parameters.weight_layout
        self._penalties = penalties
        self._proximal = [each for each in penalties if each.penalty.proximal]
        decays = [spec.weight_decay or 0.0 for spec in specs]
        self._decays = decays if any(decays) else []
        self._schedules = list(schedules)
        weights = Place(parameters.weights, parameters.weight_gradient, parameters.weight_layout)
        others = Place(parameters.others, parameters.other_gradient, parameters.other_layout)
        self._rule = rule_of(specs[0], {"weights": weights, "others": others})
        self._steps = 0
        self._rates = [schedule.rate(1) for schedule in schedules]

    def look_ahead(self) -> None:
        """The gradient is wanted where the weights are."""

    def step(self) -> None:
        self._steps += 1
        self._rates = [schedule.rate(self._steps) for schedule in self._schedules]
        for each in self._penalties:
            each.penalty.add_gradient(self._weights, each.strength, self._gradient)
        self._decay()
        self._rule.step(self._rates)
        for each in self._proximal:
            # With lr alone the penalty would weigh 1 − μ of what was asked, and under Adam far more or less.
            each.penalty.shrink(self._weights, self._rule.reach("weights", self._rates, each.strength))

    def _decay(self) -> None:
        if not self._decays:
            return
        factors = [1 - rate * decay for rate, decay in zip(self._rates, self._decays, strict=True)]
        if all(factor == factors[0] for factor in factors):
            self._weights.mul_(factors[0])
            return
        column = self._weights.new_tensor(factors).unsqueeze(1)
        for block in self._layout.blocks(self._weights):
            block.mul_(column)

    def learning_rate(self, member: int) -> float:
        return self._rates[member]

    def has_converged(self, member: int) -> bool:  # noqa: ARG002 - it never says so
        return False

    def state(self, member: int) -> dict[str, Any]:
        return (
            {"learning_rate": self._rates[member]}
            | self._rule.state(member)
            | self._schedules[member].state()
        )

    def resume(self, member: int, state: Mapping[str, Any]) -> None:
        self._steps, self._rates[member] = state["steps"], state["learning_rate"]
        self._rule.resume(member, state)
        self._schedules[member].resume(state)


class Schedule:
    """The learning rate of each step: a linear warm-up to the peak, then the schedule's course to the end.

    `constant` stays; `cosine` falls to 0 (Loshchilov & Hutter 2017); `one_cycle` rises from peak/25 over the
    first 30 %, or by the warm-up where there is one, and falls to peak/10⁴ (Smith & Topin 2019);
    `reduce_on_plateau` is cut when val_loss (train_loss without validation rows) has not improved for
    `plateau_patience` epochs behind the warm-up.
    """

    def __init__(self, spec: OptimizerSpec, steps_per_epoch: int, max_epochs: int) -> None:
        self._spec = spec
        self._peak = spec.learning_rate or 1e-3
        self._warmup = spec.warmup_epochs * steps_per_epoch
        self._total = max(steps_per_epoch * max_epochs - self._warmup, 1)
        self._plateau_factor = 1.0
        self._plateau_until = spec.warmup_epochs

    def rate(self, step: int) -> float:
        """Learning rate of step `step`, from 1."""
        if step <= self._warmup:
            return self._peak * step / (self._warmup + 1)
        return self._peak * self._course(min((step - self._warmup - 1) / self._total, 1.0))

    def _course(self, progress: float) -> float:
        if self._spec.schedule == "cosine":
            return _half_cosine(1.0, 0.0, progress)
        if self._spec.schedule == "one_cycle":
            # A warm-up is its rise: a second one behind it would begin by falling to a 25th in one step.
            top = 0.0 if self._warmup else 0.3
            if progress < top:
                return _half_cosine(0.04, 1.0, progress / top)
            return _half_cosine(1.0, 1e-4, (progress - top) / (1 - top))
        return self._plateau_factor

    def epoch_ended(self, history: History) -> None:
        if self._spec.schedule != "reduce_on_plateau" or len(history) <= self._plateau_until:
            return
        watched = "val_loss" if "val_loss" in history.epochs[-1].values else "train_loss"
        _, improved_at = Monitor(metric=watched).stalled_for(history)
        since = max(improved_at, self._plateau_until)
        if math.isnan(history.epochs[-1].values[watched]):
            self._plateau_until = since + 1  # What is undefined is not "not improved": it does not count.
        elif len(history) - since >= (self._spec.plateau_patience or 5):
            self._plateau_factor *= self._spec.plateau_factor or 0.5
            self._plateau_until = len(history)

    def state(self) -> dict[str, Any]:
        return {"plateau_factor": self._plateau_factor, "plateau_until": self._plateau_until}

    def resume(self, state: Mapping[str, Any]) -> None:
        self._plateau_factor, self._plateau_until = state["plateau_factor"], state["plateau_until"]


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
