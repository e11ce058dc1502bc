"""What is known of a job, before anybody looks at it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.datasets import Description
from models.metrics import METRICS
from models.regularizers import Regularization
from models.spec import JobSpec

Series = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a job."""

    spec: JobSpec
    """Complete."""
    series: Series
    """The curve from epoch 1 on; None or NaN where a value was not finite."""
    result: Mapping[str, Any] | None = None
    stop_reason: str | None = None
    """None while it runs."""
    weights: Mapping[str, Any] | None = None
    """What the weights say (see `models.weights.summarize`)."""
    description: Description | None = None
    undefined: frozenset[str] = frozenset()
    """Monitors that say nothing on these rows (see `models.best.undefined_monitors`)."""

    @property
    def epochs(self) -> int:
        return max(map(len, self.series.values()), default=0)

    @property
    def on(self) -> Regularization:
        """The cocktail; an empty one where there is none."""
        return self.spec.regularization or Regularization()

    @property
    def hidden(self) -> list[int]:
        """Widths of the hidden layers."""
        return self.spec.network.hidden or []

    @property
    def is_exact(self) -> bool:
        """Solved to the optimum, step by step downhill."""
        return self.spec.optimizer.kind == "fista"

    @property
    def is_regression(self) -> bool:
        """By the data's description; without it, as far as metrics tell."""
        if self.description:
            return self.description.task == "regression"
        return any(METRICS[name].tasks == {"regression"} for name in self.spec.metrics or [])

    def numbers(self, name: str) -> list[float]:
        """A series, with NaN for whatever is not finite."""
        return [finite(value) for value in self.series.get(name, ())]

    def at(self, name: str, epoch: int) -> float:
        """A series' value of one epoch, counted from 1; NaN where there is none."""
        values = self.series.get(name, ())
        return finite(values[epoch - 1]) if 0 < epoch <= len(values) else math.nan

    def measured(self, split: str, name: str) -> float:
        """What the result says of the kept weights on a split; NaN where it says nothing."""
        told = (self.result or {}).get(split)
        return finite(told.get(name)) if isinstance(told, Mapping) else math.nan


def finite(value: object) -> float:
    """The number, or NaN where it is none or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if math.isfinite(value) else math.nan
