"""The learning curve as plain Python: what was measured at each epoch."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Epoch:
    """What was measured at the end of one epoch."""

    number: int
    """From 1."""
    values: dict[str, float]
    """Series name → value; may hold NaN or infinities where training diverged."""

    def __str__(self) -> str:
        shown = (
            f"{name} {self.values[name]:.4f}" for name in ("train_loss", "val_loss") if name in self.values
        )
        metrics = (
            f"{name} {value:.4f}" for name, value in self.values.items() if _is_validation_metric(name)
        )
        return "  ".join([f"epoch {self.number:4d}", *shown, *metrics])


def _is_validation_metric(name: str) -> bool:
    return name.startswith("val_") and name != "val_loss"


@dataclass(slots=True)
class History:
    """The epochs so far, in order and without gaps."""

    epochs: list[Epoch] = field(default_factory=list)
    undefined: frozenset[str] = field(default=frozenset(), compare=False)
    """Series that say nothing on these rows, whatever is learned (`models.row_notices.undefined_series`)."""
    memory: dict[Hashable, tuple[float, int, int, int]] = field(
        default_factory=dict, repr=False, compare=False
    )
    """What monitors have worked out from the epochs so far; derived, so that no epoch is read twice."""

    def __len__(self) -> int:
        return len(self.epochs)

    def append(self, epoch: Epoch) -> None:
        if epoch.number != len(self.epochs) + 1:
            raise ValueError(f"epoch {epoch.number} cannot follow epoch {len(self.epochs)}")
        self.epochs.append(epoch)

    def points(self, name: str, *, after: int = 0) -> Iterator[tuple[int, float]]:
        """(epoch, value) of a series behind epoch `after`; an epoch that lacks it counts as NaN."""
        return ((epoch.number, epoch.values.get(name, math.nan)) for epoch in self.epochs[after:])

    def series(self) -> list[str]:
        """The names of what every epoch measured, in order."""
        return list(self.epochs[0].values) if self.epochs else []

    @classmethod
    def of(cls, series: Sequence[str], rows: Sequence[Sequence[float]]) -> History:
        """The history with these values, a row an epoch."""
        values = (dict(zip(series, row, strict=True)) for row in rows)
        return cls([Epoch(number, each) for number, each in enumerate(values, start=1)])
