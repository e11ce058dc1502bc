"""The learning curve of one job as the charts take it: columns of numbers, and what can be read off them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, replace

LOSSES = ("objective", "train_loss", "val_loss")


@dataclass(frozen=True, slots=True)
class Curve:
    """Epochs in rising order and, for each series, one value an epoch."""

    job_id: str
    name: str
    """What people call the job; may be empty, and may hold anything that a person or a machine could type."""
    epochs: list[int]
    series: dict[str, list[float | None]]
    """NaN and infinities stand as themselves; None where nothing was recorded."""
    best_epoch: int | None = None
    stopped: tuple[int, str] | None = None
    """The last epoch and the reason, once the job has ended."""

    def __post_init__(self) -> None:
        for name, values in self.series.items():
            if len(values) != len(self.epochs):
                raise ValueError(f"series {name} has {len(values)} values for {len(self.epochs)} epochs")

    def only(self, names: Iterable[str]) -> Curve:
        """The same curve with just these series, in this order; names it lacks are left out."""
        return replace(self, series={name: self.series[name] for name in names if name in self.series})

    def value(self, name: str, epoch: int | None) -> float | None:
        """A series at an epoch; None where that is missing or not finite."""
        if epoch is None or name not in self.series:
            return None
        row = bisect_left(self.epochs, epoch)
        if row == len(self.epochs) or self.epochs[row] != epoch:
            return None
        found = self.series[name][row]
        return found if found is not None and math.isfinite(found) else None

    def first_nonfinite(self, name: str) -> int | None:
        """The first epoch at which a series was NaN or infinite."""
        values = self.series.get(name, ())
        rows = (row for row, value in enumerate(values) if value is not None and not math.isfinite(value))
        row = next(rows, None)
        return None if row is None else self.epochs[row]

    def diverged_at(self) -> int | None:
        """The first epoch at which a loss was NaN or infinite."""
        found = (self.first_nonfinite(name) for name in LOSSES)
        return min((epoch for epoch in found if epoch is not None), default=None)
