"""From numbers to places on an axis, and the round numbers to write beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from api.charts.lettering import round_number

_LOG_ABOVE = 100.0
_PADDING = 0.05


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`, by differences or by ratios."""

    low: float
    high: float
    log: bool = False

    def position(self, value: float) -> float:
        """Where a value lies: 0 at `low`, 1 at `high`."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """At most about `most` round values with their labels, from low to high."""
        return _log_ticks(self.low, self.high, most) if self.log else _linear_ticks(self.low, self.high, most)


def scale_of(values: Iterable[float]) -> Scale:
    """An axis with some air around finite values; by ratios where they are positive and span two decades."""
    found = list(values)
    low, high = min(found, default=0.0), max(found, default=1.0)
    if low > 0 and high / low > _LOG_ABOVE:
        air = (high / low) ** _PADDING
        return Scale(low / air, high * air, log=True)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        air = 0.1 * abs(high) or 1.0
    else:
        air = _PADDING * (high - low)
    return Scale(low - air if low < 0 or low > air else 0.0, high + air)


def epoch_scale(epochs: Iterable[int]) -> Scale:
    """An axis over epochs; a lone epoch stands in its middle."""
    found = list(epochs)
    first, last = min(found, default=1), max(found, default=1)
    return Scale(first - 0.5, last + 0.5) if first == last else Scale(first, last)


def epoch_ticks(scale: Scale, most: int) -> list[tuple[float, str]]:
    """Whole epochs: the first one, and round ones after it."""
    first, last = math.ceil(scale.low), math.floor(scale.high)
    step = max(1, int(_round_step((last - first) / most)))
    later = (epoch for epoch in range(step, last + 1, step) if epoch >= first + 0.6 * step)
    return [(epoch, f"{epoch:,}") for epoch in (first, *later)]


def _linear_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    step = _round_step((high - low) / most)
    values = [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]
    size = max(abs(low), abs(high))
    if not 1e-4 <= size < 1e7:
        digits = 1 + math.ceil(math.log10(size / step))
        return [(value, round_number(value, digits)) for value in values]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(value, f"{value:,.{decimals}f}") for value in values]


def _log_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    decades = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    between = (1.0, 2.0, 5.0) if 3 * len(decades) <= most else (1.0,)
    stride = max(1, math.ceil(len(decades) / most))
    values = [
        part * 10.0**decade for decade in range(decades.start - 1, decades.stop, stride) for part in between
    ]
    return [(value, round_number(value)) for value in values if low <= value <= high]


def _round_step(least: float) -> float:
    """The smallest of …, 1, 2, 5, 10, 20, … that is not much below `least`."""
    if least <= 0:
        return 1.0
    decade = 10.0 ** math.floor(math.log10(least))
    return next(part * decade for part in (1, 2, 5, 10) if part * decade >= 0.8 * least)
